//! Whether a request names its host as HTTP/1.1 demands it (RFC 9112, 3.2): in one line, by what can be a host and a port.
//!
//! What is named does not matter here: nothing that is said of this service comes from a request. But of two lines, a proxy in front
//! may have gone by the other. Part of each request, so nothing is looked up or over that can be known without.

use std::cell::RefCell;

use http::header::HOST;
use http::{HeaderMap, Version};

/// What may stand in a name: unreserved characters, sub-delims and the percent sign (RFC 3986, 3.2.2).
const IN_NAMES: [bool; 256] = {
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

/// What reads hosts: one of these a worker.
#[derive(Default)]
pub(super) struct Hosts {
    /// The last that was good. Nearly every request names the one that the request before it named.
    good: RefCell<Vec<u8>>,
}

impl Hosts {
    /// Whether the host is named as it must be. HTTP/1.0 need not name one, but who does names one; HTTP/2 has `:authority` for it.
    pub(super) fn is_named(&self, version: Version, headers: &HeaderMap) -> bool {
        if version >= Version::HTTP_2 {
            return true;
        }
        // First in nearly all requests (RFC 9110, 7.2), and no field is there twice where there are as many values as names.
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
        let (host, mut good) = (host.as_bytes(), self.good.borrow_mut());
        if *good == host {
            return true;
        }
        let is_good = is_one(host);
        if is_good {
            good.clear();
            good.extend_from_slice(host);
        }
        is_good
    }
}

/// `uri-host [ ":" port ]`. Who asks for no host in particular sends an empty one.
fn is_one(host: &[u8]) -> bool {
    let end = match host {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) if rest[..end].iter().all(|byte| IN_NAMES[usize::from(*byte)] || *byte == b':') && end > 0 => {
                end + 2
            }
            _ => return false,
        },
        _ => host.iter().position(|byte| !IN_NAMES[usize::from(*byte)]).unwrap_or(host.len()),
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
    fn who_was_good_before_makes_no_other_good() {
        let hosts = Hosts::default();
        let named_in = |version, fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            hosts.is_named(version, &headers)
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
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in
            ["", "x", "a.example", "A.example:8000", "127.0.0.1:80", "[::1]", "[::1]:8000", "a_b~c", "x:", "%41"]
        {
            assert!(is_one(good.as_bytes()), "{good}");
        }
        for bad in [
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
            assert!(!is_one(bad.as_bytes()), "{bad}");
        }
    }
}
