//! What went wrong, as `{"error":"…"}`: the one place where this dialect gives failures a status and words.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, INVALID_TOKEN, SOON};
use crate::auth::Error;
use crate::http::{IntoResponse, Rejection, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) enum V1Error {
    /// As anywhere.
    Trouble(ApiError),
    /// A new password and its repetition are not the same.
    NotConfirmed,
}

impl<T: Into<ApiError>> From<T> for V1Error {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble.into())
    }
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    /// In words that stay the same.
    error: &'a str,
    /// More of it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    details: Option<String>,
}

impl IntoResponse for V1Error {
    fn into_response(self) -> Response {
        match self {
            Self::Trouble(ApiError::Rejection(rejection)) => rejected(rejection),
            Self::Trouble(ApiError::Failure(failure)) => failed(failure),
            Self::NotConfirmed => error(400, "password not confirm", None),
        }
    }
}

fn rejected(rejection: Rejection) -> Response {
    let cause = rejection.to_string();
    let (status, words, details) = match rejection {
        Rejection::NotFound => (404, "not found", None),
        Rejection::MethodNotAllowed { .. } => (405, "method not allowed", None),
        Rejection::TooLarge { .. } => (413, "request body too large", Some(cause.clone())),
        Rejection::UnsupportedMediaType => (415, "unsupported media type", None),
        Rejection::Unreadable { .. } => (400, "invalid request body", Some(cause.clone())),
        Rejection::Fields(faults) => {
            let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
            (400, "invalid request", Some(faults.join("; ")))
        }
        Rejection::BodyTimeout => (408, "request timeout", None),
        Rejection::Crowded => return error(503, "service unavailable", None).retry_after(SOON).because(cause),
        Rejection::Timeout { .. } => return error(503, "timeout", None).retry_after(SOON).because(cause),
        Rejection::Internal => (500, "internal error", None),
    };
    error(status, words, details).because(cause)
}

fn failed(failure: Error) -> Response {
    let cause = failure.to_string();
    let response = match &failure {
        Error::NoCredentials => error(401, "missing token", None).challenge("Bearer"),
        // Only tokens name users here, so one who is gone is a token that is over.
        Error::BadCredentials(_) | Error::ConfirmationNotInForce | Error::NotFound => {
            error(401, "invalid token", None).challenge(INVALID_TOKEN)
        }
        Error::RefreshNotInForce | Error::RefreshReused => {
            error(401, "invalid refresh token", None).challenge(INVALID_TOKEN)
        }
        Error::WrongPassword => error(401, "invalid email or password", None).challenge("Bearer"),
        Error::SecondFactorDue => error(401, "totp_required", None).challenge("Bearer"),
        Error::WrongSecondFactor => error(401, "invalid totp_code", None).challenge("Bearer"),
        Error::CodeNotInForce => error(401, "invalid code", None).challenge("Bearer"),
        Error::Disabled => error(403, "user disabled", None),
        Error::Unverified => error(403, "email not verified", None),
        Error::RegistrationClosed => error(403, "registration closed", None),
        Error::OtherProject | Error::SuperuserStays | Error::NotPermitted => error(403, "permission denied", None),
        Error::MagicNotInForce | Error::ResetNotInForce => error(400, "invalid or expired token", None),
        Error::WrongCurrentPassword => error(400, "invalid password", Some(cause.clone())),
        Error::NoSecondFactor | Error::SecondFactorNotOn | Error::SecondFactorNotOff => {
            error(400, "invalid totp", Some(cause.clone()))
        }
        Error::BadEmail(bad) => error(400, "invalid email", Some(bad.to_string())),
        Error::BadUsername(bad) => error(400, "invalid username", Some(bad.to_string())),
        Error::WeakPassword(weak) => error(400, "invalid password", Some(weak.to_string())),
        Error::EmailTaken => error(409, "register email exists", Some(cause.clone())),
        Error::UsernameTaken => error(409, "register username exists", Some(cause.clone())),
        Error::SecondFactorAlreadyOn | Error::SecondFactorAlreadyOff | Error::BalanceOutOfRange => {
            error(409, "conflict", Some(cause.clone()))
        }
        Error::TooMany { retry_after } => error(429, "too many requests", None).retry_after(*retry_after),
        Error::Busy | Error::Behind | Error::Unavailable(_) | Error::MailNotHandedOver => {
            error(503, "service unavailable", None).retry_after(SOON)
        }
        Error::Internal(_) => error(500, "internal error", None),
    };
    response.because(cause)
}

fn error(status: u16, words: &str, details: Option<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::json(status, &ErrorBody { error: words, details }).no_store()
}
