//! An answer on its way to the client. Knows nothing of connections: whole bodies only, since nothing here is large.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use crate::http::request_id::{RequestId, X_REQUEST_ID};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Header fields that are the same in answer after answer, made once: copying them costs less than putting each in its place.
#[derive(Clone, Debug)]
pub struct Fields(HeaderMap);

impl Fields {
    /// Of an answer that nobody on the way may keep, in JSON.
    pub fn unstored_json() -> &'static Self {
        static FIELDS: LazyLock<Fields> =
            LazyLock::new(|| Fields::of(Response::bytes(StatusCode::OK, JSON, "").no_store()));
        &FIELDS
    }

    /// Those of an answer, for others like it.
    pub fn of(answer: Response) -> Self {
        // First a place for what every answer is given: there it is found without a search, and the map need not grow.
        let mut fields = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_static("-"))]);
        fields.extend(answer.0.headers);
        Self(fields)
    }
}

/// An answer: status, header fields, body, and, for the log alone, why it is not a happier one.
/// In a box, since it is built by handing it on.
pub struct Response(Box<Worded>);

#[derive(Default)]
struct Worded {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    cause: Option<Box<dyn fmt::Display>>,
}

impl Response {
    /// No body.
    pub fn empty(status: StatusCode) -> Self {
        Self(Box::new(Worded { status, ..Worded::default() }))
    }

    /// These header fields, and a body as it stands.
    pub fn like(fields: &Fields, status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self(Box::new(Worded { status, headers: fields.0.clone(), body: body.into(), cause: None }))
    }

    /// `value` as JSON.
    pub fn json(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::bytes(status, JSON, body),
            // Only a map whose keys are no strings gets here, or a Serialize that refuses: our own mistake.
            Err(error) => Self::empty(StatusCode::INTERNAL_SERVER_ERROR).because(error),
        }
    }

    /// Plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::bytes(status, TEXT, text.into())
    }

    /// A body as it stands, of the media type given; static bytes are not copied.
    pub fn bytes(status: StatusCode, media_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self::empty(status).header(CONTENT_TYPE, media_type).body(body)
    }

    /// Replaces the body and leaves the header fields.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Sets a header field, in place of any of that name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Sets a header field to text that may hold anything but control characters; one that does is left out, since CR and LF
    /// would begin a field of somebody else's choice.
    #[must_use]
    pub fn header_text(self, name: HeaderName, text: &str) -> Self {
        match HeaderValue::from_bytes(text.as_bytes()) {
            Ok(value) => self.header(name, value),
            Err(_) => self,
        }
    }

    /// Nobody on the way may keep this answer: it carries a token, a code, or what only its reader may see.
    #[must_use]
    pub fn no_store(self) -> Self {
        self.header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Says how to authenticate (RFC 9110, 11.6.1).
    #[must_use]
    pub fn challenge(self, challenge: &'static str) -> Self {
        self.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Says when to come again, in whole seconds and at least one.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.header(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }

    /// Why the answer is not a happier one: for the log, never sent.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display + 'static) -> Self {
        self.0.cause = Some(Box::new(cause));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Gives the answer the name of the request that it answers.
    pub(super) fn named(&mut self, id: &RequestId) {
        match self.0.headers.iter_mut().next() {
            Some((name, place)) if *name == X_REQUEST_ID => *place = id.value(),
            _ => _ = self.0.headers.insert(X_REQUEST_ID, id.value()),
        }
    }

    /// The header fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }

    /// The body.
    pub fn content(&self) -> &Bytes {
        &self.0.body
    }

    /// Why the answer is not a happier one.
    pub fn cause(&self) -> Option<&dyn fmt::Display> {
        self.0.cause.as_deref()
    }
}

impl From<Response> for http::Response<Full<Bytes>> {
    fn from(response: Response) -> Self {
        let Worded { status, headers, body, cause: _ } = *response.0;
        let mut answer = http::Response::new(Full::new(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
    }
}

impl fmt::Debug for Response {
    /// Without the body, which may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.0.status, self.0.body.len())
    }
}

/// What a handler may give back: an answer, or a failure that knows how it is worded.
pub trait IntoResponse {
    /// Words it.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(failure) => failure.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_begin_a_header_field_of_its_own() {
        let name = HeaderName::from_static("x-auth-email");
        let response = Response::empty(StatusCode::OK).header_text(name.clone(), "a@b.example\r\nset-cookie: x=1");
        assert!(response.headers().is_empty());
        let response = Response::empty(StatusCode::OK).header_text(name, "zoë@b.example");
        assert_eq!(response.headers()["x-auth-email"].as_bytes(), "zoë@b.example".as_bytes());
    }

    #[test]
    fn what_cannot_be_written_as_json_is_our_own_mistake() {
        let nobody_can = std::collections::HashMap::from([(vec![1], 1)]);
        let response = Response::json(StatusCode::OK, &nobody_can);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.cause().is_some());
    }
}
