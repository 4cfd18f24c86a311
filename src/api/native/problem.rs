//! RFC 9457 problem documents: the one place where this dialect gives errors a status, a code and a title.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{ApiError, INVALID_TOKEN, RECENT_SIGN_IN, SOON, status_code};
use crate::auth::Error;
use crate::auth::error::{Denial, IdempotencyError, InputError, MfaError};
use crate::http::{IntoResponse, Rejection, Response};

/// An error of this dialect.
#[derive(Debug)]
pub(super) struct Problem(ApiError);

impl<T: Into<ApiError>> From<T> for Problem {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDocument<'a> {
    /// The error code. Codes stay the same between versions.
    r#type: &'a str,
    /// A short description for people.
    title: &'a str,
    /// The status of the response.
    status: u16,
    /// All errors found in the fields of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<FieldProblem>>,
}

/// An error in one field of the request.
#[derive(Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// The field and what is wrong with it.
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self.0 {
            ApiError::Rejection(rejection) => render_rejection(rejection),
            ApiError::Failure(error) => render_error(error),
        }
    }
}

fn render_rejection(rejection: Rejection) -> Response {
    let cause = rejection.to_string();
    match rejection {
        Rejection::NotFound => problem(404, "path_not_found", "No call has this path.", cause),
        Rejection::MethodNotAllowed => {
            problem(405, "method_not_allowed", "This path does not support this method.", cause)
        }
        Rejection::BodyTooLarge { .. } => problem(413, "body_too_large", "The body is too large.", cause),
        Rejection::UnsupportedMediaType => {
            problem(415, "unsupported_media_type", "Send the body as application/json.", cause)
        }
        Rejection::MalformedBody { .. } => problem(400, "malformed_body", "The body is malformed.", cause),
        Rejection::InvalidFields(errors) => {
            let errors = errors.iter().map(|error| FieldProblem { detail: error.to_string() }).collect();
            let title = "Fields of the request are missing or invalid.";
            let body = ProblemDocument { r#type: "invalid_fields", title, status: 400, errors: Some(errors) };
            document(StatusCode::BAD_REQUEST, &body).with_cause(cause)
        }
        Rejection::BodyTimeout => problem(408, "body_timeout", "The body did not arrive in time.", cause),
        Rejection::Overloaded => {
            let title = "Too many large bodies at the same time. Try again soon.";
            problem(503, "overloaded", title, cause).retry_after(SOON)
        }
        Rejection::Timeout { .. } => {
            problem(503, "timeout", "The request took too long. Try again soon.", cause).retry_after(SOON)
        }
        Rejection::Internal => problem(500, "internal_error", "Internal error.", cause),
    }
}

fn render_error(error: Error) -> Response {
    let cause = error.to_string();
    match error {
        Error::MissingCredentials => {
            let title = "Authentication is required: send Authorization: Bearer …";
            problem(401, "missing_credentials", title, cause).challenge("Bearer")
        }
        Error::ApiKeyNotAccepted => {
            let title = "An API key cannot do this. Sign in, and send Authorization: Bearer …";
            problem(401, "missing_credentials", title, cause).challenge("Bearer")
        }
        Error::InvalidToken(_) => {
            let response = problem(401, "invalid_token", "The token or API key is invalid, expired or revoked.", cause);
            response.challenge(INVALID_TOKEN)
        }
        Error::InvalidCredentials => {
            problem(401, "invalid_credentials", "Wrong email, username or password.", cause).challenge("Bearer")
        }
        Error::AccountDisabled => problem(403, "account_disabled", "This account is disabled.", cause),
        Error::InvalidRefreshToken => {
            let title = "The refresh token is invalid, expired or revoked.";
            problem(401, "invalid_refresh_token", title, cause).challenge(INVALID_TOKEN)
        }
        Error::RefreshTokenReused => {
            let title = "The refresh token was used before. Its session has ended.";
            problem(401, "refresh_token_reused", title, cause).challenge(INVALID_TOKEN)
        }
        Error::MfaRequired => {
            let title = "A second factor is required: send its code as mfa_code.";
            problem(401, "mfa_required", title, cause).challenge("Bearer")
        }
        Error::InvalidMfaCode => {
            problem(401, "invalid_mfa_code", "The code of the second factor is wrong.", cause).challenge("Bearer")
        }
        Error::Mfa(MfaError::NotEnabled) => problem(400, "mfa_not_enabled", "No second factor is enabled.", cause),
        Error::Mfa(MfaError::EnableFailed) => {
            let title = "The second factor was not enabled: wrong code or password, or no enrollment is pending.";
            problem(400, "mfa_enable_failed", title, cause)
        }
        Error::Mfa(MfaError::DisableFailed) => {
            problem(400, "mfa_disable_failed", "The second factor was not disabled: wrong password.", cause)
        }
        Error::Mfa(MfaError::AlreadyEnabled) => {
            problem(409, "mfa_already_enabled", "The second factor is already enabled.", cause)
        }
        Error::Mfa(MfaError::AlreadyDisabled) => {
            problem(409, "mfa_already_disabled", "The second factor is already disabled.", cause)
        }
        Error::EmailNotVerified => problem(403, "email_not_verified", "Confirm your email address first.", cause),
        Error::InvalidCode => {
            problem(401, "invalid_code", "The code is wrong, used or expired.", cause).challenge("Bearer")
        }
        Error::InvalidLink(_) => problem(400, "invalid_link", "The link is invalid, used or expired.", cause),
        Error::WrongCurrentPassword => {
            problem(400, "invalid_current_password", "Your current password is wrong or missing.", cause)
        }
        Error::RecentSignInRequired => {
            let title = "You signed in too long ago for this. Sign in again.";
            problem(401, "insufficient_user_authentication", title, cause).challenge(RECENT_SIGN_IN)
        }
        Error::RegistrationClosed => problem(403, "registration_closed", "Registration is closed.", cause),
        Error::Forbidden(Denial::MissingPermission) => {
            problem(403, "forbidden", "You do not have permission to do this.", cause)
        }
        Error::Forbidden(Denial::SessionRequired) => {
            problem(403, "forbidden", "An API key, or a token of one, cannot do this. Sign in.", cause)
        }
        Error::Forbidden(Denial::OtherProject) => {
            problem(403, "forbidden_project", "This project belongs to another user.", cause)
        }
        Error::Forbidden(Denial::CannotDeleteSelf) => {
            problem(403, "cannot_delete_self", "Superusers cannot delete themselves.", cause)
        }
        Error::Forbidden(Denial::TooManyApiKeys) => {
            problem(403, "too_many_api_keys", "You have too many API keys. Deactivate some first.", cause)
        }
        Error::InvalidTarget => {
            problem(400, "invalid_target", "No audience has the name or URL that `resource` contains.", cause)
        }
        Error::InvalidSubjectToken(_) => problem(400, "invalid_subject_token", "The token cannot be exchanged.", cause),
        Error::Idempotency(IdempotencyError::KeyReused) => {
            let title = "Another request had this Idempotency-Key. Choose a new one.";
            problem(422, "idempotency_key_reused", title, cause)
        }
        Error::Idempotency(IdempotencyError::InProgress) => {
            let title = "The first request with this Idempotency-Key has not ended. Try again soon.";
            problem(409, "idempotency_key_in_use", title, cause).retry_after(SOON)
        }
        Error::BalanceOutOfRange => {
            problem(409, "balance_out_of_range", "The balance would be out of range; nothing was changed.", cause)
        }
        Error::MailNotSent => problem(503, "mail_not_sent", "The mail could not be sent.", cause).retry_after(SOON),
        Error::NotFound => problem(404, "not_found", "The requested object does not exist.", cause),
        Error::EmailTaken => problem(409, "email_taken", "Another account has this email address.", cause),
        Error::UsernameTaken => problem(409, "username_taken", "Another account has this username.", cause),
        Error::EmailChanged => {
            problem(409, "email_changed", "The user has another email address by now; nothing was changed.", cause)
        }
        Error::InvalidInput(InputError::Email(_)) => {
            problem(400, "invalid_email", "The email address is invalid.", cause)
        }
        Error::InvalidInput(InputError::Username(_)) => {
            problem(400, "invalid_username", "The username is invalid.", cause)
        }
        Error::InvalidInput(InputError::Password(_)) => {
            problem(400, "weak_password", "The password is too short, too long or too common.", cause)
        }
        Error::RateLimited { retry_after } => {
            problem(429, "rate_limited", "Too many attempts. Try again later.", cause).retry_after(retry_after)
        }
        Error::Overloaded => {
            let title = "Too many sign-ins at the same time. Try again soon.";
            problem(503, "overloaded", title, cause).retry_after(SOON).summarized()
        }
        Error::Stale => problem(503, "stale", "Revocations may be out of date.", cause).retry_after(SOON),
        Error::Unavailable(_) => {
            problem(503, "unavailable", "A part of the service is unavailable.", cause).retry_after(SOON)
        }
        Error::Internal(_) => problem(500, "internal_error", "Internal error.", cause),
    }
}

/// The response for a position of the revocation feed that is not kept, or at which nothing more is signed for now.
pub(super) fn gone() -> Response {
    let title = "This position is not kept any more, or too much is asked for at once. Read the snapshot.";
    problem(410, "gone", title, "the position is not kept, or the limit is reached".to_owned())
}

/// The response to a request that a page of another origin made.
pub(super) fn cross_origin() -> Response {
    problem(403, "cross_origin", "Only pages of this origin may call this.", "another origin".to_owned())
}

fn problem(status: u16, code: &str, title: &str, cause: String) -> Response {
    document(status_code(status), &ProblemDocument { r#type: code, title, status, errors: None }).with_cause(cause)
}

fn document(status: StatusCode, body: &ProblemDocument<'_>) -> Response {
    Response::json(status, body).header(CONTENT_TYPE, HeaderValue::from_static("application/problem+json")).no_store()
}
