//! What went wrong, as FastAPI words it: the one place where this dialect gives failures a status and words.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::fastapi::{detail, rejected, unprocessable, weak_password};
use crate::api::{ApiError, INVALID_TOKEN, SOON};
use crate::auth::Error;
use crate::http;
use crate::http::{FieldError, IntoResponse, ParamLocation, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) struct UcontactError(ApiError);

impl<T: Into<ApiError>> From<T> for UcontactError {
    fn from(trouble: T) -> Self {
        Self(trouble.into())
    }
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Detail<'a> {
    detail: &'a str,
}

impl IntoResponse for UcontactError {
    fn into_response(self) -> Response {
        let response = match self.0 {
            ApiError::Rejection(rejection) => rejected(rejection),
            ApiError::Failure(failure) => failed(failure),
        };
        response.no_store()
    }
}

fn failed(failure: Error) -> Response {
    let cause = failure.to_string();
    let response = match &failure {
        Error::NoCredentials => detail(401, "Not authenticated").challenge("Bearer"),
        Error::BadCredentials(_) => detail(401, "Could not validate credentials").challenge(INVALID_TOKEN),
        Error::RefreshNotInForce | Error::RefreshReused => {
            detail(401, "Invalid or expired refresh token").challenge(INVALID_TOKEN)
        }
        Error::WrongPassword => detail(401, "User or password is incorrect").challenge("Bearer"),
        Error::Unverified => detail(401, "User is not verified").challenge("Bearer"),
        Error::SecondFactorDue => detail(401, "totp_required").challenge("Bearer"),
        Error::WrongSecondFactor => detail(401, "Invalid totp_code").challenge("Bearer"),
        Error::CodeNotInForce => detail(401, "Invalid code").challenge("Bearer"),
        Error::ConfirmationNotInForce => detail(422, "Invalid email verification token"),
        // Only a confirmation can find that its user is gone.
        Error::NotFound => detail(400, "Verification error"),
        Error::Disabled => detail(403, "User is disabled"),
        Error::RegistrationClosed => detail(403, "Registration is closed"),
        Error::OtherProject | Error::SuperuserStays | Error::NotPermitted => detail(403, "Forbidden"),
        Error::EmailTaken => detail(409, "User with this email already exist"),
        Error::UsernameTaken => detail(409, "User with this username already exists"),
        Error::SecondFactorAlreadyOn | Error::SecondFactorAlreadyOff | Error::BalanceOutOfRange => detail(409, &cause),
        Error::MagicNotInForce | Error::ResetNotInForce => detail(400, "Invalid or expired token"),
        Error::WrongCurrentPassword => detail(400, "Incorrect password"),
        Error::NoSecondFactor | Error::SecondFactorNotOn | Error::SecondFactorNotOff => detail(400, &cause),
        Error::BadEmail(bad) => unprocessable(&[faulty("email", bad.to_string())]),
        Error::BadUsername(bad) => unprocessable(&[faulty("username", bad.to_string())]),
        Error::WeakPassword(weak) => unprocessable(&[weak_password("password", *weak)]),
        Error::TooMany { retry_after } => detail(429, "Too Many Requests").retry_after(*retry_after),
        Error::Busy | Error::Behind | Error::Unavailable(_) | Error::MailNotHandedOver => {
            detail(503, "Service Unavailable").retry_after(SOON)
        }
        Error::Internal(_) => detail(500, "Internal Server Error"),
    };
    response.because(cause)
}

pub(super) fn faulty(field: &str, why: String) -> FieldError {
    FieldError::new(ParamLocation::Body, field, http::FieldErrorKind::Invalid(why))
}
