//! OAuth error responses (RFC 6749, 5.2): the one place where these calls give errors a status and a code.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, SOON, status_code};
use crate::auth::Error;
use crate::auth::error::Denial;
use crate::auth::tokens::verify::VerifyError;
use crate::http::{IntoResponse, Rejection, Response};

/// An error of the OAuth endpoints.
#[derive(Debug)]
pub(crate) enum OauthError {
    /// An error that other calls have as well.
    Api(ApiError),
    /// A required parameter is missing.
    MissingParameter(&'static str),
    /// A parameter has a value that is not supported: its name, and the rule that the value violates.
    InvalidParameter(&'static str, &'static str),
    /// The request names several audiences. A token here has one.
    SeveralTargets,
    /// A parameter occurs more than once.
    RepeatedParameter,
    /// API keys cannot be revoked here: their owners deactivate them.
    UnsupportedTokenType,
    /// None of the grant types that are supported.
    UnsupportedGrantType,
}

/// An OAuth error response (RFC 6749, 5.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct OauthErrorBody<'a> {
    /// The error code of the RFC.
    error: &'a str,
    /// A short description for people.
    error_description: &'a str,
}

impl<T: Into<ApiError>> From<T> for OauthError {
    fn from(error: T) -> Self {
        Self::Api(error.into())
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        match self {
            Self::Api(ApiError::Rejection(rejection)) => render_rejection(&rejection),
            Self::Api(ApiError::Failure(error)) => render_error(error),
            Self::MissingParameter(parameter) => respond(400, "invalid_request", &format!("{parameter} is missing")),
            Self::InvalidParameter(parameter, rule) => respond(400, "invalid_request", &format!("{parameter} {rule}")),
            Self::SeveralTargets => respond(400, "invalid_target", "a token has one audience"),
            Self::RepeatedParameter => respond(400, "invalid_request", "a parameter occurs more than once"),
            Self::UnsupportedTokenType => {
                respond(400, "unsupported_token_type", "API keys are deactivated, not revoked")
            }
            Self::UnsupportedGrantType => {
                respond(400, "unsupported_grant_type", "use refresh_token, client_credentials or token-exchange")
            }
        }
    }
}

fn render_rejection(rejection: &Rejection) -> Response {
    let description = rejection.to_string();
    match rejection {
        Rejection::NotFound => respond(404, "invalid_request", &description),
        Rejection::MethodNotAllowed => respond(405, "invalid_request", &description),
        Rejection::BodyTooLarge { .. } => respond(413, "invalid_request", &description),
        Rejection::UnsupportedMediaType => {
            respond(415, "invalid_request", "send the body as application/x-www-form-urlencoded")
        }
        Rejection::MalformedBody { .. } | Rejection::InvalidFields(_) => respond(400, "invalid_request", &description),
        Rejection::BodyTimeout => respond(408, "invalid_request", &description),
        Rejection::Overloaded | Rejection::Timeout { .. } => {
            respond(503, "temporarily_unavailable", &description).retry_after(SOON)
        }
        Rejection::Internal => respond(500, "server_error", "internal error"),
    }
}

fn render_error(error: Error) -> Response {
    let cause = error.to_string();
    let response = match error {
        Error::InvalidToken(VerifyError::InsufficientScope) => {
            respond(400, "invalid_scope", "the credentials do not have that scope, or the audience does not allow it")
        }
        Error::MissingCredentials | Error::ApiKeyNotAccepted | Error::InvalidToken(_) => {
            respond(401, "invalid_client", "authenticate with an API key as the client secret")
                .challenge("Basic realm=\"signet\"")
        }
        Error::InvalidRefreshToken | Error::RefreshTokenReused | Error::InvalidCredentials | Error::AccountDisabled => {
            respond(400, "invalid_grant", "the refresh token is invalid, expired or revoked")
        }
        Error::EmailNotVerified => respond(400, "invalid_grant", "the user must confirm the email address first"),
        Error::Forbidden(Denial::MissingPermission) => {
            respond(403, "unauthorized_client", "the API key does not have the right for this")
        }
        Error::InvalidTarget => respond(400, "invalid_target", "no token for that audience can be issued here"),
        // RFC 8693, 2.2.2: not `invalid_grant`.
        Error::InvalidSubjectToken(_) => respond(400, "invalid_request", &cause),
        Error::NotFound
        | Error::MfaRequired
        | Error::InvalidMfaCode
        | Error::Mfa(_)
        | Error::InvalidCode
        | Error::InvalidLink(_)
        | Error::WrongCurrentPassword
        | Error::RecentSignInRequired
        | Error::RegistrationClosed
        | Error::Forbidden(
            Denial::SessionRequired | Denial::OtherProject | Denial::CannotDeleteSelf | Denial::TooManyApiKeys,
        )
        | Error::Idempotency(_)
        | Error::BalanceOutOfRange
        | Error::EmailTaken
        | Error::EmailChanged
        | Error::UsernameTaken
        | Error::InvalidInput(_) => respond(400, "invalid_request", &cause),
        Error::RateLimited { retry_after } => {
            respond(429, "temporarily_unavailable", "too many attempts").retry_after(retry_after)
        }
        Error::Overloaded => {
            let description = "a part of the service is unavailable";
            respond(503, "temporarily_unavailable", description).retry_after(SOON).summarized()
        }
        Error::Stale | Error::MailNotSent | Error::Unavailable(_) => {
            respond(503, "temporarily_unavailable", "a part of the service is unavailable").retry_after(SOON)
        }
        Error::Internal(_) => respond(500, "server_error", "internal error"),
    };
    response.with_cause(cause)
}

fn respond(status: u16, error: &str, error_description: &str) -> Response {
    Response::json(status_code(status), &OauthErrorBody { error, error_description }).no_store()
}
