//! Which browsers' scripts may call (the Fetch standard, 3.2): those of configured origins, of none by default.
//!
//! Answers carry tokens in bodies and headers and never set cookies, so `Access-Control-Allow-Credentials` is never sent.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

/// The origins whose scripts may call.
#[derive(Clone, Debug, Default)]
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
    any: bool,
}

impl Cors {
    /// These origins, as browsers write them; `*` for all.
    pub(super) fn new(origins: &[String]) -> Self {
        let written = origins.iter().map(|origin| origin.trim_end_matches('/'));
        Self {
            origins: written.filter_map(|origin| HeaderValue::from_str(origin).ok()).collect(),
            any: origins.iter().any(|origin| origin == "*"),
        }
    }

    /// What the request's answer grants; `None`: no origin may call, and no answer says anything of it.
    pub(super) fn grant(&self, headers: &HeaderMap) -> Option<Grant> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = headers.get(ORIGIN).filter(|origin| self.any || self.origins.contains(origin)).cloned();
        let preflight = origin.is_some() && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let asked = preflight.then(|| headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned()).flatten();
        Some(Grant { origin, asked, preflight })
    }
}

/// What one answer grants to the script that asked.
pub(super) struct Grant {
    origin: Option<HeaderValue>,
    asked: Option<HeaderValue>,
    preflight: bool,
}

impl Grant {
    /// Adds it to any answer.
    pub(super) fn add_to(self, answer: &mut HeaderMap) {
        // Also where nothing is granted: a cache must not hand this answer to an origin that is.
        answer.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.origin {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("etag, retry-after, www-authenticate, x-request-id"),
            );
        }
    }

    /// Adds what a preflight asks for on a path that has these methods, beside what any answer gets.
    pub(super) fn add_to_options(&self, answer: &mut HeaderMap, methods: &HeaderValue) {
        if self.preflight {
            answer.append(
                VARY,
                HeaderValue::from_static("access-control-request-method, access-control-request-headers"),
            );
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            // Any field may be sent: those that nobody reads are ignored anyway.
            if let Some(asked) = &self.asked {
                answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
    }
}
