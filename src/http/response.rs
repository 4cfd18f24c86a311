//! A response. Its body is in memory as a whole: nothing is streamed. Knows nothing of connections.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::cors::ANY_ORIGIN;
use super::request_id::{RequestId, X_REQUEST_ID};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Header fields that many responses share: copying the map costs less than inserting each field.
#[derive(Clone, Debug)]
pub struct HeaderTemplate(HeaderMap);

impl HeaderTemplate {
    /// For JSON with `Cache-Control: no-store`.
    pub fn no_store_json() -> &'static Self {
        static FIELDS: LazyLock<HeaderTemplate> =
            LazyLock::new(|| HeaderTemplate::from_response(Response::bytes(StatusCode::OK, JSON, "").no_store()));
        &FIELDS
    }

    /// Takes the header fields of a response.
    pub fn from_response(response: Response) -> Self {
        // The request id comes first: it is then found without a search, and the map need not grow.
        let mut fields = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_static("-"))]);
        fields.extend(response.0.headers);
        Self(fields)
    }
}

/// A response: status, header fields, body, and the cause of an error, which is only logged.
/// Boxed, because the builder methods move it.
pub struct Response(Box<Inner>);

#[derive(Default)]
struct Inner {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    cause: Option<Box<dyn fmt::Display>>,
    summarized: bool,
}

impl Response {
    /// A response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self(Box::new(Inner { status, ..Inner::default() }))
    }

    /// Lets scripts of every origin read it (CORS). For documents that are the same for everyone; see
    /// [`Routes::allow_any_origin`](super::Routes::allow_any_origin).
    #[must_use]
    pub fn for_any_origin(self) -> Self {
        self.header(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN)
    }

    /// A response with the header fields of a template.
    pub fn from_template(fields: &HeaderTemplate, status: StatusCode, body: impl Into<Bytes>) -> Self {
        let (headers, body) = (fields.0.clone(), body.into());
        Self(Box::new(Inner { status, headers, body, cause: None, summarized: false }))
    }

    /// A response with `value` as JSON.
    pub fn json(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::bytes(status, JSON, body),
            // Only a map with keys that are not strings fails, or a `Serialize` that returns an error: a bug.
            Err(error) => Self::empty(StatusCode::INTERNAL_SERVER_ERROR).with_cause(error),
        }
    }

    /// A response in plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::bytes(status, TEXT, text.into())
    }

    /// A response with a raw body of a media type. Static bytes are not copied.
    pub fn bytes(status: StatusCode, media_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self::empty(status).header(CONTENT_TYPE, media_type).body(body)
    }

    /// Sets the body and leaves the header fields.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Sets a header field, replacing one of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Sets a header field to arbitrary text. Text with control characters is left out, because CR and LF would let the
    /// text add header fields.
    #[must_use]
    pub fn header_text(self, name: HeaderName, text: &str) -> Self {
        match HeaderValue::from_bytes(text.as_bytes()) {
            Ok(value) => self.header(name, value),
            Err(_) => self,
        }
    }

    /// Sets `Cache-Control: no-store`: the response contains a token, a code, or private data.
    #[must_use]
    pub fn no_store(self) -> Self {
        self.header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Sets `WWW-Authenticate` (RFC 9110, 11.6.1).
    #[must_use]
    pub fn challenge(self, challenge: &'static str) -> Self {
        self.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Sets `Retry-After`, rounded up to whole seconds and at least one.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.header(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }

    /// Sets the cause of an error: logged, never sent.
    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display + 'static) -> Self {
        self.0.cause = Some(Box::new(cause));
        self
    }

    /// Marks an error that the log reports in summaries, because many requests can have it at the same time.
    #[must_use]
    pub fn summarized(mut self) -> Self {
        self.0.summarized = true;
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

    /// Sets `X-Request-Id`.
    pub(super) fn set_request_id(&mut self, id: &RequestId) {
        match self.0.headers.iter_mut().next() {
            Some((name, value)) if *name == X_REQUEST_ID => *value = id.value(),
            _ => _ = self.0.headers.insert(X_REQUEST_ID, id.value()),
        }
    }

    /// The header fields, mutable.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }

    /// The body.
    pub fn content(&self) -> &Bytes {
        &self.0.body
    }

    /// Removes the body and returns it.
    pub(super) fn take_content(&mut self) -> Bytes {
        std::mem::take(&mut self.0.body)
    }

    /// The cause of an error.
    pub fn cause(&self) -> Option<&dyn fmt::Display> {
        self.0.cause.as_deref()
    }

    /// Returns true if the log reports this error in summaries, and not for each request.
    pub fn is_summarized(&self) -> bool {
        self.0.summarized
    }
}

impl From<Response> for http::Response<Bytes> {
    fn from(response: Response) -> Self {
        let Inner { status, headers, body, cause: _, summarized: _ } = *response.0;
        let mut http_response = http::Response::new(body);
        *http_response.status_mut() = status;
        *http_response.headers_mut() = headers;
        http_response
    }
}

impl fmt::Debug for Response {
    /// Leaves out the body, which can contain a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.0.status, self.0.body.len())
    }
}

/// Return type of handlers: a response, or an error that renders itself.
pub trait IntoResponse {
    /// Builds the response.
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
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_inject_a_header_field() {
        let name = HeaderName::from_static("x-auth-email");
        let response = Response::empty(StatusCode::OK).header_text(name.clone(), "a@b.example\r\nset-cookie: x=1");
        assert!(response.headers().is_empty());
        let response = Response::empty(StatusCode::OK).header_text(name, "zoë@b.example");
        assert_eq!(response.headers()["x-auth-email"].as_bytes(), "zoë@b.example".as_bytes());
    }

    #[test]
    fn a_value_that_json_cannot_represent_is_an_error() {
        let unsupported = std::collections::HashMap::from([(vec![1], 1)]);
        let response = Response::json(StatusCode::OK, &unsupported);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.cause().is_some());
    }
}
