//! A response built once and served many times, with an `ETag` that lets clients revalidate their copy. Knows nothing
//! of the content.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderValue, StatusCode};

use super::request::Request;
use super::response::{HeaderTemplate, Response};
use crate::encoding::short_sha256;

/// A response with a fixed body, and its 304 variant.
#[derive(Clone, Debug)]
pub struct CachedResponse {
    body: Bytes,
    etag: &'static str,
    cache_control: &'static str,
    ok_headers: HeaderTemplate,
    not_modified_headers: HeaderTemplate,
}

impl CachedResponse {
    /// Creates a response that clients revalidate at each use, because another version of the program has another body.
    /// Static bytes are not copied.
    pub fn new(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", short_sha256(&body, 12));
        Self::with_etag(media_type, body, etag.leak(), "public, no-cache")
    }

    /// Lets scripts of every origin read it: see [`Response::for_any_origin`].
    #[must_use]
    pub fn for_any_origin(self) -> Self {
        let marked = |fields, status| {
            HeaderTemplate::from_response(Response::from_template(fields, status, "").for_any_origin())
        };
        let ok_headers = marked(&self.ok_headers, StatusCode::OK);
        let not_modified_headers = marked(&self.not_modified_headers, StatusCode::NOT_MODIFIED);
        Self { ok_headers, not_modified_headers, ..self }
    }

    /// Creates a response with the given `ETag` and `Cache-Control`. All three strings are visible ASCII.
    ///
    /// The strings are `'static` (leaked if necessary), so that no response pays for reference counting. They change
    /// seldom.
    pub fn with_etag(media_type: &'static str, body: Bytes, etag: &'static str, cache_control: &'static str) -> Self {
        let with_fields = |response: Response| {
            response
                .header(ETAG, HeaderValue::from_static(etag))
                .header(CACHE_CONTROL, HeaderValue::from_static(cache_control))
        };
        let not_modified = with_fields(Response::empty(StatusCode::NOT_MODIFIED));
        let ok = with_fields(Response::bytes(StatusCode::OK, HeaderValue::from_static(media_type), ""));
        Self {
            body,
            etag,
            cache_control,
            ok_headers: HeaderTemplate::from_response(ok),
            not_modified_headers: HeaderTemplate::from_response(not_modified),
        }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// It has this `ETag` and this `Cache-Control`.
    pub fn matches(&self, etag: &str, cache_control: &str) -> bool {
        self.etag == etag && self.cache_control == cache_control
    }

    /// The response to `request`: the body, or 304 if the client already has it.
    pub fn respond(&self, request: &Request) -> Response {
        if request.matches_etag(self.etag) {
            Response::from_template(&self.not_modified_headers, StatusCode::NOT_MODIFIED, "")
        } else {
            Response::from_template(&self.ok_headers, StatusCode::OK, self.body.clone())
        }
    }
}
