//! The id of a request, in its response and in the log. Contains nothing about the client.

use std::cell::Cell;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::rare_fields::is_sent;
use crate::encoding::hex;
use crate::rng::Rng;

/// The header field with the request's id, in requests and responses.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are replaced, because an id is part of every log line.
const MAX_LENGTH: usize = 128;

/// Length of a generated id: the worker's random prefix, a dash, a counter.
const GENERATED_LENGTH: usize = 16 + 1 + 8;

/// The id of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(IdValue);

/// A generated id becomes a header value only in the response: until then it is copied without reference counting.
#[derive(Clone, PartialEq, Eq)]
enum IdValue {
    Generated([u8; GENERATED_LENGTH]),
    Received(HeaderValue),
}

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        let bytes = match &self.0 {
            IdValue::Generated(text) => text,
            IdValue::Received(value) => value.as_bytes(),
        };
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The id as a header field's value. Marked as sensitive, which over HTTP/2 keeps it out of the table of recent
    /// fields: no id is sent twice, and ids would displace the fields that are.
    pub fn value(&self) -> HeaderValue {
        let mut value = match &self.0 {
            IdValue::Generated(text) => HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("-")),
            IdValue::Received(value) => value.clone(),
        };
        value.set_sensitive(true);
        value
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Assigns request ids; one per worker.
///
/// An id must be unique, not secret. So it is a random prefix of the worker and a counter: drawing sixteen random bytes
/// for each request would cost more than routing it.
pub struct RequestIdGenerator {
    /// The worker's prefix, and space for the counter.
    template: [u8; GENERATED_LENGTH],
    next: Cell<u32>,
}

impl RequestIdGenerator {
    /// Creates a generator with a random prefix.
    pub fn new(rng: &Rng) -> Self {
        let mut template = [b'-'; GENERATED_LENGTH];
        template[..16].copy_from_slice(hex(&rng.bytes::<8>()).as_bytes());
        Self { template, next: Cell::new(0) }
    }

    /// The id that the client or a proxy sent, if it is safe to log and echo; otherwise a new one.
    pub fn assign(&self, headers: &HeaderMap) -> RequestId {
        match is_sent(headers, &X_REQUEST_ID).then(|| headers.get(X_REQUEST_ID)).flatten() {
            Some(received) if is_safe(received.as_bytes()) => RequestId(IdValue::Received(received.clone())),
            _ => self.generate(),
        }
    }

    fn generate(&self) -> RequestId {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        let mut text = self.template;
        // Not `hex`, which allocates.
        for (position, digit) in text[17..].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(count >> (28 - 4 * position) & 15) as usize];
        }
        RequestId(IdValue::Generated(text))
    }
}

fn is_safe(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !id.is_empty() && id.len() <= MAX_LENGTH && id.iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(id: &'static [u8]) -> HeaderMap {
        HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap())])
    }

    #[test]
    fn only_a_safe_id_is_kept() {
        let ids = RequestIdGenerator::new(&Rng::system());
        assert_eq!(ids.assign(&headers(b"a1-B2_c.d:e/f+g=@")).as_str(), "a1-B2_c.d:e/f+g=@");
        for strange in [&b""[..], b"a b", b"<script>", b"a\"b", "zo\u{eb}".as_bytes(), &[b'a'; MAX_LENGTH + 1]] {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_bytes(strange).unwrap())]);
            assert_ne!(ids.assign(&headers).value().as_bytes(), strange);
        }
    }

    #[test]
    fn http2_does_not_remember_ids() {
        let ids = RequestIdGenerator::new(&Rng::system());
        assert!(ids.assign(&headers(b"received")).value().is_sensitive());
        assert!(ids.generate().value().is_sensitive());
    }

    #[test]
    fn ids_are_unique() {
        let (one, other) = (RequestIdGenerator::new(&Rng::system()), RequestIdGenerator::new(&Rng::system()));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            assert!(seen.insert(one.generate().as_str().to_owned()));
            assert!(seen.insert(other.generate().as_str().to_owned()));
        }
        for id in seen {
            assert_eq!(id.len(), GENERATED_LENGTH);
            assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
        }
    }
}
