//! The `Idempotency-Key` of requests that create something.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::IntoParams;

use super::{Problem, request_context};
use crate::api::ApiError;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::IdempotencyError;
use crate::auth::idempotency::{RepeatableRequest, Requester, run_once};
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response};

const HEADER: &str = "idempotency-key";

/// The longest key, in bytes: a UUID has 36, and clients that derive it from their own data need more.
const MAX_LENGTH: usize = 255;

/// The header field, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
pub(super) struct IdempotencyKey {
    /// A key that the client chooses, such as a UUID, of at most 255 visible ASCII characters. If the request is
    /// repeated within a day with the same key and body, the response is that of the first one, and nothing more is
    /// created. A request that failed may be repeated with the same key.
    #[param(rename = "idempotency-key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}

/// The errors that the header field adds to a call.
pub(super) const KEY_REUSED: Error = Error::Idempotency(IdempotencyError::KeyReused);
pub(super) const IN_PROGRESS: Error = Error::Idempotency(IdempotencyError::InProgress);

/// Executes `work` unless the request repeats one that was executed, and responds with 201 and the JSON that `work`
/// returned then.
pub(super) async fn create<W>(
    ctx: &Context,
    request: &Request,
    operation: &'static str,
    requester: Requester,
    body: &Bytes,
    work: W,
) -> Result<Response, Problem>
where
    W: Future<Output = Result<Vec<u8>, ApiError>> + Send + 'static,
{
    let created = match idempotency_key(request)? {
        None => work.await?,
        Some(key) => {
            let repeatable = RepeatableRequest { operation, requester, key, body };
            run_once(ctx, repeatable, request_context(ctx, request), work).await?
        }
    };
    let response = Response::empty(StatusCode::CREATED).body(created);
    Ok(response.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).no_store())
}

/// The body of a response, for [`create`].
pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|_| Error::Internal("a response cannot be serialized").into())
}

/// The key of a request. One that cannot be used is refused: without it, the request might be executed twice.
fn idempotency_key(request: &Request) -> Result<Option<&str>, Rejection> {
    if !request.headers().contains_key(HEADER) {
        return Ok(None);
    }
    match request.header(HEADER) {
        Some(key) if (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key))
        }
        _ => {
            let rule = format!("must be one field of 1 to {MAX_LENGTH} visible ASCII characters");
            Err(Rejection::field(FieldError::new(ParamLocation::Header, HEADER, FieldErrorKind::Invalid(rule))))
        }
    }
}
