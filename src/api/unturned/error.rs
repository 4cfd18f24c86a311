//! What went wrong, in the envelope: the one place where this dialect gives failures a status, a code and words. Faulty fields are
//! FastAPI's own 422.

use super::envelope::error;
use crate::api::fastapi::{unprocessable, unreadable};
use crate::api::{INVALID_TOKEN, SOON, Trouble};
use crate::auth::Failure;
use crate::http::{Answer, Rejection, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) struct Refusal(Trouble);

impl<T: Into<Trouble>> From<T> for Refusal {
    fn from(trouble: T) -> Self {
        Self(trouble.into())
    }
}

impl Answer for Refusal {
    fn answer(self) -> Response {
        match self.0 {
            Trouble::Rejection(rejection) => {
                let cause = rejection.to_string();
                rejected(rejection).because(cause)
            }
            Trouble::Failure(failure) => {
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

fn failed(failure: Failure) -> Response {
    match failure {
        Failure::NoCredentials => error(401, "not_authenticated", "Not authenticated.").challenge(BEARER),
        Failure::BadCredentials(_) => {
            error(401, "invalid_token", "The token or API key is not good.").challenge(INVALID_TOKEN)
        }
        Failure::WrongPassword => error(401, "invalid_credentials", "The sign-in did not succeed.").challenge(BEARER),
        Failure::Disabled => error(403, "user_disabled", "This user may not sign in."),
        Failure::SecondFactorDue => {
            error(401, "totp_required", "Send the code of your second factor as totp_code.").challenge(BEARER)
        }
        Failure::WrongSecondFactor => {
            error(401, "invalid_totp_code", "That code of the second factor is not right.").challenge(BEARER)
        }
        Failure::NoSecondFactor => error(400, "totp_not_enabled", "There is no second factor."),
        Failure::SecondFactorNotOn => error(400, "totp_not_turned_on", "The second factor was not turned on."),
        Failure::SecondFactorNotOff => error(400, "totp_not_turned_off", "The second factor was not turned off."),
        Failure::SecondFactorAlreadyOn => error(409, "totp_already_enabled", "The second factor is on already."),
        Failure::SecondFactorAlreadyOff => error(409, "totp_already_disabled", "The second factor is off already."),
        Failure::Unverified => error(403, "email_not_verified", "Confirm your address first."),
        Failure::CodeNotInForce => error(401, "invalid_code", "That code is wrong, used or expired.").challenge(BEARER),
        Failure::MagicNotInForce | Failure::ResetNotInForce | Failure::ConfirmationNotInForce => {
            error(400, "invalid_link", "This link is wrong, used or expired.")
        }
        Failure::WrongOriginal => error(400, "wrong_password", "Your present password is wrong or missing."),
        Failure::RegistrationClosed => error(403, "registration_closed", "Registration is closed."),
        Failure::OtherProject => error(403, "project_forbidden", "That project is not yours."),
        Failure::SuperuserStays => error(403, "superuser_stays", "Superusers cannot delete themselves."),
        Failure::BalanceOutOfRange => error(409, "balance_out_of_range", "The balance would be out of range."),
        Failure::MailNotHandedOver => error(503, "mail_unavailable", "The mail could not be sent.").retry_after(SOON),
        Failure::RefreshNotInForce | Failure::RefreshReused => {
            error(401, "invalid_refresh_token", "The refresh token is not in force.").challenge(INVALID_TOKEN)
        }
        Failure::NotPermitted => error(403, "forbidden", "You may not do this."),
        Failure::Absent => error(404, "not_found", "There is no such thing."),
        Failure::EmailTaken => error(409, "email_taken", "Another user has that e-mail address."),
        Failure::UsernameTaken => error(409, "username_taken", "Another user has that username."),
        Failure::BadEmail(_) => error(400, "invalid_email", "That is not an e-mail address."),
        Failure::BadUsername(_) => error(400, "invalid_username", "That is not a username."),
        Failure::WeakPassword(_) => error(400, "weak_password", "That password will not do."),
        Failure::TooMany { retry_after } => {
            error(429, "too_many_requests", "Too many tries; wait a while.").retry_after(retry_after)
        }
        Failure::Busy => error(503, "busy", "Too many sign-ins at once; try again soon.").retry_after(SOON),
        Failure::Behind => error(503, "behind", "Revocations may be out of date.").retry_after(SOON),
        Failure::Unavailable(_) => {
            error(503, "unavailable", "A part of the service does not answer.").retry_after(SOON)
        }
        Failure::Internal(_) => error(500, "internal_error", "Something went wrong here."),
    }
}
