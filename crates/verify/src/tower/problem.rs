//! The responses to requests that are refused.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use crate::follow::VerifyError;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It has no access token.
    MissingToken,
    /// It has more than one, or one that is not sent as RFC 6750, 2.1 says.
    InvalidRequest,
    /// The token is not accepted.
    Refused(VerifyError),
    /// The token lacks this scope.
    InsufficientScope(Box<str>),
}

impl Problem {
    /// The error's name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingToken => "missing",
            Self::InvalidRequest => "invalid_request",
            Self::Refused(error) => error.code(),
            Self::InsufficientScope(_) => "insufficient_scope",
        }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MissingToken => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Refused(error) if error.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::MissingToken => "An access token is required: send Authorization: Bearer …",
            Self::InvalidRequest => "Send one access token, as Authorization: Bearer …",
            Self::Refused(error) if error.is_temporary() => "Access tokens cannot be verified at the moment.",
            Self::Refused(_) => "The access token is invalid, expired or revoked.",
            Self::InsufficientScope(_) => "The access token lacks a required scope.",
        }
    }

    /// The challenge (RFC 6750, 3). A request without a token gets no error code.
    fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::MissingToken => Some(HeaderValue::from_static("Bearer")),
            Self::InvalidRequest => Some(HeaderValue::from_static(r#"Bearer error="invalid_request""#)),
            Self::Refused(error) if error.is_temporary() => None,
            Self::Refused(_) => Some(HeaderValue::from_static(r#"Bearer error="invalid_token""#)),
            Self::InsufficientScope(scope) => {
                // A scope has neither quotes nor control characters (RFC 6749, 3.3).
                let text = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
                Some(
                    HeaderValue::from_str(&text)
                        .unwrap_or(HeaderValue::from_static(r#"Bearer error="insufficient_scope""#)),
                )
            }
        }
    }

    /// The response.
    pub fn into_response_with<B: From<String>>(self) -> Response<B> {
        let status = self.status();
        let body = format!(r#"{{"type":"{}","title":"{}","status":{}}}"#, self.code(), self.title(), status.as_u16());
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl axum_core::response::IntoResponse for Problem {
    fn into_response(self) -> axum_core::response::Response {
        self.into_response_with()
    }
}
