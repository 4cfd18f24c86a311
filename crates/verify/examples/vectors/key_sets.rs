//! Key sets: which are refused, and which of their keys verify tokens.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use signet_verify::jwks::MAX_KEYS;

use super::signer::{Keys, ed25519, encode, text};

#[derive(Serialize)]
struct File {
    key_sets: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    name: String,
    /// The exact text of the document.
    document: String,
    /// The usable keys and their algorithms; null if the document is refused.
    keys: Option<BTreeMap<String, String>>,
}

/// The text of `key_sets.json`.
pub(crate) fn file(keys: &Keys) -> String {
    let own: Value = serde_json::from_str(&keys.jwks).unwrap_or_default();
    let [ed, ec] = [&own["keys"][0], &own["keys"][2]];
    let mut cases = Vec::new();
    let mut add = |name: &str, document: String, keys: Option<&[(&str, &str)]>| {
        let owned = |(kid, alg): &(&str, &str)| ((*kid).to_owned(), (*alg).to_owned());
        let keys = keys.map(|keys| keys.iter().map(owned).collect());
        cases.push(Case { name: name.to_owned(), document, keys });
    };
    let set = |keys: &[Value]| json!({"keys": keys}).to_string();
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let without = |jwk: &Value, name: &str| {
        let mut jwk = jwk.clone();
        if let Some(members) = jwk.as_object_mut() {
            members.remove(name);
        }
        jwk
    };
    let (edwards, nist) = (("ed", "EdDSA"), ("ec", "ES256"));

    add("that of the other vectors", keys.jwks.clone(), Some(&[edwards, ("ed-2", "EdDSA"), nist]));
    add("no keys", set(&[]), Some(&[]));
    add("another member", json!({"keys": [ed], "x": {"keys": 1}}).to_string(), Some(&[edwards]));
    for document in
        ["", "[]", "{}", "null", r#"{"keys":null}"#, r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[null]}"#]
    {
        add(&format!("document {document:?}"), document.to_owned(), None);
    }
    add("with a byte order mark", format!("\u{feff}{}", set(std::slice::from_ref(ed))), None);
    add("two members keys", set(std::slice::from_ref(ed)).replacen('{', "{\"keys\":[],", 1), None);
    add("two members of one name in a key", set(std::slice::from_ref(ed)).replacen("[{", "[{\"kid\":\"ed\",", 1), None);
    add("two members of one name in an unknown member", r#"{"keys":[],"x":{"a":1,"a":1}}"#.to_owned(), None);
    add("two keys with one kid", set(&[ed.clone(), with(ec, "kid", json!("ed"))]), None);
    add("the same key twice", set(&[ed.clone(), ed.clone()]), None);
    let encryption = with(&with(ec, "kid", json!("ed")), "use", json!("enc"));
    add("a key for encryption with the same kid", set(&[ed.clone(), encryption]), Some(&[edwards]));
    let numbered = |count: usize| {
        let unusable = (1..count).map(|number| json!({"kty": "RSA", "kid": number.to_string()}));
        set(&std::iter::once(ed.clone()).chain(unusable).collect::<Vec<_>>())
    };
    add("as many keys as allowed", numbered(MAX_KEYS), Some(&[edwards]));
    add("too many keys", numbered(MAX_KEYS + 1), None);

    add("alg Ed25519", set(&[with(ed, "alg", json!("Ed25519"))]), Some(&[edwards]));
    add("no alg and no use", set(&[without(&without(ed, "alg"), "use"), ec.clone()]), Some(&[edwards, nist]));
    for (name, jwk) in [
        ("no kid", without(ed, "kid")),
        ("kid is a number", with(ed, "kid", json!(1))),
        ("kid is null", with(ed, "kid", Value::Null)),
        ("no kty", without(ed, "kty")),
        ("kty is a list", with(ed, "kty", json!(["OKP"]))),
        ("no crv", without(ed, "crv")),
        ("crv Ed448", with(ed, "crv", json!("Ed448"))),
        ("crv X25519", with(ed, "crv", json!("X25519"))),
        ("crv of another kty", with(ed, "kty", json!("EC"))),
        ("alg of another kty", with(ed, "alg", json!("ES256"))),
        ("alg is null", with(ed, "alg", Value::Null)),
        ("alg is a list", with(ed, "alg", json!(["EdDSA"]))),
        ("use is enc", with(ed, "use", json!("enc"))),
        ("use is null", with(ed, "use", Value::Null)),
        ("use is a list", with(ed, "use", json!(["sig"]))),
        ("no x", without(ed, "x")),
        ("x is null", with(ed, "x", Value::Null)),
        ("x is too short", with(ed, "x", json!(encode([7; 31])))),
        ("x is too long", with(ed, "x", json!(encode([7; 33])))),
        ("x is padded", with(ed, "x", json!(format!("{}=", encode(ed25519("ed").verifying_key().as_bytes()))))),
        ("x has a small order", with(ed, "x", own["keys"][3]["x"].clone())),
        ("y is a number", with(ed, "y", json!(1))),
        ("a private key", with(ed, "d", json!(encode([1; 32])))),
    ] {
        add(&format!("Ed25519: {name}"), set(&[jwk, ec.clone()]), Some(&[nist]));
    }
    for (name, jwk) in [
        ("crv P-384", with(ec, "crv", json!("P-384"))),
        ("alg EdDSA", with(ec, "alg", json!("EdDSA"))),
        ("no y", without(ec, "y")),
        ("y is too short", with(ec, "y", json!(encode([7; 31])))),
        ("not a point of the curve", with(ec, "y", ec["x"].clone())),
        ("a private key", with(ec, "d", json!(encode([3; 32])))),
    ] {
        add(&format!("P-256: {name}"), set(&[jwk, ed.clone()]), Some(&[edwards]));
    }
    text(&File { key_sets: cases })
}
