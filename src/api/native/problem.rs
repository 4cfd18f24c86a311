//! What went wrong, as an RFC 9457 problem document: the one place where this dialect gives failures a status and words.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, INVALID_TOKEN, SOON};
use crate::auth::Error;
use crate::http::{IntoResponse, Rejection, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(super) struct Problem(ApiError);

impl<T: Into<ApiError>> From<T> for Problem {
    fn from(trouble: T) -> Self {
        Self(trouble.into())
    }
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDocument<'a> {
    /// What went wrong, in a word that stays the same from one version to the next.
    r#type: &'a str,
    /// The same for people.
    title: &'a str,
    /// The answer's status.
    status: u16,
    /// Every fault that was found in the request's fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<FieldFault>>,
}

/// One fault in the request's fields.
#[derive(Serialize, ToSchema)]
pub(super) struct FieldFault {
    /// Where it is, and what is wrong there.
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self.0 {
            ApiError::Rejection(rejection) => rejected(rejection),
            ApiError::Failure(failure) => failed(failure),
        }
    }
}

fn rejected(rejection: Rejection) -> Response {
    let detail = rejection.to_string();
    match rejection {
        Rejection::NotFound => problem(404, "not-found", "Nothing is served at this path.", detail),
        Rejection::MethodNotAllowed { .. } => {
            problem(405, "method-not-allowed", "This path does not answer that method.", detail)
        }
        Rejection::TooLarge { .. } => problem(413, "too-large", "The body is too large.", detail),
        Rejection::UnsupportedMediaType => {
            problem(415, "unsupported-media-type", "Send the body as application/json.", detail)
        }
        Rejection::Unreadable { .. } => problem(400, "unreadable", "The body cannot be read.", detail),
        Rejection::Fields(faults) => {
            let errors = faults.iter().map(|fault| FieldFault { detail: fault.to_string() }).collect();
            let title = "The request's fields will not do.";
            let body = ProblemDocument { r#type: "fields", title, status: 400, errors: Some(errors) };
            document(StatusCode::BAD_REQUEST, &body).because(detail)
        }
        Rejection::BodyTimeout => problem(408, "body-timeout", "The body did not arrive in time.", detail),
        Rejection::Crowded => {
            later(problem(503, "crowded", "Too many large bodies at once; try again soon.", detail), SOON)
        }
        Rejection::Timeout { .. } => later(problem(503, "timeout", "There was no answer in time.", detail), SOON),
        Rejection::Internal => problem(500, "internal", "Something went wrong here.", detail),
    }
}

fn failed(failure: Error) -> Response {
    let cause = failure.to_string();
    match failure {
        Error::NoCredentials => {
            challenge(problem(401, "no-credentials", "Say who you are: Authorization: Bearer …", cause), "Bearer")
        }
        Error::BadCredentials(_) => {
            let response = problem(401, "bad-credentials", "The token or API key is not good.", cause);
            challenge(response, INVALID_TOKEN)
        }
        Error::WrongPassword => challenge(problem(401, "wrong-password", "Wrong name or password.", cause), "Bearer"),
        Error::Disabled => problem(403, "disabled", "This user may not sign in.", cause),
        Error::RefreshNotInForce | Error::RefreshReused => {
            let response = problem(401, "refresh-not-in-force", "The refresh token is not in force.", cause);
            challenge(response, INVALID_TOKEN)
        }
        Error::SecondFactorDue => challenge(
            problem(401, "totp-required", "Send the code of your second factor as totp_code.", cause),
            "Bearer",
        ),
        Error::WrongSecondFactor => challenge(
            problem(401, "wrong-second-factor", "That code of the second factor is not right.", cause),
            "Bearer",
        ),
        Error::NoSecondFactor => problem(400, "no-second-factor", "There is no second factor to prove.", cause),
        Error::SecondFactorNotOn => problem(400, "second-factor-not-on", "The second factor was not turned on.", cause),
        Error::SecondFactorNotOff => {
            problem(400, "second-factor-not-off", "The second factor was not turned off.", cause)
        }
        Error::SecondFactorAlreadyOn => {
            problem(409, "second-factor-already-on", "The second factor is on already.", cause)
        }
        Error::SecondFactorAlreadyOff => {
            problem(409, "second-factor-already-off", "The second factor is off already.", cause)
        }
        Error::Unverified => problem(403, "unverified", "Confirm your address first.", cause),
        Error::CodeNotInForce => {
            challenge(problem(401, "code-not-in-force", "That code is wrong, used or expired.", cause), "Bearer")
        }
        Error::MagicNotInForce => problem(400, "magic-not-in-force", "This link is wrong, used or expired.", cause),
        Error::ResetNotInForce => problem(400, "reset-not-in-force", "This link is wrong, used or expired.", cause),
        Error::ConfirmationNotInForce => {
            problem(400, "confirmation-not-in-force", "This link is wrong or expired.", cause)
        }
        Error::WrongCurrentPassword => {
            problem(400, "wrong-original", "Your present password is wrong or missing.", cause)
        }
        Error::RegistrationClosed => problem(403, "registration-closed", "Registration is closed.", cause),
        Error::OtherProject => problem(403, "other-project", "That project is not yours.", cause),
        Error::SuperuserStays => problem(403, "superuser-stays", "Superusers cannot delete themselves.", cause),
        Error::BalanceOutOfRange => {
            problem(409, "balance-out-of-range", "The balance would be out of range; nothing was changed.", cause)
        }
        Error::MailNotHandedOver => {
            later(problem(503, "mail-not-handed-over", "The mail could not be sent.", cause), SOON)
        }
        Error::NotPermitted => problem(403, "not-permitted", "You may not do this.", cause),
        Error::NotFound => problem(404, "absent", "There is no such thing.", cause),
        Error::EmailTaken => problem(409, "email-taken", "Another user has that e-mail address.", cause),
        Error::UsernameTaken => problem(409, "username-taken", "Another user has that username.", cause),
        Error::BadEmail(_) => problem(400, "bad-email", "That is not an e-mail address.", cause),
        Error::BadUsername(_) => problem(400, "bad-username", "That is not a username.", cause),
        Error::WeakPassword(_) => problem(400, "weak-password", "That password will not do.", cause),
        Error::TooMany { retry_after } => {
            later(problem(429, "too-many", "Too many tries; wait a while.", cause), retry_after)
        }
        Error::Busy => later(problem(503, "busy", "Too many sign-ins at once; try again soon.", cause), SOON),
        Error::Behind => later(problem(503, "behind", "Revocations may be out of date.", cause), SOON),
        Error::Unavailable(_) => {
            later(problem(503, "unavailable", "A part of the service does not answer.", cause), SOON)
        }
        Error::Internal(_) => problem(500, "internal", "Something went wrong here.", cause),
    }
}

fn problem(status: u16, kind: &str, title: &str, cause: String) -> Response {
    let status_code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    document(status_code, &ProblemDocument { r#type: kind, title, status, errors: None }).because(cause)
}

fn document(status: StatusCode, body: &ProblemDocument<'_>) -> Response {
    Response::json(status, body).header(CONTENT_TYPE, HeaderValue::from_static("application/problem+json")).no_store()
}

fn challenge(response: Response, challenge: &'static str) -> Response {
    response.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// Says when to come again, in whole seconds and at least one.
pub(super) fn later(response: Response, after: Duration) -> Response {
    let seconds = after.as_millis().div_ceil(1000).max(1);
    response.header(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)))
}
