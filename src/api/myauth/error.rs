//! What went wrong, as `{"detail": …}`: the one place where this dialect gives failures a status and words.

use crate::api::fastapi::{detail, rejected, unprocessable, weak_password};
use crate::api::{ApiError, INVALID_TOKEN, SOON};
use crate::auth::Error;
use crate::http::{FieldError, IntoResponse, ParamLocation, Response};

/// In which call something went wrong, for the few failures that have other words there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Any,
    SignUp,
    SignIn,
    Reset,
    Toggle,
    Create,
}

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) struct Refusal {
    trouble: ApiError,
    call: Call,
}

impl Refusal {
    /// What went wrong in this call.
    pub(super) fn of<T: Into<ApiError>>(call: Call) -> impl Fn(T) -> Self {
        move |trouble| Self { trouble: trouble.into(), call }
    }
}

impl<T: Into<ApiError>> From<T> for Refusal {
    fn from(trouble: T) -> Self {
        Self { trouble: trouble.into(), call: Call::Any }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.trouble {
            ApiError::Rejection(rejection) => rejected(rejection),
            ApiError::Failure(failure) => failed(failure, self.call),
        }
    }
}

/// What the library says whatever was wrong about a password, to whoever has no business knowing.
const NO_SIGN_IN: &str = "Login failed; incorrect email or password.";

fn failed(failure: Error, call: Call) -> Response {
    let cause = failure.to_string();
    let bad_token = || detail(401, "Could not validate credentials").challenge(INVALID_TOKEN);
    let invalid = |field: &str, why: &str| {
        let trouble = crate::http::FieldErrorKind::Invalid(why.to_owned());
        unprocessable(&[FieldError::new(ParamLocation::Body, field, trouble)])
    };
    let response = match failure {
        Error::NoCredentials => detail(401, "Not authenticated").challenge("Bearer"),
        Error::BadCredentials(_) | Error::RefreshNotInForce | Error::RefreshReused => bad_token(),
        Error::WrongPassword => detail(400, NO_SIGN_IN),
        Error::Disabled if call == Call::SignIn => detail(400, NO_SIGN_IN),
        Error::Disabled => detail(400, "Inactive user"),
        Error::SecondFactorDue | Error::WrongSecondFactor => detail(400, "Login failed; unable to verify TOTP."),
        Error::NoSecondFactor => detail(400, "Login failed; TOTP is not enabled."),
        Error::SecondFactorNotOn | Error::SecondFactorAlreadyOn => {
            detail(400, "Unable to authenticate or activate TOTP.")
        }
        Error::SecondFactorNotOff | Error::SecondFactorAlreadyOff => {
            detail(400, "Unable to authenticate or deactivate TOTP.")
        }
        Error::Unverified => detail(400, "Login failed; the email address is not confirmed."),
        Error::CodeNotInForce | Error::MagicNotInForce => detail(400, "Login failed; invalid claim."),
        Error::ResetNotInForce => detail(400, "Password update failed; invalid claim."),
        Error::ConfirmationNotInForce => detail(400, "Confirmation failed; invalid claim."),
        Error::WrongCurrentPassword => detail(400, "Unable to authenticate this update."),
        Error::RegistrationClosed => detail(400, "Registration is closed."),
        Error::SuperuserStays => detail(403, "Super users are not allowed to delete themselves"),
        Error::NotPermitted | Error::OtherProject => detail(403, "The user does not have the required permissions."),
        Error::NotFound if call == Call::Toggle => detail(400, "Invalid request."),
        Error::NotFound => detail(404, "User not found."),
        Error::EmailTaken | Error::UsernameTaken => match call {
            Call::SignUp => detail(400, "This username is not available."),
            Call::Create => detail(400, "The user with this username already exists in the system."),
            Call::Any | Call::SignIn | Call::Reset | Call::Toggle => detail(409, "This username is not available."),
        },
        Error::BadEmail(bad) => invalid("email", &format!("value is not a valid email address: {bad}")),
        Error::BadUsername(bad) => invalid("username", &bad.to_string()),
        Error::WeakPassword(weak) => {
            let field = if call == Call::Reset { "new_password" } else { "password" };
            unprocessable(&[weak_password(field, weak)])
        }
        Error::BalanceOutOfRange => detail(409, "The balance would be out of range."),
        Error::MailNotHandedOver => detail(503, "The email could not be sent.").retry_after(SOON),
        Error::TooMany { retry_after } => detail(429, "Too Many Requests").retry_after(retry_after),
        Error::Busy | Error::Behind | Error::Unavailable(_) => detail(503, "Service Unavailable").retry_after(SOON),
        Error::Internal(_) => detail(500, "Internal Server Error"),
    };
    response.because(cause).no_store()
}
