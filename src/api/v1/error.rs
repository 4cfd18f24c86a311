//! Errors as `{"error": "…"}`: the only place where this dialect maps errors to a status and a text.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, INVALID_TOKEN, RECENT_SIGN_IN, SOON, status_code, wire_text};
use crate::auth::Error;
use crate::auth::error::{Denial, InputError, LinkKind, MfaError};
use crate::http::{IntoResponse, Rejection, Response};

/// Error of a handler of this dialect.
#[derive(Debug)]
pub(super) enum V1Error {
    /// An error that any dialect can have.
    Api(ApiError),
    /// The new password and its repetition differ.
    PasswordMismatch,
}

impl<T: Into<ApiError>> From<T> for V1Error {
    fn from(error: T) -> Self {
        Self::Api(error.into())
    }
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    /// Stable text for programs.
    error: &'a str,
    /// Details for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    details: Option<String>,
}

impl IntoResponse for V1Error {
    fn into_response(self) -> Response {
        match self {
            Self::Api(ApiError::Rejection(rejection)) => render_rejection(&rejection),
            Self::Api(ApiError::Failure(error)) => render(&error),
            Self::PasswordMismatch => error_response(400, "password not confirm"),
        }
    }
}

fn render_rejection(rejection: &Rejection) -> Response {
    let response = match rejection {
        Rejection::NotFound => error_response(404, "not found"),
        Rejection::MethodNotAllowed => error_response(405, "method not allowed"),
        Rejection::BodyTooLarge { limit } => {
            error_with_details(413, "request body too large", format!("the body is larger than {limit} bytes"))
        }
        Rejection::UnsupportedMediaType => error_response(415, "unsupported media type"),
        Rejection::MalformedBody { detail, at } => {
            error_with_details(400, "invalid request body", format!("unreadable body: {detail} (at byte {at})"))
        }
        Rejection::InvalidFields(errors) => {
            let errors = errors.iter().map(wire_text::field_error).collect::<Vec<_>>();
            error_with_details(400, "invalid request", errors.join("; "))
        }
        Rejection::BodyTimeout => error_response(408, "request timeout"),
        Rejection::Overloaded => error_response(503, "service unavailable").retry_after(SOON),
        Rejection::Timeout { .. } => error_response(503, "timeout").retry_after(SOON),
        Rejection::Internal => error_response(500, "internal error"),
    };
    response.with_cause(rejection.to_string())
}

fn render(error: &Error) -> Response {
    let response = match error {
        Error::MissingCredentials | Error::ApiKeyNotAccepted => {
            error_response(401, "missing token").challenge("Bearer")
        }
        // In this dialect only tokens name users, so a deleted user means an invalid token.
        Error::InvalidToken(_) | Error::InvalidLink(LinkKind::EmailVerification) | Error::NotFound => {
            error_response(401, "invalid token").challenge(INVALID_TOKEN)
        }
        Error::RecentSignInRequired => error_response(401, "invalid token").challenge(RECENT_SIGN_IN),
        Error::InvalidRefreshToken | Error::RefreshTokenReused => {
            error_response(401, "invalid refresh token").challenge(INVALID_TOKEN)
        }
        Error::InvalidCredentials => error_response(401, "invalid email or password").challenge("Bearer"),
        Error::MfaRequired => error_response(401, "totp_required").challenge("Bearer"),
        Error::InvalidMfaCode => error_response(401, "invalid totp_code").challenge("Bearer"),
        Error::InvalidCode => error_response(401, "invalid code").challenge("Bearer"),
        Error::AccountDisabled => error_response(403, "user disabled"),
        Error::EmailNotVerified => error_response(403, "email not verified"),
        Error::RegistrationClosed => error_response(403, "registration closed"),
        Error::Forbidden(
            Denial::OtherProject
            | Denial::CannotDeleteSelf
            | Denial::MissingPermission
            | Denial::SessionRequired
            | Denial::TooManyApiKeys,
        ) => error_response(403, "permission denied"),
        Error::InvalidLink(LinkKind::MagicLink | LinkKind::PasswordReset) => {
            error_response(400, "invalid or expired token")
        }
        Error::WrongCurrentPassword => {
            error_with_details(400, "invalid password", "the present password is wrong or missing")
        }
        Error::Mfa(error @ (MfaError::NotEnabled | MfaError::EnableFailed | MfaError::DisableFailed)) => {
            error_with_details(400, "invalid totp", wire_text::mfa(*error))
        }
        Error::InvalidInput(InputError::Email(error)) => {
            error_with_details(400, "invalid email", wire_text::email(*error))
        }
        Error::InvalidInput(InputError::Username(error)) => {
            error_with_details(400, "invalid username", wire_text::username(*error))
        }
        Error::InvalidInput(InputError::Password(violation)) => {
            error_with_details(400, "invalid password", wire_text::password(*violation))
        }
        Error::EmailTaken => error_with_details(409, "register email exists", "the e-mail address is taken"),
        Error::UsernameTaken => error_with_details(409, "register username exists", "the username is taken"),
        Error::EmailChanged => error_with_details(409, "conflict", "the user has another e-mail address"),
        Error::Mfa(error @ (MfaError::AlreadyEnabled | MfaError::AlreadyDisabled)) => {
            error_with_details(409, "conflict", wire_text::mfa(*error))
        }
        Error::InvalidTarget | Error::InvalidSubjectToken(_) => {
            error_with_details(400, "bad request", "the token cannot be issued")
        }
        Error::Idempotency(_) => error_with_details(409, "conflict", "the request was sent before"),
        Error::BalanceOutOfRange => error_with_details(409, "conflict", "the balance would be out of range"),
        Error::RateLimited { retry_after } => error_response(429, "too many requests").retry_after(*retry_after),
        Error::Overloaded => error_response(503, "service unavailable").retry_after(SOON).summarized(),
        Error::Stale | Error::Unavailable(_) | Error::MailNotSent => {
            error_response(503, "service unavailable").retry_after(SOON)
        }
        Error::Internal(_) => error_response(500, "internal error"),
    };
    response.with_cause(error.to_string())
}

fn error_response(status: u16, error: &str) -> Response {
    Response::json(status_code(status), &ErrorBody { error, details: None }).no_store()
}

fn error_with_details(status: u16, error: &str, details: impl Into<String>) -> Response {
    Response::json(status_code(status), &ErrorBody { error, details: Some(details.into()) }).no_store()
}
