//! The name one request goes by, in its answer and in the log. Says nothing of who asked.

use std::cell::Cell;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::rng::Rng;

/// The header field a request's id comes and goes in.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are not taken over: they end up in every log line.
const LONGEST: usize = 128;

/// Those made here: the worker's name, a dash, the count.
const LENGTH: usize = 16 + 1 + 8;

/// The name one request goes by.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Name);

/// One that was made here is a field's value only in the answer: until then it is passed on without counting holders.
#[derive(Clone, PartialEq, Eq)]
enum Name {
    Made([u8; LENGTH]),
    Given(HeaderValue),
}

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        let bytes = match &self.0 {
            Name::Made(text) => text,
            Name::Given(value) => value.as_bytes(),
        };
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The id as a header field's value.
    pub fn value(&self) -> HeaderValue {
        match &self.0 {
            Name::Made(text) => HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("-")),
            Name::Given(value) => value.clone(),
        }
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

/// Where ids come from: one of these a worker.
///
/// An id need not be secret, only never the same twice, so it is a random name for the worker and a count: drawing sixteen
/// random bytes for each request would cost more than routing it.
pub struct RequestIds {
    /// The worker's name, and room for the count.
    shape: [u8; LENGTH],
    next: Cell<u32>,
}

impl RequestIds {
    /// Ids that nobody else makes.
    pub fn new(rng: &Rng) -> Self {
        let mut shape = [b'-'; LENGTH];
        hex(&rng.bytes::<8>(), &mut shape[..16]);
        Self { shape, next: Cell::new(0) }
    }

    /// The id that the client or a proxy gave the request, if it is fit to be logged and echoed; otherwise a new one.
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(X_REQUEST_ID) {
            Some(given) if sane(given.as_bytes()) => RequestId(Name::Given(given.clone())),
            _ => self.make(),
        }
    }

    fn make(&self) -> RequestId {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        let mut text = self.shape;
        for (place, digit) in text[17..].iter_mut().enumerate() {
            *digit = DIGITS[(count >> (28 - 4 * place) & 15) as usize];
        }
        RequestId(Name::Made(text))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex(bytes: &[u8], into: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn sane(given: &[u8]) -> bool {
    let fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !given.is_empty() && given.len() <= LONGEST && given.iter().all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(id: &'static [u8]) -> HeaderMap {
        HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap())])
    }

    #[test]
    fn a_sane_id_is_taken_over_and_no_other() {
        let ids = RequestIds::new(&Rng::system());
        assert_eq!(ids.of(&headers(b"a1-B2_c.d:e/f+g=@")).as_str(), "a1-B2_c.d:e/f+g=@");
        for strange in [&b""[..], b"a b", b"<script>", b"a\"b", "zo\u{eb}".as_bytes(), &[b'a'; LONGEST + 1]] {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_bytes(strange).unwrap())]);
            assert_ne!(ids.of(&headers).value().as_bytes(), strange);
        }
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let (one, other) = (RequestIds::new(&Rng::system()), RequestIds::new(&Rng::system()));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            assert!(seen.insert(one.make().as_str().to_owned()));
            assert!(seen.insert(other.make().as_str().to_owned()));
        }
        for id in seen {
            assert_eq!(id.len(), LENGTH);
            assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
        }
    }
}
