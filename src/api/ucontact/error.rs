//! What went wrong, as FastAPI words it: the one place where this dialect gives failures a status and words.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::fastapi::{detail, rejected, unprocessable, weak_password};
use crate::api::{INVALID_TOKEN, SOON, Trouble};
use crate::auth::Failure;
use crate::http;
use crate::http::{Answer, Fault, Place, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) struct UcontactError(Trouble);

impl<T: Into<Trouble>> From<T> for UcontactError {
    fn from(trouble: T) -> Self {
        Self(trouble.into())
    }
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Detail<'a> {
    detail: &'a str,
}

impl Answer for UcontactError {
    fn answer(self) -> Response {
        let response = match self.0 {
            Trouble::Rejection(rejection) => rejected(rejection),
            Trouble::Failure(failure) => failed(failure),
        };
        response.no_store()
    }
}

fn failed(failure: Failure) -> Response {
    let cause = failure.to_string();
    let response = match &failure {
        Failure::NoCredentials => detail(401, "Not authenticated").challenge("Bearer"),
        Failure::BadCredentials(_) => detail(401, "Could not validate credentials").challenge(INVALID_TOKEN),
        Failure::RefreshNotInForce | Failure::RefreshReused => {
            detail(401, "Invalid or expired refresh token").challenge(INVALID_TOKEN)
        }
        Failure::WrongPassword => detail(401, "User or password is incorrect").challenge("Bearer"),
        Failure::Unverified => detail(401, "User is not verified").challenge("Bearer"),
        Failure::SecondFactorDue => detail(401, "totp_required").challenge("Bearer"),
        Failure::WrongSecondFactor => detail(401, "Invalid totp_code").challenge("Bearer"),
        Failure::CodeNotInForce => detail(401, "Invalid code").challenge("Bearer"),
        Failure::ConfirmationNotInForce => detail(422, "Invalid email verification token"),
        // Only a confirmation can find that its user is gone.
        Failure::Absent => detail(400, "Verification error"),
        Failure::Disabled => detail(403, "User is disabled"),
        Failure::RegistrationClosed => detail(403, "Registration is closed"),
        Failure::OtherProject | Failure::SuperuserStays | Failure::NotPermitted => detail(403, "Forbidden"),
        Failure::EmailTaken => detail(409, "User with this email already exist"),
        Failure::UsernameTaken => detail(409, "User with this username already exists"),
        Failure::SecondFactorAlreadyOn | Failure::SecondFactorAlreadyOff | Failure::BalanceOutOfRange => {
            detail(409, &cause)
        }
        Failure::MagicNotInForce | Failure::ResetNotInForce => detail(400, "Invalid or expired token"),
        Failure::WrongOriginal => detail(400, "Incorrect password"),
        Failure::NoSecondFactor | Failure::SecondFactorNotOn | Failure::SecondFactorNotOff => detail(400, &cause),
        Failure::BadEmail(bad) => unprocessable(&[faulty("email", bad.to_string())]),
        Failure::BadUsername(bad) => unprocessable(&[faulty("username", bad.to_string())]),
        Failure::WeakPassword(weak) => unprocessable(&[weak_password("password", *weak)]),
        Failure::TooMany { retry_after } => detail(429, "Too Many Requests").retry_after(*retry_after),
        Failure::Busy | Failure::Behind | Failure::Unavailable(_) | Failure::MailNotHandedOver => {
            detail(503, "Service Unavailable").retry_after(SOON)
        }
        Failure::Internal(_) => detail(500, "Internal Server Error"),
    };
    response.because(cause)
}

pub(super) fn faulty(field: &str, why: String) -> Fault {
    Fault::of(Place::Body, field, http::Trouble::Invalid(why))
}
