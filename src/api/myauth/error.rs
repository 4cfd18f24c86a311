//! Errors as `{"detail": …}`: the only place where this dialect maps errors to a status and a text.

use crate::api::fastapi::{detail, invalid_fields, password_error, render_rejection};
use crate::api::{ApiError, INVALID_TOKEN, RECENT_SIGN_IN, SOON, wire_text};
use crate::auth::Error;
use crate::auth::error::{Denial, InputError, LinkKind, MfaError};
use crate::http::{FieldError, FieldErrorKind, IntoResponse, ParamLocation, Response};

/// The call that failed. A few errors have a text of their own in some calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Any,
    SignUp,
    SignIn,
    Reset,
    Toggle,
    Create,
}

/// Error of a handler of this dialect.
#[derive(Debug)]
pub(super) struct MyauthError {
    error: ApiError,
    call: Call,
}

impl MyauthError {
    /// Converts an error that occurred in `call`; for `map_err`.
    pub(super) fn in_call<T: Into<ApiError>>(call: Call) -> impl Fn(T) -> Self {
        move |error| Self { error: error.into(), call }
    }
}

impl<T: Into<ApiError>> From<T> for MyauthError {
    fn from(error: T) -> Self {
        Self { error: error.into(), call: Call::Any }
    }
}

impl IntoResponse for MyauthError {
    fn into_response(self) -> Response {
        match self.error {
            ApiError::Rejection(rejection) => render_rejection(rejection),
            ApiError::Failure(error) => render(error, self.call),
        }
    }
}

/// One text for a wrong password, an unknown user and a disabled one, so that none can be told apart.
const LOGIN_FAILED: &str = "Login failed; incorrect email or password.";

fn render(error: Error, call: Call) -> Response {
    let cause = error.to_string();
    let invalid_token = || detail(401, "Could not validate credentials").challenge(INVALID_TOKEN);
    let invalid_field = |name: &str, reason: String| {
        invalid_fields(&[FieldError::new(ParamLocation::Body, name, FieldErrorKind::Invalid(reason))])
    };
    let response = match error {
        Error::MissingCredentials | Error::ApiKeyNotAccepted => detail(401, "Not authenticated").challenge("Bearer"),
        Error::InvalidToken(_) | Error::InvalidRefreshToken | Error::RefreshTokenReused => invalid_token(),
        Error::InvalidCredentials => detail(400, LOGIN_FAILED),
        Error::AccountDisabled if call == Call::SignIn => detail(400, LOGIN_FAILED),
        Error::AccountDisabled => detail(400, "Inactive user"),
        Error::MfaRequired | Error::InvalidMfaCode => detail(400, "Login failed; unable to verify TOTP."),
        Error::Mfa(MfaError::NotEnabled) => detail(400, "Login failed; TOTP is not enabled."),
        Error::Mfa(MfaError::EnableFailed | MfaError::AlreadyEnabled) => {
            detail(400, "Unable to authenticate or activate TOTP.")
        }
        Error::Mfa(MfaError::DisableFailed | MfaError::AlreadyDisabled) => {
            detail(400, "Unable to authenticate or deactivate TOTP.")
        }
        Error::EmailNotVerified => detail(400, "Login failed; the email address is not confirmed."),
        Error::InvalidCode | Error::InvalidLink(LinkKind::MagicLink) => detail(400, "Login failed; invalid claim."),
        Error::InvalidLink(LinkKind::PasswordReset) => detail(400, "Password update failed; invalid claim."),
        Error::InvalidLink(LinkKind::EmailVerification) => detail(400, "Confirmation failed; invalid claim."),
        Error::WrongCurrentPassword => detail(400, "Unable to authenticate this update."),
        // Clients of this dialect answer a 401 by signing in again, which is what is needed.
        Error::RecentSignInRequired => detail(401, "Could not validate credentials").challenge(RECENT_SIGN_IN),
        Error::RegistrationClosed => detail(400, "Registration is closed."),
        Error::Forbidden(Denial::CannotDeleteSelf) => detail(403, "Super users are not allowed to delete themselves"),
        Error::Forbidden(
            Denial::MissingPermission | Denial::SessionRequired | Denial::OtherProject | Denial::TooManyApiKeys,
        ) => detail(403, "The user does not have the required permissions."),
        Error::NotFound if call == Call::Toggle => detail(400, "Invalid request."),
        Error::NotFound => detail(404, "User not found."),
        Error::EmailTaken | Error::UsernameTaken => match call {
            Call::SignUp => detail(400, "This username is not available."),
            Call::Create => detail(400, "The user with this username already exists in the system."),
            Call::Any | Call::SignIn | Call::Reset | Call::Toggle => detail(409, "This username is not available."),
        },
        Error::EmailChanged => detail(409, "The user has another email address by now."),
        Error::InvalidInput(InputError::Email(error)) => {
            invalid_field("email", format!("value is not a valid email address: {}", wire_text::email(error)))
        }
        Error::InvalidInput(InputError::Username(error)) => {
            invalid_field("username", wire_text::username(error).to_owned())
        }
        Error::InvalidInput(InputError::Password(violation)) => {
            let field = if call == Call::Reset { "new_password" } else { "password" };
            invalid_fields(&[password_error(field, violation)])
        }
        Error::InvalidTarget | Error::InvalidSubjectToken(_) => detail(400, "The token cannot be issued."),
        Error::Idempotency(_) => detail(409, "The request was sent before."),
        Error::BalanceOutOfRange => detail(409, "The balance would be out of range."),
        Error::MailNotSent => detail(503, "The email could not be sent.").retry_after(SOON),
        Error::RateLimited { retry_after } => detail(429, "Too Many Requests").retry_after(retry_after),
        Error::Overloaded => detail(503, "Service Unavailable").retry_after(SOON).summarized(),
        Error::Stale | Error::Unavailable(_) => detail(503, "Service Unavailable").retry_after(SOON),
        Error::Internal(_) => detail(500, "Internal Server Error"),
    };
    response.with_cause(cause).no_store()
}
