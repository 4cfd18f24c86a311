//! What went wrong at a token endpoint, as RFC 6749, 5.2 words it: the one place where these calls give failures a status.

use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::problem::later;
use crate::api::{ApiError, SOON};
use crate::auth::Error;
use crate::auth::tokens::verify::VerifyError;
use crate::http::{IntoResponse, Rejection, Response};

/// What went wrong, on its way to being worded.
#[derive(Debug)]
pub(crate) enum OauthError {
    /// As it may everywhere.
    Trouble(ApiError),
    /// A parameter that must be there is not.
    Missing(&'static str),
    /// A parameter is there twice.
    Repeated,
    /// A token of a kind that is not revoked here: API keys are deactivated, by whom they belong to.
    UnsupportedToken,
    /// A grant that we do not know.
    UnsupportedGrant,
}

/// What went wrong (RFC 6749, 5.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct OauthErrorBody<'a> {
    /// In a word that the RFC knows.
    error: &'a str,
    /// The same for people.
    error_description: &'a str,
}

impl<T: Into<ApiError>> From<T> for OauthError {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble.into())
    }
}

impl OauthError {
    pub(super) fn missing(parameter: &'static str) -> Self {
        Self::Missing(parameter)
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        match self {
            Self::Trouble(ApiError::Rejection(rejection)) => rejected(&rejection),
            Self::Trouble(ApiError::Failure(failure)) => failed(failure),
            Self::Missing(parameter) => error(400, "invalid_request", &format!("{parameter} is missing")),
            Self::Repeated => error(400, "invalid_request", "a parameter is there more than once"),
            Self::UnsupportedToken => error(400, "unsupported_token_type", "API keys are deactivated, not revoked"),
            Self::UnsupportedGrant => error(400, "unsupported_grant_type", "use refresh_token or client_credentials"),
        }
    }
}

fn rejected(rejection: &Rejection) -> Response {
    let description = rejection.to_string();
    match rejection {
        Rejection::NotFound => error(404, "invalid_request", &description),
        Rejection::MethodNotAllowed { .. } => error(405, "invalid_request", &description),
        Rejection::TooLarge { .. } => error(413, "invalid_request", &description),
        Rejection::UnsupportedMediaType => {
            error(415, "invalid_request", "send the body as application/x-www-form-urlencoded")
        }
        Rejection::Unreadable { .. } | Rejection::Fields(_) => error(400, "invalid_request", &description),
        Rejection::BodyTimeout => error(408, "invalid_request", &description),
        Rejection::Crowded | Rejection::Timeout { .. } => {
            later(error(503, "temporarily_unavailable", &description), SOON)
        }
        Rejection::Internal => error(500, "server_error", "something went wrong here"),
    }
}

fn failed(failure: Error) -> Response {
    let cause = failure.to_string();
    let response = match failure {
        Error::BadCredentials(VerifyError::InsufficientScope) => {
            error(400, "invalid_scope", "the API key does not have that scope")
        }
        Error::NoCredentials | Error::BadCredentials(_) => {
            error(401, "invalid_client", "authenticate with an API key as the client's secret")
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"signet\""))
        }
        Error::RefreshNotInForce | Error::RefreshReused | Error::WrongPassword | Error::Disabled => {
            error(400, "invalid_grant", "the refresh token is not in force")
        }
        Error::NotPermitted => error(403, "unauthorized_client", "the API key does not have the scope for this"),
        Error::MailNotHandedOver => {
            later(error(503, "temporarily_unavailable", "a part of the service does not answer"), SOON)
        }
        Error::NotFound
        | Error::SecondFactorDue
        | Error::WrongSecondFactor
        | Error::NoSecondFactor
        | Error::SecondFactorNotOn
        | Error::SecondFactorNotOff
        | Error::SecondFactorAlreadyOn
        | Error::SecondFactorAlreadyOff
        | Error::Unverified
        | Error::CodeNotInForce
        | Error::MagicNotInForce
        | Error::ResetNotInForce
        | Error::ConfirmationNotInForce
        | Error::WrongCurrentPassword
        | Error::RegistrationClosed
        | Error::OtherProject
        | Error::SuperuserStays
        | Error::BalanceOutOfRange
        | Error::EmailTaken
        | Error::UsernameTaken
        | Error::BadEmail(_)
        | Error::BadUsername(_)
        | Error::WeakPassword(_) => error(400, "invalid_request", &cause),
        Error::TooMany { retry_after } => later(error(429, "temporarily_unavailable", "too many tries"), retry_after),
        Error::Busy | Error::Behind | Error::Unavailable(_) => {
            later(error(503, "temporarily_unavailable", "a part of the service does not answer"), SOON)
        }
        Error::Internal(_) => error(500, "server_error", "something went wrong here"),
    };
    response.because(cause)
}

fn error(status: u16, error: &str, error_description: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::json(status, &OauthErrorBody { error, error_description }).no_store()
}
