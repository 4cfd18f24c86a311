//! What went wrong, in the envelope: the one place where this dialect gives failures a status, a code and words. Faulty fields are
//! FastAPI's own 422.

use super::envelope::error;
use crate::api::fastapi::{unprocessable, unreadable};
use crate::api::{ApiError, INVALID_TOKEN, SOON};
use crate::auth::Error;
use crate::http::{IntoResponse, Rejection, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) struct Refusal(ApiError);

impl<T: Into<ApiError>> From<T> for Refusal {
    fn from(trouble: T) -> Self {
        Self(trouble.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.0 {
            ApiError::Rejection(rejection) => {
                let cause = rejection.to_string();
                rejected(rejection).because(cause)
            }
            ApiError::Failure(failure) => {
                let cause = failure.to_string();
                failed(failure).because(cause)
            }
        }
    }
}

const BEARER: &str = "Bearer";

fn rejected(rejection: Rejection) -> Response {
    match rejection {
        Rejection::NotFound => error(404, "not_found", "Nothing is served at this path."),
        Rejection::MethodNotAllowed { .. } => {
            error(405, "method_not_allowed", "This path does not answer that method.")
        }
        Rejection::TooLarge { .. } => error(413, "payload_too_large", "The body is too large."),
        Rejection::UnsupportedMediaType => error(415, "unsupported_media_type", "Send the body as application/json."),
        Rejection::Unreadable { detail, at } => unreadable(&detail, at),
        Rejection::Fields(faults) => unprocessable(&faults),
        Rejection::BodyTimeout => error(408, "body_timeout", "The body did not arrive in time."),
        Rejection::Crowded => error(503, "crowded", "Too many large bodies at once; try again soon.").retry_after(SOON),
        Rejection::Timeout { .. } => error(503, "timeout", "There was no answer in time.").retry_after(SOON),
        Rejection::Internal => error(500, "internal_error", "Something went wrong here."),
    }
}

fn failed(failure: Error) -> Response {
    match failure {
        Error::NoCredentials => error(401, "not_authenticated", "Not authenticated.").challenge(BEARER),
        Error::BadCredentials(_) => {
            error(401, "invalid_token", "The token or API key is not good.").challenge(INVALID_TOKEN)
        }
        Error::WrongPassword => error(401, "invalid_credentials", "The sign-in did not succeed.").challenge(BEARER),
        Error::Disabled => error(403, "user_disabled", "This user may not sign in."),
        Error::SecondFactorDue => {
            error(401, "totp_required", "Send the code of your second factor as totp_code.").challenge(BEARER)
        }
        Error::WrongSecondFactor => {
            error(401, "invalid_totp_code", "That code of the second factor is not right.").challenge(BEARER)
        }
        Error::NoSecondFactor => error(400, "totp_not_enabled", "There is no second factor."),
        Error::SecondFactorNotOn => error(400, "totp_not_turned_on", "The second factor was not turned on."),
        Error::SecondFactorNotOff => error(400, "totp_not_turned_off", "The second factor was not turned off."),
        Error::SecondFactorAlreadyOn => error(409, "totp_already_enabled", "The second factor is on already."),
        Error::SecondFactorAlreadyOff => error(409, "totp_already_disabled", "The second factor is off already."),
        Error::Unverified => error(403, "email_not_verified", "Confirm your address first."),
        Error::CodeNotInForce => error(401, "invalid_code", "That code is wrong, used or expired.").challenge(BEARER),
        Error::MagicNotInForce | Error::ResetNotInForce | Error::ConfirmationNotInForce => {
            error(400, "invalid_link", "This link is wrong, used or expired.")
        }
        Error::WrongCurrentPassword => error(400, "wrong_password", "Your present password is wrong or missing."),
        Error::RegistrationClosed => error(403, "registration_closed", "Registration is closed."),
        Error::OtherProject => error(403, "project_forbidden", "That project is not yours."),
        Error::SuperuserStays => error(403, "superuser_stays", "Superusers cannot delete themselves."),
        Error::BalanceOutOfRange => error(409, "balance_out_of_range", "The balance would be out of range."),
        Error::MailNotHandedOver => error(503, "mail_unavailable", "The mail could not be sent.").retry_after(SOON),
        Error::RefreshNotInForce | Error::RefreshReused => {
            error(401, "invalid_refresh_token", "The refresh token is not in force.").challenge(INVALID_TOKEN)
        }
        Error::NotPermitted => error(403, "forbidden", "You may not do this."),
        Error::NotFound => error(404, "not_found", "There is no such thing."),
        Error::EmailTaken => error(409, "email_taken", "Another user has that e-mail address."),
        Error::UsernameTaken => error(409, "username_taken", "Another user has that username."),
        Error::BadEmail(_) => error(400, "invalid_email", "That is not an e-mail address."),
        Error::BadUsername(_) => error(400, "invalid_username", "That is not a username."),
        Error::WeakPassword(_) => error(400, "weak_password", "That password will not do."),
        Error::TooMany { retry_after } => {
            error(429, "too_many_requests", "Too many tries; wait a while.").retry_after(retry_after)
        }
        Error::Busy => error(503, "busy", "Too many sign-ins at once; try again soon.").retry_after(SOON),
        Error::Behind => error(503, "behind", "Revocations may be out of date.").retry_after(SOON),
        Error::Unavailable(_) => error(503, "unavailable", "A part of the service does not answer.").retry_after(SOON),
        Error::Internal(_) => error(500, "internal_error", "Something went wrong here."),
    }
}
