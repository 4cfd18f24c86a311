//! What went wrong, as a code in the body: the one place where this dialect gives failures a status and words.
//!
//! The numbers are the published document's. It has none for what its own service never told; those codes are ours, and words, since a
//! number of ours might be one of that service's elsewhere.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{INVALID_TOKEN, SOON, Trouble};
use crate::auth::Failure;
use crate::auth::accounts::identity::{BadEmail, BadUsername};
use crate::http::{Fault, Rejection, Response, Step, Trouble as FieldTrouble};

/// How an answer without anything else to say looks, a failure's or a success's.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"error_code": "128"})))]
pub(super) struct ErrorCode<'a> {
    /// `0` where all went well; what went wrong otherwise.
    pub(super) error_code: &'a str,
}

/// What went wrong, on its way to being worded.
pub(super) struct Refusal(Trouble);

impl<T: Into<Trouble>> From<T> for Refusal {
    fn from(trouble: T) -> Self {
        Self(trouble.into())
    }
}

/// A code and its status.
enum Told {
    /// What the request was about went wrong: with 200, where the settings have failures in the body alone.
    Refused(u16, &'static str),
    /// The request could not be looked at, or not now: always with its status, by which proxies and clients act.
    Failed(u16, &'static str),
}

/// Words what went wrong; `in_band`: as the settings have it, for clients that look at the body alone.
pub(super) fn word(refusal: impl Into<Refusal>, in_band: bool) -> Response {
    match refusal.into().0 {
        Trouble::Rejection(rejection) => {
            let (told, cause) = (rejected(&rejection), rejection.to_string());
            let response = answer(told, in_band).because(cause);
            let comes_again = matches!(rejection, Rejection::Crowded | Rejection::Timeout { .. });
            if comes_again { response.retry_after(SOON) } else { response }
        }
        Trouble::Failure(failure) => {
            let response = answer(failed(&failure), in_band).because(failure.to_string());
            match (response.status().as_u16(), failure) {
                (401, Failure::BadCredentials(_) | Failure::NotPermitted | Failure::Absent) => {
                    response.challenge(INVALID_TOKEN)
                }
                (401, _) => response.challenge("Bearer"),
                (_, Failure::TooMany { retry_after }) => response.retry_after(retry_after),
                (503, _) => response.retry_after(SOON),
                _ => response,
            }
        }
    }
}

fn answer(told: Told, in_band: bool) -> Response {
    let (status, error_code) = match told {
        Told::Refused(_, code) if in_band => (200, code),
        Told::Refused(status, code) | Told::Failed(status, code) => (status, code),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::json(status, &ErrorCode { error_code }).no_store()
}

fn rejected(rejection: &Rejection) -> Told {
    match rejection {
        Rejection::NotFound => Told::Failed(404, "NOT_FOUND"),
        Rejection::MethodNotAllowed { .. } => Told::Failed(405, "METHOD_NOT_ALLOWED"),
        Rejection::TooLarge { .. } => Told::Failed(413, "BODY_TOO_LARGE"),
        Rejection::UnsupportedMediaType => Told::Failed(415, "MEDIA_TYPE_NOT_SUPPORTED"),
        Rejection::Unreadable { .. } => Told::Failed(400, "BODY_UNREADABLE"),
        Rejection::Fields(faults) => faults.first().map_or(Told::Failed(400, "BODY_UNREADABLE"), field),
        Rejection::BodyTimeout => Told::Failed(408, "BODY_TOO_SLOW"),
        Rejection::Crowded | Rejection::Timeout { .. } => Told::Failed(503, "SERVICE_UNAVAILABLE"),
        Rejection::Internal => Told::Failed(500, "INTERNAL_ERROR"),
    }
}

/// A field that is empty has a number; one of another type is none that could be read.
fn field(fault: &Fault) -> Told {
    match (fault.path.as_slice(), &fault.trouble) {
        ([Step::Field(name)], FieldTrouble::Missing) => match name.as_str() {
            "email" => Told::Refused(400, "129"),
            "password" => Told::Refused(400, "130"),
            "user_name" => Told::Refused(400, "131"),
            "refresh_token" => Told::Refused(400, "137"),
            "user_id" => Told::Refused(400, "157"),
            _ => Told::Failed(400, "BODY_UNREADABLE"),
        },
        _ => Told::Failed(400, "BODY_UNREADABLE"),
    }
}

fn failed(failure: &Failure) -> Told {
    match failure {
        Failure::BadEmail(BadEmail::Empty) => Told::Refused(400, "129"),
        Failure::BadEmail(_) => Told::Refused(400, "124"),
        Failure::BadUsername(BadUsername::Empty) => Told::Refused(400, "131"),
        Failure::BadUsername(BadUsername::TooLong) => Told::Refused(400, "139"),
        Failure::BadUsername(BadUsername::Character) => Told::Refused(400, "USER_NAME_INVALID"),
        Failure::WeakPassword(_) => Told::Refused(400, "PASSWORD_TOO_WEAK"),
        Failure::EmailTaken => Told::Refused(409, "133"),
        Failure::RegistrationClosed => Told::Refused(403, "REGISTRATION_CLOSED"),
        Failure::WrongPassword => Told::Refused(401, "128"),
        Failure::Disabled => Told::Refused(403, "USER_DISABLED"),
        Failure::Unverified => Told::Refused(403, "EMAIL_NOT_VERIFIED"),
        Failure::SecondFactorDue => Told::Refused(200, "150"),
        Failure::NoSecondFactor => Told::Refused(400, "151"),
        Failure::WrongSecondFactor => Told::Refused(401, "152"),
        Failure::SecondFactorAlreadyOn => Told::Refused(409, "153"),
        Failure::SecondFactorAlreadyOff => Told::Refused(400, "154"),
        Failure::RefreshNotInForce | Failure::RefreshReused => Told::Refused(409, "132"),
        Failure::NoCredentials => Told::Refused(400, "127"),
        // An API key is no access token here: only a person has a second factor.
        Failure::BadCredentials(_) | Failure::NotPermitted => Told::Refused(401, "126"),
        Failure::Absent => Told::Refused(401, "142"),
        Failure::CodeNotInForce => Told::Refused(401, "156"),
        Failure::MailNotHandedOver => Told::Refused(502, "NOTIFY_GRPC_FAILED"),
        Failure::TooMany { .. } => Told::Failed(429, "TOO_MANY_REQUESTS"),
        Failure::Busy | Failure::Behind | Failure::Unavailable(_) => Told::Failed(503, "SERVICE_UNAVAILABLE"),
        Failure::Internal(_) => Told::Failed(500, "INTERNAL_ERROR"),
        // No call of this dialect can end so.
        Failure::UsernameTaken
        | Failure::SecondFactorNotOn
        | Failure::SecondFactorNotOff
        | Failure::MagicNotInForce
        | Failure::ResetNotInForce
        | Failure::ConfirmationNotInForce
        | Failure::WrongOriginal
        | Failure::OtherProject
        | Failure::SuperuserStays
        | Failure::BalanceOutOfRange => Told::Refused(400, "REQUEST_REFUSED"),
    }
}
