//! JSON bodies: parsed, or rejected with the position or the fields that are wrong.

use std::borrow::Cow;
use std::num::NonZeroU8;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use signet::http::{Rejection, json};

/// One field of each kind that the dialects have.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only a target of deserialization")]
pub(super) struct Body<'b> {
    #[serde(borrow)]
    email: Cow<'b, str>,
    id: Option<uuid::Uuid>,
    page: Option<NonZeroU8>,
    #[serde(default)]
    verified: bool,
    balance: Option<i64>,
    share: Option<f64>,
    #[serde(default, deserialize_with = "json::double_option")]
    name: Option<Option<String>>,
    scopes: Option<Vec<String>>,
    inner: Option<Box<Inner>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only a target of deserialization")]
struct Inner {
    kind: Kind,
    more: Option<Box<Inner>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    One,
    Other,
}

pub fn run(bytes: &[u8]) {
    if let Some(value) = json::single_string_field(bytes, "email") {
        let parsed = serde_json::from_slice::<Value>(bytes).ok();
        assert_eq!(parsed, Some(serde_json::json!({"email": value})), "what is recognized is what a parser returns");
    }
    match json::parse::<Body<'_>>(bytes) {
        // Unknown fields are skipped without being decoded: an unpaired surrogate, for example, is accepted there.
        Ok(_) => {
            assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok(), "an accepted body is JSON");
            assert!(bytes.trim_ascii_start().starts_with(b"{"), "an accepted body is an object");
        }
        Err(Rejection::MalformedBody { at, detail }) => {
            let is_beyond_bounds = detail.starts_with("nested deeper than ") || detail.starts_with("more than ");
            let is_json = serde_json::from_slice::<Value>(bytes).is_ok();
            assert!(is_beyond_bounds || !is_json, "a malformed body is not JSON, or has too many values: {detail}");
            assert!(at <= bytes.len(), "the position is in the body");
        }
        Err(Rejection::InvalidFields(errors)) => {
            assert!(!errors.is_empty() && errors.len() <= 32, "{errors:?}");
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let distinct: std::collections::BTreeSet<&String> = messages.iter().collect();
            assert_eq!(distinct.len(), messages.len(), "each error once: {messages:?}");
        }
        Err(other) => panic!("unexpected rejection of a body: {other}"),
    }
}
