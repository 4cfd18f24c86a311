//! JSON bodies: read or refused in words, every fault with a place that is there or missing, whatever the body says.

use std::borrow::Cow;
use std::num::NonZeroU8;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use signet::http::{Rejection, json};

/// One of each kind of field that the dialects have.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only read into")]
struct Body<'b> {
    #[serde(borrow)]
    email: Cow<'b, str>,
    id: Option<uuid::Uuid>,
    page: Option<NonZeroU8>,
    #[serde(default)]
    verified: bool,
    balance: Option<i64>,
    share: Option<f64>,
    #[serde(default, deserialize_with = "json::given")]
    name: Option<Option<String>>,
    scopes: Option<Vec<String>>,
    inner: Option<Box<Inner>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only read into")]
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
    match json::read::<Body<'_>>(bytes) {
        // What nobody asks for is only passed over: half of a surrogate pair, say, has no text and is no fault there.
        Ok(_) => {
            assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok(), "what is read is JSON");
            assert!(bytes.trim_ascii_start().starts_with(b"{"), "what is read is an object");
        }
        Err(Rejection::Unreadable { at, .. }) => {
            assert!(serde_json::from_slice::<Value>(bytes).is_err(), "what can be read is not unreadable");
            assert!(at <= bytes.len(), "a place in the body");
        }
        Err(Rejection::Fields(faults)) => {
            assert!(!faults.is_empty() && faults.len() <= 32, "{faults:?}");
            let each: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let once: std::collections::BTreeSet<&String> = each.iter().collect();
            assert_eq!(once.len(), each.len(), "each fault once: {each:?}");
        }
        Err(other) => panic!("no such fault of a body: {other}"),
    }
}
