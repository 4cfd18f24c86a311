//! What went wrong, as a code in the body: the one place where this dialect gives failures a status and words.
//!
//! The numbers are the published document's. It has none for what its own service never told; those codes are ours, and words, since a
//! number of ours might be one of that service's elsewhere.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, INVALID_TOKEN, SOON};
use crate::auth::Error;
use crate::auth::accounts::identity::{BadEmail, BadUsername};
use crate::http::{FieldError, FieldErrorKind as FieldTrouble, PathSegment, Rejection, Response};

/// How an answer without anything else to say looks, a failure's or a success's.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"error_code": "128"})))]
pub(super) struct ErrorCode<'a> {
    /// `0` where all went well; what went wrong otherwise.
    pub(super) error_code: &'a str,
}

/// What went wrong, on its way to being worded.
pub(super) struct Refusal(ApiError);

impl<T: Into<ApiError>> From<T> for Refusal {
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
        ApiError::Rejection(rejection) => {
            let (told, cause) = (rejected(&rejection), rejection.to_string());
            let response = answer(told, in_band).because(cause);
            let comes_again = matches!(rejection, Rejection::Crowded | Rejection::Timeout { .. });
            if comes_again { response.retry_after(SOON) } else { response }
        }
        ApiError::Failure(failure) => {
            let response = answer(failed(&failure), in_band).because(failure.to_string());
            match (response.status().as_u16(), failure) {
                (401, Error::BadCredentials(_) | Error::NotPermitted | Error::NotFound) => {
                    response.challenge(INVALID_TOKEN)
                }
                (401, _) => response.challenge("Bearer"),
                (_, Error::TooMany { retry_after }) => response.retry_after(retry_after),
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
fn field(fault: &FieldError) -> Told {
    match (fault.path.as_slice(), &fault.trouble) {
        ([PathSegment::Field(name)], FieldTrouble::Missing) => match name.as_str() {
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

fn failed(failure: &Error) -> Told {
    match failure {
        Error::BadEmail(BadEmail::Empty) => Told::Refused(400, "129"),
        Error::BadEmail(_) => Told::Refused(400, "124"),
        Error::BadUsername(BadUsername::Empty) => Told::Refused(400, "131"),
        Error::BadUsername(BadUsername::TooLong) => Told::Refused(400, "139"),
        Error::BadUsername(BadUsername::Character) => Told::Refused(400, "USER_NAME_INVALID"),
        Error::WeakPassword(_) => Told::Refused(400, "PASSWORD_TOO_WEAK"),
        Error::EmailTaken => Told::Refused(409, "133"),
        Error::RegistrationClosed => Told::Refused(403, "REGISTRATION_CLOSED"),
        Error::WrongPassword => Told::Refused(401, "128"),
        Error::Disabled => Told::Refused(403, "USER_DISABLED"),
        Error::Unverified => Told::Refused(403, "EMAIL_NOT_VERIFIED"),
        Error::SecondFactorDue => Told::Refused(200, "150"),
        Error::NoSecondFactor => Told::Refused(400, "151"),
        Error::WrongSecondFactor => Told::Refused(401, "152"),
        Error::SecondFactorAlreadyOn => Told::Refused(409, "153"),
        Error::SecondFactorAlreadyOff => Told::Refused(400, "154"),
        Error::RefreshNotInForce | Error::RefreshReused => Told::Refused(409, "132"),
        Error::NoCredentials => Told::Refused(400, "127"),
        // An API key is no access token here: only a person has a second factor.
        Error::BadCredentials(_) | Error::NotPermitted => Told::Refused(401, "126"),
        Error::NotFound => Told::Refused(401, "142"),
        Error::CodeNotInForce => Told::Refused(401, "156"),
        Error::MailNotHandedOver => Told::Refused(502, "NOTIFY_GRPC_FAILED"),
        Error::TooMany { .. } => Told::Failed(429, "TOO_MANY_REQUESTS"),
        Error::Busy | Error::Behind | Error::Unavailable(_) => Told::Failed(503, "SERVICE_UNAVAILABLE"),
        Error::Internal(_) => Told::Failed(500, "INTERNAL_ERROR"),
        // No call of this dialect can end so.
        Error::UsernameTaken
        | Error::SecondFactorNotOn
        | Error::SecondFactorNotOff
        | Error::MagicNotInForce
        | Error::ResetNotInForce
        | Error::ConfirmationNotInForce
        | Error::WrongCurrentPassword
        | Error::OtherProject
        | Error::SuperuserStays
        | Error::BalanceOutOfRange => Told::Refused(400, "REQUEST_REFUSED"),
    }
}
