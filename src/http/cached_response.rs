//! A body that stays the same for a while: made once, header fields and all, and known by its `ETag` to who has it already.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderValue, StatusCode};

use super::response::Fields;
use super::{Request, Response};

/// A body that does not change.
#[derive(Clone, Debug)]
pub struct CachedResponse {
    body: Bytes,
    etag: &'static str,
    cache_control: &'static str,
    whole: Fields,
    /// Of an answer that says that the client has it already.
    known: Fields,
}

impl CachedResponse {
    /// Keeps a body, to be asked about each time, since another version of the program has another; static bytes are not copied.
    pub fn new(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..12]));
        Self::named(media_type, body, etag.leak(), "public, no-cache")
    }

    /// Keeps a body that has a name, to be kept by others as `cache_control` says; all three words in visible ASCII.
    ///
    /// They are never given up, so that nobody has to count with each answer who still holds them. What changes, changes seldom.
    pub fn named(media_type: &'static str, body: Bytes, etag: &'static str, cache_control: &'static str) -> Self {
        let named = |answer: Response| {
            answer
                .header(ETAG, HeaderValue::from_static(etag))
                .header(CACHE_CONTROL, HeaderValue::from_static(cache_control))
        };
        let known = named(Response::empty(StatusCode::NOT_MODIFIED));
        let whole = named(Response::bytes(StatusCode::OK, HeaderValue::from_static(media_type), ""));
        Self { body, etag, cache_control, whole: Fields::of(whole), known: Fields::of(known) }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether it is what goes by this name, and is to be kept by others as `cache_control` says.
    pub fn is(&self, etag: &str, cache_control: &str) -> bool {
        self.etag == etag && self.cache_control == cache_control
    }

    /// The answer to `request`: the body, or that it is the one the client has.
    pub fn answer(&self, request: &Request) -> Response {
        if request.has(self.etag) {
            Response::like(&self.known, StatusCode::NOT_MODIFIED, "")
        } else {
            Response::like(&self.whole, StatusCode::OK, self.body.clone())
        }
    }
}
