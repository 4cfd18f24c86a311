//! Responses of a node, and the token pairs in them.

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// An HTTP response, read to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The text parsed as JSON; null if it is not JSON.
    pub(crate) body: Value,
}

/// The tokens that a sign-in or a refresh returned.
#[derive(Clone, Debug)]
pub(crate) struct TokenPair {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

impl HttpResponse {
    /// Fails if the connection ends before the whole body has arrived.
    pub(super) async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status, headers, text, body })
    }

    /// Asserts what must hold of every response.
    pub(super) fn check_invariants(&self) {
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert_eq!(self.status == 401, !self.header("www-authenticate").is_empty(), "{self:?}");
        if matches!(self.status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{self:?}");
        }
        assert!(self.status != 405 || !self.header("allow").is_empty(), "{self:?}");
        if self.header("content-type") == "application/problem+json" && !self.text.is_empty() {
            let problem = self.json();
            assert_eq!(problem["status"], self.status, "{self:?}");
            assert!(problem["type"].is_string() && problem["title"].is_string(), "{self:?}");
        }
        for secret_field in ["\"access_token\":", "\"refresh_token\":", "\"claims\":"] {
            // A response with an ETag is public: the OpenAPI document contains examples of tokens.
            let public = !self.header("etag").is_empty();
            let not_cached = public || self.header("cache-control") == "no-store";
            assert!(!self.text.contains(secret_field) || not_cached, "{self:?}");
        }
    }

    /// The value of a header field, empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("the value is text"))
    }

    /// The seconds in `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse().unwrap())
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts a problem document (RFC 9457) with this `type`.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.json()["type"], kind, "{self:?}");
        self
    }

    /// Asserts an error in the form of RFC 6749, section 5.2.
    #[track_caller]
    pub(crate) fn is_oauth_error(&self, status: u16, code: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.json()["error"], code, "{self:?}");
        self
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The tokens in the body.
    #[track_caller]
    pub(crate) fn tokens(&self) -> TokenPair {
        let body = self.json();
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
        TokenPair { access: text("access_token"), refresh: text("refresh_token"), session: text("session_id") }
    }

    /// The reason for which `/verify` rejected a token.
    pub(crate) fn rejection_reason(&self) -> Option<&str> {
        self.body["reason"].as_str().filter(|_| self.status == 401)
    }

    /// The same response without the headers that differ between any two responses.
    pub(crate) fn without_per_response_headers(mut self) -> Self {
        self.headers.remove("date");
        self.headers.remove("x-request-id");
        self
    }
}
