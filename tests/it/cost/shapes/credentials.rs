//! `Authorization` and `X-Api-Key` at their limit, and demands for thousands of scopes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Shape, shape};
use crate::cost::target::{Target, filled, numbered, percent_encoded};

/// The space of a credential in the largest head that the server reads.
const FIELD: usize = 13 << 10;
/// The space of such a text before it is encoded.
const DECODED: usize = FIELD / 4 * 3 - 64;

pub(in crate::cost) fn credentials(target: &Target<'_>) -> Vec<Shape> {
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token =
        |header: &str, payload: &str| format!("Bearer {}.{}.{}", encoded(header), encoded(payload), "A".repeat(86));
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let header = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"a"}"#;
    let members = numbered(DECODED - 128, |number| format!("\"{number}\":0,"));
    let values: Vec<(&str, String)> = vec![
        ("a header of different names", token(&format!("{{{members}\"alg\":\"EdDSA\"}}"), "{}")),
        (
            "a header of one name",
            token(&format!("{{{}\"alg\":\"EdDSA\"}}", filled("\"alg\":\"\",", DECODED - 128)), "{}"),
        ),
        ("a nested header", token(&format!("{{\"a\":{}", filled("[", DECODED - 128)), "{}")),
        ("a header with a nested key", token(&format!("{{\"jwk\":{}", filled("{\"a\":", DECODED - 128)), "{}")),
        ("a header of escapes", token(&format!("{{\"kid\":\"{}\"}}", filled("\\u0061", DECODED - 128)), "{}")),
        (
            "a header with a list of `crit`",
            token(&format!("{{\"crit\":[{}\"a\"]}}", filled("\"a\",", DECODED - 128)), "{}"),
        ),
        (
            "a header with a long `kid`",
            token(&format!("{{\"alg\":\"EdDSA\",\"kid\":\"{}\"}}", filled("a", DECODED - 160)), "{}"),
        ),
        ("white space in a header", token(&filled(" ", DECODED - 128), "{}")),
        ("a long payload", token(header, &filled("[", DECODED - 256))),
        ("a valid token with a long signature", format!("Bearer {}{}", target.access, filled("A", FIELD - 2048))),
        ("dots", format!("Bearer {}", filled(".", FIELD))),
        ("spaces", format!("Bearer {}a", filled(" ", FIELD))),
        ("commas", format!("Bearer {}", filled("a,", FIELD))),
        ("letters", format!("Bearer {}", filled("a", FIELD))),
        ("another scheme", format!("Digest {}", numbered(FIELD, |number| format!("{number}=\"\\\"\",")))),
        ("a scheme alone", filled("a", FIELD)),
        ("Basic with long halves", basic(&format!("{0}:{0}", filled("a", DECODED / 2 - 8)))),
        ("Basic with an API key of great length", basic(&format!("a:sk_{}", filled("a", DECODED - 16)))),
        ("Basic of colons", basic(&filled(":", DECODED))),
        ("Basic of encoded letters", basic(&format!("a:{}", filled("%41", DECODED - 8)))),
        ("Basic that is wrong at the end", format!("Basic {}!", filled("QUFB", FIELD))),
        ("Basic of NUL", basic(&filled("\0", DECODED))),
        ("an API key of great length", format!("Bearer sk_{}", filled("a", FIELD))),
        ("an API key of underscores", format!("Bearer sk{}", filled("_", FIELD))),
    ];
    let bare = || {
        let mut message = target.message();
        message.fields.clear();
        message
    };
    let mut shapes: Vec<Shape> = values
        .iter()
        .map(|(name, value)| shape(format!("authorization: {name}"), &bare().field("authorization", value)))
        .collect();
    for (name, value) in [
        ("a key of great length", format!("sk_{}", filled("a", FIELD))),
        ("underscores", format!("sk{}", filled("_", FIELD))),
        ("a token", filled("e30.", FIELD)),
    ] {
        shapes.push(shape(format!("x-api-key: {name}"), &bare().field("x-api-key", value)));
    }
    let many = (0..90).fold(bare(), |message, number| message.field("authorization", format!("Bearer {number}.a.b")));
    shapes.push(shape("authorization: again and again", &many));
    shapes
}

/// Scopes by the thousand, demanded or given, by the owner of a key with many scopes.
pub(in crate::cost) fn scopes(target: &Target<'_>) -> Vec<Shape> {
    let operation = target.operation;
    let texts = |size: usize| {
        [
            ("one scope", filled("scope-0 ", size)),
            ("different scopes", numbered(size, |number| format!("{number} "))),
            ("one letter", filled("a ", size)),
            ("spaces", filled(" ", size)),
        ]
    };
    // The demands apply to whatever credential the request has.
    let with_key = |message: crate::cost::wire::Message| {
        let mut message = message;
        message.fields.retain(|(name, _)| name != "authorization" && name != "x-api-key");
        message.field("x-api-key", target.api_key)
    };
    let mut shapes = Vec::new();
    for (name, text) in texts(10 << 10) {
        let path = target.message().target;
        let message = target.message_to(&format!(
            "{path}?aud=signet&scope={}",
            percent_encoded(&text).replace("%20", "+").replace("%2D", "-")
        ));
        shapes.push(shape(format!("scopes: {name} in the query"), &with_key(message)));
    }
    for field in operation.fields().iter().filter(|field| field.contains("scope") || *field == "roles") {
        for (name, text) in texts(target.size - 2048) {
            let text = text.trim_end();
            let list: Vec<&str> = text.split(' ').collect();
            // Every item costs two quotes and a comma.
            let list = &list[..list.len().min(target.size / 12)];
            for (kind, value) in [("text", json!(text)), ("list", json!(list))] {
                let message = target.with_field(field, &value);
                if message.body.len() <= target.size {
                    shapes.push(shape(format!("scopes: {name} as a {kind} of `{field}`"), &with_key(message.clone())));
                    shapes.push(shape(format!("scopes: {name} as a {kind} of `{field}`, in a session"), &message));
                }
            }
        }
        if !target.takes_form() {
            let scopes = (0..target.size / 16).map(|_| json!("scope-0"));
            let wrong: Vec<Value> = scopes.chain((0..31).map(Value::from)).collect();
            shapes.push(shape("scopes: wrong at the end", &target.with_field(field, &json!(wrong))));
        }
    }
    shapes
}
