//! A body that stays the same for as long as the program runs: made once, and known by its `ETag` to who has it already.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};

use super::{Request, Response};

/// A body that does not change.
#[derive(Clone, Debug)]
pub struct Kept {
    media_type: HeaderValue,
    body: Bytes,
    etag: String,
}

impl Kept {
    /// Keeps a body; static bytes are not copied.
    pub fn new(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..12]));
        Self { media_type: HeaderValue::from_static(media_type), body, etag }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The answer to `request`: the body, or that it is the one the client has. To be asked about each time, since another
    /// version of the program has another.
    pub fn answer(&self, request: &Request) -> Response {
        let response = if request.has(&self.etag) {
            Response::empty(StatusCode::NOT_MODIFIED)
        } else {
            Response::empty(StatusCode::OK).header(CONTENT_TYPE, self.media_type.clone()).body(self.body.clone())
        };
        response.header_text(ETAG, &self.etag).header(CACHE_CONTROL, HeaderValue::from_static("public, no-cache"))
    }
}
