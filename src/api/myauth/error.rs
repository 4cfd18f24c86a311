//! What went wrong, as `{"detail": …}`: the one place where this dialect gives failures a status and words.

use crate::api::fastapi::{detail, rejected, unprocessable, weak_password};
use crate::api::{INVALID_TOKEN, SOON, Trouble};
use crate::auth::Failure;
use crate::http::{Answer, Fault, Place, Response};

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
    trouble: Trouble,
    call: Call,
}

impl Refusal {
    /// What went wrong in this call.
    pub(super) fn of<T: Into<Trouble>>(call: Call) -> impl Fn(T) -> Self {
        move |trouble| Self { trouble: trouble.into(), call }
    }
}

impl<T: Into<Trouble>> From<T> for Refusal {
    fn from(trouble: T) -> Self {
        Self { trouble: trouble.into(), call: Call::Any }
    }
}

impl Answer for Refusal {
    fn answer(self) -> Response {
        match self.trouble {
            Trouble::Rejection(rejection) => rejected(rejection),
            Trouble::Failure(failure) => failed(failure, self.call),
        }
    }
}

/// What the library says whatever was wrong about a password, to whoever has no business knowing.
const NO_SIGN_IN: &str = "Login failed; incorrect email or password.";

fn failed(failure: Failure, call: Call) -> Response {
    let cause = failure.to_string();
    let bad_token = || detail(401, "Could not validate credentials").challenge(INVALID_TOKEN);
    let invalid = |field: &str, why: &str| {
        let trouble = crate::http::Trouble::Invalid(why.to_owned());
        unprocessable(&[Fault::of(Place::Body, field, trouble)])
    };
    let response = match failure {
        Failure::NoCredentials => detail(401, "Not authenticated").challenge("Bearer"),
        Failure::BadCredentials(_) | Failure::RefreshNotInForce | Failure::RefreshReused => bad_token(),
        Failure::WrongPassword => detail(400, NO_SIGN_IN),
        Failure::Disabled if call == Call::SignIn => detail(400, NO_SIGN_IN),
        Failure::Disabled => detail(400, "Inactive user"),
        Failure::SecondFactorDue | Failure::WrongSecondFactor => detail(400, "Login failed; unable to verify TOTP."),
        Failure::NoSecondFactor => detail(400, "Login failed; TOTP is not enabled."),
        Failure::SecondFactorNotOn | Failure::SecondFactorAlreadyOn => {
            detail(400, "Unable to authenticate or activate TOTP.")
        }
        Failure::SecondFactorNotOff | Failure::SecondFactorAlreadyOff => {
            detail(400, "Unable to authenticate or deactivate TOTP.")
        }
        Failure::Unverified => detail(400, "Login failed; the email address is not confirmed."),
        Failure::CodeNotInForce | Failure::MagicNotInForce => detail(400, "Login failed; invalid claim."),
        Failure::ResetNotInForce => detail(400, "Password update failed; invalid claim."),
        Failure::ConfirmationNotInForce => detail(400, "Confirmation failed; invalid claim."),
        Failure::WrongOriginal => detail(400, "Unable to authenticate this update."),
        Failure::RegistrationClosed => detail(400, "Registration is closed."),
        Failure::SuperuserStays => detail(403, "Super users are not allowed to delete themselves"),
        Failure::NotPermitted | Failure::OtherProject => {
            detail(403, "The user does not have the required permissions.")
        }
        Failure::Absent if call == Call::Toggle => detail(400, "Invalid request."),
        Failure::Absent => detail(404, "User not found."),
        Failure::EmailTaken | Failure::UsernameTaken => match call {
            Call::SignUp => detail(400, "This username is not available."),
            Call::Create => detail(400, "The user with this username already exists in the system."),
            Call::Any | Call::SignIn | Call::Reset | Call::Toggle => detail(409, "This username is not available."),
        },
        Failure::BadEmail(bad) => invalid("email", &format!("value is not a valid email address: {bad}")),
        Failure::BadUsername(bad) => invalid("username", &bad.to_string()),
        Failure::WeakPassword(weak) => {
            let field = if call == Call::Reset { "new_password" } else { "password" };
            unprocessable(&[weak_password(field, weak)])
        }
        Failure::BalanceOutOfRange => detail(409, "The balance would be out of range."),
        Failure::MailNotHandedOver => detail(503, "The email could not be sent.").retry_after(SOON),
        Failure::TooMany { retry_after } => detail(429, "Too Many Requests").retry_after(retry_after),
        Failure::Busy | Failure::Behind | Failure::Unavailable(_) => {
            detail(503, "Service Unavailable").retry_after(SOON)
        }
        Failure::Internal(_) => detail(500, "Internal Server Error"),
    };
    response.because(cause).no_store()
}
