//! Validates the `Host` field as HTTP/1.1 requires (RFC 9112, 3.2): exactly one line, with a valid host and port.
//!
//! The value itself does not matter: Signet builds no link from a request. But with two lines, a proxy in front may
//! have used the other one. This runs for each request, so it avoids lookups and repeated parsing.

use std::cell::RefCell;

use http::header::HOST;
use http::{HeaderMap, Version};

/// Bytes allowed in a name: unreserved characters, sub-delims and the percent sign (RFC 3986, 3.2.2).
const NAME_BYTES: [bool; 256] = {
    let (others, mut table, mut at) = (b"-._~%!$&'()*+,;=", [false; 256], 0);
    while at < 128 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// Validates `Host` fields; one per worker.
#[derive(Default)]
pub(super) struct HostValidator {
    /// The last valid host. Nearly every request names the same host as the one before it.
    last_valid: RefCell<Vec<u8>>,
}

impl HostValidator {
    /// Checks the `Host` field. HTTP/1.0 may leave it out, but must not send two or an invalid one; HTTP/2 has
    /// `:authority` instead.
    pub(super) fn is_valid(&self, version: Version, headers: &HeaderMap) -> bool {
        if version >= Version::HTTP_2 {
            return true;
        }
        // `Host` is first in nearly all requests (RFC 9110, 7.2), and no field is repeated if there are as many values
        // as names.
        let host = match headers.iter().next() {
            Some((name, host)) if *name == HOST && headers.len() == headers.keys_len() => host,
            _ => {
                let mut lines = headers.get_all(HOST).iter();
                match (lines.next(), lines.next()) {
                    (Some(host), None) => host,
                    (None, _) => return version < Version::HTTP_11,
                    _ => return false,
                }
            }
        };
        let (host, mut last_valid) = (host.as_bytes(), self.last_valid.borrow_mut());
        if *last_valid == host {
            return true;
        }
        let is_valid = is_valid_host(host);
        if is_valid {
            last_valid.clear();
            last_valid.extend_from_slice(host);
        }
        is_valid
    }
}

/// Matches `uri-host [ ":" port ]`. An empty host is valid: it names no host in particular.
fn is_valid_host(host: &[u8]) -> bool {
    let end = match host {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) if rest[..end].iter().all(|byte| NAME_BYTES[usize::from(*byte)] || *byte == b':') && end > 0 => {
                end + 2
            }
            _ => return false,
        },
        _ => host.iter().position(|byte| !NAME_BYTES[usize::from(*byte)]).unwrap_or(host.len()),
    };
    match &host[end..] {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ACCEPT;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn the_last_valid_host_makes_no_other_host_valid() {
        let hosts = HostValidator::default();
        let named_in = |version, fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            hosts.is_valid(version, &headers)
        };
        let named = |fields: &[_]| named_in(Version::HTTP_11, fields);
        for _ in 0..2 {
            assert!(named(&[(HOST, "a.example")]));
            assert!(named(&[(ACCEPT, "*/*"), (HOST, "a.example")]));
            assert!(named(&[(HOST, "a.example"), (ACCEPT, "a"), (ACCEPT, "b")]));
            assert!(named(&[(HOST, "")]));
            assert!(!named(&[(HOST, "a b")]));
            assert!(!named(&[(HOST, "a.example"), (HOST, "a.example")]));
            assert!(!named(&[(ACCEPT, "*/*"), (HOST, "a.example"), (HOST, "b.example")]));
            assert!(!named(&[(ACCEPT, "*/*")]));
            assert!(!named(&[]));
            for version in [Version::HTTP_09, Version::HTTP_10] {
                assert!(named_in(version, &[]) && named_in(version, &[(HOST, "a.example")]));
                assert!(!named_in(version, &[(HOST, "a b")]));
                assert!(!named_in(version, &[(HOST, "a.example"), (HOST, "a.example")]));
            }
            assert!(named_in(Version::HTTP_2, &[]));
        }
    }

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for valid in
            ["", "x", "a.example", "A.example:8000", "127.0.0.1:80", "[::1]", "[::1]:8000", "a_b~c", "x:", "%41"]
        {
            assert!(is_valid_host(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "a b",
            "a/b",
            "u@a.example",
            "a.example:80:80",
            "a:b",
            "[::1",
            "::1",
            "[]",
            "[::1]x",
            "a\"b",
            "a,b c",
            "a?b",
            "a#b",
            "http://a.example",
            "a\\b",
            "a.example, b.example",
            "é",
        ] {
            assert!(!is_valid_host(invalid.as_bytes()), "{invalid}");
        }
    }
}
