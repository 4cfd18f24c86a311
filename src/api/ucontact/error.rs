//! Errors as FastAPI's `{"detail": …}`: the only place where this dialect maps errors to a status and a text.

use crate::api::fastapi::{detail, invalid_fields, password_error, render_rejection};
use crate::api::{ApiError, INVALID_TOKEN, RECENT_SIGN_IN, SOON, wire_text};
use crate::auth::Error;
use crate::auth::error::{Denial, InputError, LinkKind, MfaError};
use crate::http::{FieldError, FieldErrorKind, IntoResponse, ParamLocation, Response};

/// Error of a handler of this dialect.
#[derive(Debug)]
pub(super) struct UcontactError(ApiError);

impl<T: Into<ApiError>> From<T> for UcontactError {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for UcontactError {
    fn into_response(self) -> Response {
        let response = match self.0 {
            ApiError::Rejection(rejection) => render_rejection(rejection),
            ApiError::Failure(error) => render(&error),
        };
        response.no_store()
    }
}

fn render(error: &Error) -> Response {
    let response = match error {
        Error::MissingCredentials | Error::ApiKeyNotAccepted => detail(401, "Not authenticated").challenge("Bearer"),
        Error::InvalidToken(_) => detail(401, "Could not validate credentials").challenge(INVALID_TOKEN),
        Error::RecentSignInRequired => detail(401, "Could not validate credentials").challenge(RECENT_SIGN_IN),
        Error::InvalidRefreshToken | Error::RefreshTokenReused => {
            detail(401, "Invalid or expired refresh token").challenge(INVALID_TOKEN)
        }
        Error::InvalidCredentials => detail(401, "User or password is incorrect").challenge("Bearer"),
        Error::EmailNotVerified => detail(401, "User is not verified").challenge("Bearer"),
        Error::MfaRequired => detail(401, "totp_required").challenge("Bearer"),
        Error::InvalidMfaCode => detail(401, "Invalid totp_code").challenge("Bearer"),
        Error::InvalidCode => detail(401, "Invalid code").challenge("Bearer"),
        Error::InvalidLink(LinkKind::EmailVerification) => detail(422, "Invalid email verification token"),
        // Only email verification can return it, for a user that was deleted.
        Error::NotFound => detail(400, "Verification error"),
        Error::AccountDisabled => detail(403, "User is disabled"),
        Error::RegistrationClosed => detail(403, "Registration is closed"),
        Error::Forbidden(
            Denial::OtherProject
            | Denial::CannotDeleteSelf
            | Denial::MissingPermission
            | Denial::SessionRequired
            | Denial::TooManyApiKeys,
        ) => detail(403, "Forbidden"),
        Error::EmailTaken => detail(409, "User with this email already exist"),
        Error::UsernameTaken => detail(409, "User with this username already exists"),
        Error::EmailChanged => detail(409, "the user has another email address"),
        Error::InvalidTarget | Error::InvalidSubjectToken(_) => detail(400, "the token cannot be issued"),
        Error::Idempotency(_) => detail(409, "the request was sent before"),
        Error::BalanceOutOfRange => detail(409, "the balance would be out of range"),
        Error::Mfa(error @ (MfaError::AlreadyEnabled | MfaError::AlreadyDisabled)) => {
            detail(409, wire_text::mfa(*error))
        }
        Error::Mfa(error @ (MfaError::NotEnabled | MfaError::EnableFailed | MfaError::DisableFailed)) => {
            detail(400, wire_text::mfa(*error))
        }
        Error::InvalidLink(LinkKind::MagicLink | LinkKind::PasswordReset) => detail(400, "Invalid or expired token"),
        Error::WrongCurrentPassword => detail(400, "Incorrect password"),
        Error::InvalidInput(InputError::Email(error)) => {
            invalid_fields(&[body_field_error("email", wire_text::email(*error))])
        }
        Error::InvalidInput(InputError::Username(error)) => {
            invalid_fields(&[body_field_error("username", wire_text::username(*error))])
        }
        Error::InvalidInput(InputError::Password(violation)) => {
            invalid_fields(&[password_error("password", *violation)])
        }
        Error::RateLimited { retry_after } => detail(429, "Too Many Requests").retry_after(*retry_after),
        Error::Overloaded => detail(503, "Service Unavailable").retry_after(SOON).summarized(),
        Error::Stale | Error::Unavailable(_) | Error::MailNotSent => {
            detail(503, "Service Unavailable").retry_after(SOON)
        }
        Error::Internal(_) => detail(500, "Internal Server Error"),
    };
    response.with_cause(error.to_string())
}

pub(super) fn body_field_error(name: &str, reason: &str) -> FieldError {
    FieldError::new(ParamLocation::Body, name, FieldErrorKind::Invalid(reason.to_owned()))
}
