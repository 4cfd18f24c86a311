//! Lists of credentials: bad ones of each kind, the client's own, and what is no credential.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signet::rng::Rng;
use signet::token::api_key::NewApiKey;

use super::{Shape, shape};
use crate::cost::target::{JSON, Target, filled, numbered};

/// The largest batch.
const ITEMS: usize = 1024;

/// Lists in every field that the document describes as one.
pub(in crate::cost) fn batches(target: &Target<'_>) -> Vec<Shape> {
    let lists = ["tokens", "roles", "scopes"];
    let fields = target.fields().iter().filter(|field| lists.contains(&field.as_str()));
    fields.flat_map(|field| lists_of(target, field)).collect()
}

fn lists_of(target: &Target<'_>, field: &str) -> Vec<Shape> {
    let space = target.size - 1024;
    let many = |item: &dyn Fn(usize) -> String| {
        let (mut items, mut size) = (Vec::new(), 0);
        while items.len() < ITEMS {
            let next = item(items.len());
            size += next.len() + 3;
            if size > space {
                break;
            }
            items.push(Value::String(next));
        }
        items
    };
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    // The header of a valid token, so that the signature is checked.
    let header = target.access.split('.').next().unwrap_or_default();
    let long = space / ITEMS - 3;
    // Keys with a right checksum: others are refused without a look at the store.
    let rng = Rng::system();
    let credentials: Vec<(&str, Vec<Value>)> = vec![
        ("empty texts", many(&|_| String::new())),
        ("letters", many(&|_| "a".to_owned())),
        ("long texts", many(&|_| "a".repeat(long))),
        ("API keys of no one", many(&|_| NewApiKey::generate(&rng).reveal().to_owned())),
        ("tokens with a wrong signature", {
            many(&|number| format!("{header}.{}.{}", encoded(&format!("{{\"a\":{number}}}")), "A".repeat(86)))
        }),
        ("long tokens with a wrong signature", {
            many(&|number| {
                let payload = format!("{{\"a\":\"{number}{}\"}}", "a".repeat(long.saturating_sub(512) / 4 * 3));
                format!("{header}.{}.{}", encoded(&payload), "A".repeat(86))
            })
        }),
        ("tokens with a nested header", many(&|_| format!("{}.e30.AA", encoded(&"[".repeat(long / 2))))),
        ("one valid token", many(&|_| target.access.to_owned())),
        ("one valid API key", many(&|_| target.api_key.to_owned())),
        ("the valid ones in turn", {
            many(&|number| if number % 2 == 0 { target.access } else { target.api_key }.to_owned())
        }),
    ];
    let mut shapes = Vec::new();
    for (name, items) in credentials {
        let plain = target.with_field(field, &json!(items));
        let spare = target.size.saturating_sub(plain.body.len() + 256);
        shapes.push(shape(format!("batch: {name}"), &plain));
        for (what, scope) in [
            ("one scope", filled("scope-0 ", spare)),
            ("different scopes", numbered(spare, |number| format!("{number} "))),
            ("spaces", filled(" ", spare)),
        ] {
            let body = json!({field: items, "scope": scope, "aud": "signet"}).to_string();
            shapes.push(shape(format!("batch: {name}, demanding {what}"), &target.message().body(JSON, body)));
        }
    }
    let raw = |name: &str, item: &str, last: &str| {
        let text = format!("{{\"{field}\":[{}{last}]}}", filled(&format!("{item},"), space));
        shape(format!("batch: {name}"), &target.message().body(JSON, text))
    };
    let wrong = ["0"; 31].join(",");
    shapes.extend([
        raw("too many", "\"\"", "\"\""),
        raw("wrong at the end", "\"a\"", &wrong),
        raw("wrong at the end, with escapes", "\"\\n\"", &wrong),
        raw("small maps", "{\"a\":0}", "{}"),
        raw("small maps with one name", "{\"\":{}}", "{}"),
        raw("small lists", "[0]", "[]"),
        raw("nulls", "null", "null"),
        raw("digits", "0", "0"),
        raw("digits, then a valid one", "0", "\"a\""),
        raw("nested maps", &format!("{}0{}", "{\"a\":".repeat(100), "}".repeat(100)), "0"),
    ]);
    shapes
}
