//! Errors as `{"error_code": …}`: the only place where this dialect maps errors to a status and a code.
//!
//! Numeric codes come from the published document. It has none for some errors; for those Signet defines codes that are
//! words, because a number could collide with one that the document's own service uses elsewhere.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, INVALID_TOKEN, SOON, status_code};
use crate::auth::Error;
use crate::auth::error::{Denial, InputError, LinkKind, MfaError};
use crate::auth::identity::{EmailError, UsernameError};
use crate::http::{FieldError, FieldErrorKind, PathSegment, Rejection, Response};

/// Body of every error, and of a success that returns no data.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"error_code": "128"})))]
pub(super) struct ErrorCode<'a> {
    /// `0` on success, otherwise the code of the error.
    pub(super) error_code: &'a str,
}

/// Error of a handler of this dialect.
pub(super) struct CodesError(ApiError);

impl<T: Into<ApiError>> From<T> for CodesError {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

/// HTTP status and code of an error.
enum ErrorReply {
    /// The operation failed. Sent with status 200 if the settings say `status = "in-band"`.
    Application(u16, &'static str),
    /// The request could not be processed, or not now. Always keeps its status, because proxies and clients act on it.
    Infrastructure(u16, &'static str),
}

/// Renders an error. With `in_band`, application errors have status 200, for clients that look only at the body.
pub(super) fn render(error: impl Into<CodesError>, in_band: bool) -> Response {
    match error.into().0 {
        ApiError::Rejection(rejection) => {
            let response = into_response(rejection_reply(&rejection), in_band).with_cause(rejection.to_string());
            let is_temporary = matches!(rejection, Rejection::Overloaded | Rejection::Timeout { .. });
            if is_temporary { response.retry_after(SOON) } else { response }
        }
        ApiError::Failure(error) => {
            let response = into_response(error_reply(&error), in_band).with_cause(error.to_string());
            match (response.status().as_u16(), error) {
                (
                    401,
                    Error::InvalidToken(_)
                    | Error::Forbidden(Denial::MissingPermission | Denial::SessionRequired)
                    | Error::NotFound,
                ) => response.challenge(INVALID_TOKEN),
                (401, _) => response.challenge("Bearer"),
                (_, Error::RateLimited { retry_after }) => response.retry_after(retry_after),
                (503, Error::Overloaded) => response.retry_after(SOON).summarized(),
                (503, _) => response.retry_after(SOON),
                _ => response,
            }
        }
    }
}

fn into_response(reply: ErrorReply, in_band: bool) -> Response {
    let (status, error_code) = match reply {
        ErrorReply::Application(_, code) if in_band => (200, code),
        ErrorReply::Application(status, code) | ErrorReply::Infrastructure(status, code) => (status, code),
    };
    Response::json(status_code(status), &ErrorCode { error_code }).no_store()
}

fn rejection_reply(rejection: &Rejection) -> ErrorReply {
    use ErrorReply::Infrastructure;
    match rejection {
        Rejection::NotFound => Infrastructure(404, "NOT_FOUND"),
        Rejection::MethodNotAllowed => Infrastructure(405, "METHOD_NOT_ALLOWED"),
        Rejection::BodyTooLarge { .. } => Infrastructure(413, "BODY_TOO_LARGE"),
        Rejection::UnsupportedMediaType => Infrastructure(415, "MEDIA_TYPE_NOT_SUPPORTED"),
        Rejection::MalformedBody { .. } => Infrastructure(400, "BODY_UNREADABLE"),
        Rejection::InvalidFields(errors) => errors.first().map_or(Infrastructure(400, "BODY_UNREADABLE"), field_reply),
        Rejection::BodyTimeout => Infrastructure(408, "BODY_TOO_SLOW"),
        Rejection::Overloaded | Rejection::Timeout { .. } => Infrastructure(503, "SERVICE_UNAVAILABLE"),
        Rejection::Internal => Infrastructure(500, "INTERNAL_ERROR"),
    }
}

/// An empty or missing field has a number of its own. A field of the wrong type means that the body cannot be read.
fn field_reply(field: &FieldError) -> ErrorReply {
    use ErrorReply::{Application, Infrastructure};
    match (field.path.as_slice(), &field.kind) {
        ([PathSegment::Field(name)], FieldErrorKind::Missing) => match name.as_str() {
            "email" => Application(400, "129"),
            "password" => Application(400, "130"),
            "user_name" => Application(400, "131"),
            "refresh_token" => Application(400, "137"),
            "user_id" => Application(400, "157"),
            _ => Infrastructure(400, "BODY_UNREADABLE"),
        },
        _ => Infrastructure(400, "BODY_UNREADABLE"),
    }
}

fn error_reply(error: &Error) -> ErrorReply {
    use ErrorReply::{Application, Infrastructure};
    match error {
        Error::InvalidInput(InputError::Email(EmailError::Empty)) => Application(400, "129"),
        Error::InvalidInput(InputError::Email(_)) => Application(400, "124"),
        Error::InvalidInput(InputError::Username(UsernameError::Empty)) => Application(400, "131"),
        Error::InvalidInput(InputError::Username(UsernameError::TooLong)) => Application(400, "139"),
        Error::InvalidInput(InputError::Username(UsernameError::Character)) => Application(400, "USER_NAME_INVALID"),
        Error::InvalidInput(InputError::Password(_)) => Application(400, "PASSWORD_TOO_WEAK"),
        Error::EmailTaken => Application(409, "133"),
        Error::RegistrationClosed => Application(403, "REGISTRATION_CLOSED"),
        Error::InvalidCredentials => Application(401, "128"),
        Error::AccountDisabled => Application(403, "USER_DISABLED"),
        Error::EmailNotVerified => Application(403, "EMAIL_NOT_VERIFIED"),
        Error::MfaRequired => Application(200, "150"),
        Error::Mfa(MfaError::NotEnabled) => Application(400, "151"),
        Error::InvalidMfaCode => Application(401, "152"),
        Error::Mfa(MfaError::AlreadyEnabled) => Application(409, "153"),
        Error::Mfa(MfaError::AlreadyDisabled) => Application(400, "154"),
        Error::InvalidRefreshToken | Error::RefreshTokenReused => Application(409, "132"),
        Error::MissingCredentials | Error::ApiKeyNotAccepted => Application(400, "127"),
        // API keys are not accepted: TOTP belongs to a user.
        Error::InvalidToken(_) | Error::Forbidden(Denial::MissingPermission | Denial::SessionRequired) => {
            Application(401, "126")
        }
        Error::NotFound => Application(401, "142"),
        Error::InvalidCode => Application(401, "156"),
        Error::MailNotSent => Application(502, "NOTIFY_GRPC_FAILED"),
        Error::RateLimited { .. } => Infrastructure(429, "TOO_MANY_REQUESTS"),
        Error::Overloaded | Error::Stale | Error::Unavailable(_) => Infrastructure(503, "SERVICE_UNAVAILABLE"),
        Error::Internal(_) => Infrastructure(500, "INTERNAL_ERROR"),
        // No call of this dialect returns these.
        Error::UsernameTaken
        | Error::EmailChanged
        | Error::Mfa(MfaError::EnableFailed | MfaError::DisableFailed)
        | Error::InvalidLink(LinkKind::MagicLink | LinkKind::PasswordReset | LinkKind::EmailVerification)
        | Error::WrongCurrentPassword
        | Error::RecentSignInRequired
        | Error::Forbidden(Denial::OtherProject | Denial::CannotDeleteSelf | Denial::TooManyApiKeys)
        | Error::InvalidTarget
        | Error::InvalidSubjectToken(_)
        | Error::Idempotency(_)
        | Error::BalanceOutOfRange => Application(400, "REQUEST_REFUSED"),
    }
}
