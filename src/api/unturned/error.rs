//! Errors in the envelope: the only place where this dialect maps errors to a status, a code and a message. Invalid
//! fields are FastAPI's 422.

use super::envelope::failure;
use crate::api::fastapi::{invalid_fields, malformed_json};
use crate::api::{ApiError, INVALID_TOKEN, RECENT_SIGN_IN, SOON};
use crate::auth::Error;
use crate::auth::error::{Denial, InputError, LinkKind, MfaError};
use crate::http::{IntoResponse, Rejection, Response};

/// Error of a handler of this dialect.
#[derive(Debug)]
pub(super) struct UnturnedError(ApiError);

impl<T: Into<ApiError>> From<T> for UnturnedError {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for UnturnedError {
    fn into_response(self) -> Response {
        match self.0 {
            ApiError::Rejection(rejection) => {
                let cause = rejection.to_string();
                render_rejection(rejection).with_cause(cause)
            }
            ApiError::Failure(error) => {
                let cause = error.to_string();
                render(error).with_cause(cause)
            }
        }
    }
}

const BEARER: &str = "Bearer";

fn render_rejection(rejection: Rejection) -> Response {
    match rejection {
        Rejection::NotFound => failure(404, "not_found", "Nothing is served at this path."),
        Rejection::MethodNotAllowed => failure(405, "method_not_allowed", "This path does not answer that method."),
        Rejection::BodyTooLarge { .. } => failure(413, "payload_too_large", "The body is too large."),
        Rejection::UnsupportedMediaType => failure(415, "unsupported_media_type", "Send the body as application/json."),
        Rejection::MalformedBody { detail, at } => malformed_json(&detail, at),
        Rejection::InvalidFields(errors) => invalid_fields(&errors),
        Rejection::BodyTimeout => failure(408, "body_timeout", "The body did not arrive in time."),
        Rejection::Overloaded => {
            failure(503, "crowded", "Too many large bodies at once; try again soon.").retry_after(SOON)
        }
        Rejection::Timeout { .. } => failure(503, "timeout", "There was no answer in time.").retry_after(SOON),
        Rejection::Internal => failure(500, "internal_error", "Something went wrong here."),
    }
}

fn render(error: Error) -> Response {
    match error {
        Error::MissingCredentials => failure(401, "not_authenticated", "Not authenticated.").challenge(BEARER),
        Error::ApiKeyNotAccepted => {
            failure(401, "not_authenticated", "An API key cannot do this. Sign in, and send the access token.")
                .challenge(BEARER)
        }
        Error::InvalidToken(_) => {
            failure(401, "invalid_token", "The token or API key is not good.").challenge(INVALID_TOKEN)
        }
        Error::InvalidCredentials => {
            failure(401, "invalid_credentials", "The sign-in did not succeed.").challenge(BEARER)
        }
        Error::AccountDisabled => failure(403, "user_disabled", "This user may not sign in."),
        Error::MfaRequired => {
            failure(401, "totp_required", "Send the code of your second factor as totp_code.").challenge(BEARER)
        }
        Error::InvalidMfaCode => {
            failure(401, "invalid_totp_code", "That code of the second factor is not right.").challenge(BEARER)
        }
        Error::Mfa(MfaError::NotEnabled) => failure(400, "totp_not_enabled", "There is no second factor."),
        Error::Mfa(MfaError::EnableFailed) => {
            failure(400, "totp_not_turned_on", "The second factor was not turned on.")
        }
        Error::Mfa(MfaError::DisableFailed) => {
            failure(400, "totp_not_turned_off", "The second factor was not turned off.")
        }
        Error::Mfa(MfaError::AlreadyEnabled) => {
            failure(409, "totp_already_enabled", "The second factor is on already.")
        }
        Error::Mfa(MfaError::AlreadyDisabled) => {
            failure(409, "totp_already_disabled", "The second factor is off already.")
        }
        Error::EmailNotVerified => failure(403, "email_not_verified", "Confirm your address first."),
        Error::InvalidCode => failure(401, "invalid_code", "That code is wrong, used or expired.").challenge(BEARER),
        Error::InvalidLink(LinkKind::MagicLink | LinkKind::PasswordReset | LinkKind::EmailVerification) => {
            failure(400, "invalid_link", "This link is wrong, used or expired.")
        }
        Error::WrongCurrentPassword => failure(400, "wrong_password", "Your present password is wrong or missing."),
        Error::RecentSignInRequired => {
            failure(401, "insufficient_user_authentication", "You signed in too long ago for this. Sign in again.")
                .challenge(RECENT_SIGN_IN)
        }
        Error::RegistrationClosed => failure(403, "registration_closed", "Registration is closed."),
        Error::Forbidden(Denial::SessionRequired) => {
            failure(403, "forbidden", "An API key, or a token of one, cannot do this. Sign in.")
        }
        Error::Forbidden(Denial::OtherProject) => failure(403, "project_forbidden", "That project is not yours."),
        Error::Forbidden(Denial::CannotDeleteSelf) => {
            failure(403, "superuser_stays", "Superusers cannot delete themselves.")
        }
        Error::Forbidden(Denial::TooManyApiKeys) => {
            failure(403, "too_many_api_keys", "You have too many API keys. Deactivate some first.")
        }
        Error::InvalidTarget | Error::InvalidSubjectToken(_) => {
            failure(400, "invalid_target", "The token cannot be issued.")
        }
        Error::Idempotency(_) => failure(409, "sent_before", "The request was sent before."),
        Error::BalanceOutOfRange => failure(409, "balance_out_of_range", "The balance would be out of range."),
        Error::MailNotSent => failure(503, "mail_unavailable", "The mail could not be sent.").retry_after(SOON),
        Error::InvalidRefreshToken | Error::RefreshTokenReused => {
            failure(401, "invalid_refresh_token", "The refresh token is not in force.").challenge(INVALID_TOKEN)
        }
        Error::Forbidden(Denial::MissingPermission) => failure(403, "forbidden", "You may not do this."),
        Error::NotFound => failure(404, "not_found", "There is no such thing."),
        Error::EmailTaken => failure(409, "email_taken", "Another user has that e-mail address."),
        Error::UsernameTaken => failure(409, "username_taken", "Another user has that username."),
        Error::EmailChanged => failure(409, "email_changed", "The user has another e-mail address by now."),
        Error::InvalidInput(InputError::Email(_)) => failure(400, "invalid_email", "That is not an e-mail address."),
        Error::InvalidInput(InputError::Username(_)) => failure(400, "invalid_username", "That is not a username."),
        Error::InvalidInput(InputError::Password(_)) => failure(400, "weak_password", "That password will not do."),
        Error::RateLimited { retry_after } => {
            failure(429, "too_many_requests", "Too many tries; wait a while.").retry_after(retry_after)
        }
        Error::Overloaded => {
            failure(503, "busy", "Too many sign-ins at once; try again soon.").retry_after(SOON).summarized()
        }
        Error::Stale => failure(503, "behind", "Revocations may be out of date.").retry_after(SOON),
        Error::Unavailable(_) => {
            failure(503, "unavailable", "A part of the service does not answer.").retry_after(SOON)
        }
        Error::Internal(_) => failure(500, "internal_error", "Something went wrong here."),
    }
}
