//! CORS (the Fetch standard, 3.2): scripts of the configured origins may call, and no others. The default is no origin.
//! Scripts of any origin may read documents that are the same for everyone, such as the public keys: their handlers set
//! the header field, and their paths are [marked](super::Routes::allow_any_origin).
//!
//! These responses carry tokens in bodies and header fields, not in cookies, so `Access-Control-Allow-Credentials` is
//! never sent. Knows nothing of routes.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

/// The value of `Access-Control-Allow-Origin` that lets scripts of every origin read a response.
pub(super) const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// Origins whose scripts may call.
#[derive(Clone, Debug, Default)]
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// Allows these origins, as browsers write them.
    pub(super) fn new(origins: &[String]) -> Self {
        Self { origins: origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect() }
    }

    /// The CORS header fields for a preflight request to a path that every origin may read.
    pub(super) fn preflight_for_any_origin(headers: &HeaderMap) -> CorsHeaders {
        CorsHeaders {
            origin: Some(ANY_ORIGIN),
            requested_headers: headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
            preflight: headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    /// The CORS header fields for the response to a request; `None` if no origin is configured.
    pub(super) fn evaluate(&self, headers: &HeaderMap) -> Option<CorsHeaders> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = headers.get(ORIGIN).filter(|origin| self.origins.contains(origin)).cloned();
        let preflight = origin.is_some() && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let requested_headers = preflight.then(|| headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned()).flatten();
        Some(CorsHeaders { origin, requested_headers, preflight })
    }
}

/// The CORS header fields of one response.
pub(super) struct CorsHeaders {
    origin: Option<HeaderValue>,
    requested_headers: Option<HeaderValue>,
    preflight: bool,
}

impl CorsHeaders {
    /// Adds the fields that every response has.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        // A document for any origin: the response is the same for all of them, so a cache may serve it to each.
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        // Also for an origin that is not allowed: a cache must not serve this response to an allowed one.
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("etag, retry-after, www-authenticate, x-request-id"),
            );
        }
    }

    /// Adds the fields of a preflight response for a path that has these methods.
    pub(super) fn apply_preflight(&self, headers: &mut HeaderMap, methods: &HeaderValue) {
        if self.preflight {
            headers.append(
                VARY,
                HeaderValue::from_static("access-control-request-method, access-control-request-headers"),
            );
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            // Every requested field is allowed: fields that no handler reads are ignored anyway.
            if let Some(requested) = &self.requested_headers {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
            }
        }
    }
}
