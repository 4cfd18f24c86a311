//! The access tokens: which are accepted with which claims, and the code of each refusal.

mod refusals;
mod strict;

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::hmac;
use curve25519_dalek::scalar::Scalar;
use serde::Serialize;
use serde_json::{Value, json};

use super::signer::{ISSUER, Keys, Members, NOW, ed25519, encode, object, text};

const AUDIENCE: &str = "orders";
const SID: &str = "019a82df-0000-7000-8000-000000000001";
const JTI: &str = "019a82df-8000-7000-8000-000000000002";

/// The most characters of a token.
const MAX_TOKEN: usize = signet_verify::token::MAX_LENGTH;

#[derive(Serialize)]
struct File {
    defaults: BTreeMap<&'static str, Value>,
    tokens: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    name: String,
    token: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<&'static str, Value>,
    expect: BTreeMap<&'static str, Value>,
}

/// Collects the cases.
struct Cases<'k> {
    keys: &'k Keys,
    cases: Vec<Case>,
}

/// The text of `tokens.json`.
pub(crate) fn file(keys: &Keys) -> String {
    let mut cases = Cases { keys, cases: Vec::new() };
    cases.accepted();
    cases.headers();
    cases.forms();
    cases.signatures();
    cases.claims();
    cases.times();
    cases.requirements();
    cases.json();
    cases.numbers();
    cases.order();
    let defaults = BTreeMap::from([
        ("issuer", json!(ISSUER)),
        ("audience", json!(AUDIENCE)),
        ("leeway", json!(5)),
        ("now", json!(NOW)),
        ("scopes", json!([])),
        ("subject", Value::Null),
    ]);
    text(&File { defaults, tokens: cases.cases })
}

pub(crate) fn header(alg: &str, kid: &str) -> String {
    object(&vec![("alg", json!(alg)), ("typ", json!("at+jwt")), ("kid", json!(kid))])
}

fn claims() -> Members {
    vec![
        ("iss", json!(ISSUER)),
        ("aud", json!(AUDIENCE)),
        ("sub", json!("user-1")),
        ("sid", json!(SID)),
        ("client_id", json!("web")),
        ("auth_time", json!(NOW - 1000)),
        ("iat", json!(NOW - 20)),
        ("exp", json!(NOW + 880)),
        ("jti", json!(JTI)),
        ("email", json!("ada@example.org")),
        ("email_verified", json!(true)),
        ("scope", json!("read write")),
    ]
}

/// The claims with one of them changed, or added.
fn with(name: &'static str, value: Value) -> Members {
    let mut members = claims();
    match members.iter_mut().find(|(own, _)| *own == name) {
        Some((_, own)) => *own = value,
        None => members.push((name, value)),
    }
    members
}

fn without(names: &[&str]) -> Members {
    claims().into_iter().filter(|(name, _)| !names.contains(name)).collect()
}

/// The claims as a verifier gives them.
fn expected() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("sub", json!("user-1")),
        ("sid", json!(SID)),
        ("jti", json!(JTI)),
        ("client_id", json!("web")),
        ("scopes", json!(["read", "write"])),
        ("audience", json!([AUDIENCE])),
        ("email", json!("ada@example.org")),
        ("email_verified", json!(true)),
        ("issued_at", json!(NOW - 20)),
        ("expires_at", json!(NOW + 880)),
        ("auth_time", json!(NOW - 1000)),
        ("is_user", json!(true)),
    ])
}

/// Claims that a case changes, as a verifier gives them.
type Changed = [(&'static str, Value)];

impl Cases<'_> {
    fn add(&mut self, name: impl Into<String>, token: String, options: &Changed, expect: (&'static str, Value)) {
        let (options, expect) = (options.iter().cloned().collect(), BTreeMap::from([expect]));
        self.cases.push(Case { name: name.into(), token, options, expect });
    }

    fn valid(&mut self, name: impl Into<String>, token: String, changed: &Changed) {
        let mut claims = expected();
        claims.extend(changed.iter().cloned());
        self.add(name, token, &[], ("claims", json!(claims)));
    }

    fn refused(&mut self, name: impl Into<String>, token: String, code: &str) {
        self.add(name, token, &[], ("error", json!(code)));
    }

    fn token(&self, members: &Members) -> String {
        self.keys.jws("ed", &header("EdDSA", "ed"), object(members))
    }

    fn payload(&self, payload: impl AsRef<[u8]>) -> String {
        self.keys.jws("ed", &header("EdDSA", "ed"), payload)
    }

    fn with_header(&self, header: &str) -> String {
        self.keys.jws("ed", header, object(&claims()))
    }

    fn accepted(&mut self) {
        let payload = object(&claims());
        for (alg, kid) in [("EdDSA", "ed"), ("Ed25519", "ed"), ("EdDSA", "ed-2"), ("Ed25519", "ed-2"), ("ES256", "ec")]
        {
            self.valid(format!("{alg} by {kid}"), self.keys.jws(kid, &header(alg, kid), &payload), &[]);
        }
        for typ in ["AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            let header = object(&vec![("kid", json!("ed")), ("typ", json!(typ)), ("alg", json!("EdDSA"))]);
            self.valid(format!("typ {typ}"), self.with_header(&header), &[]);
        }
        let spaced = " {\n\t\"alg\" : \"\\u0045dDSA\", \"typ\":\"at+jwt\", \
            \"kid\":\"ed\", \"cty\":\"x\", \"x\":{\"a\":[1]} }\r\n";
        self.valid("header with white space, escapes and other members", self.with_header(spaced), &[]);
        let listed = json!(["billing", AUDIENCE]);
        self.valid("list of audiences", self.token(&with("aud", listed.clone())), &[("audience", listed)]);
        let token = self.token(&with("sub", json!("ü 😀 \" \\ \u{7f}")));
        self.valid("sub with other characters", token, &[("sub", json!("ü 😀 \" \\ \u{7f}"))]);
        let escaped = payload.replace("user-1", r"\u0075ser-\ud83d\ude00");
        self.valid("sub with escapes", self.payload(escaped), &[("sub", json!("user-😀"))]);
        let token = self.token(&with("tenant", json!({"sub": "user-2", "exp": 1, "list": [{}, []]})));
        self.valid("members of another claim", token, &[]);
        let token = self.token(&with("scope", json!(" write  read ")));
        self.valid("scope with more spaces", token, &[]);
        let token = self.token(&with("scope", json!("read\twrite")));
        self.valid("only spaces separate scopes", token, &[("scopes", json!(["read\twrite"]))]);
        let api_key = without(&["sid", "email", "email_verified", "auth_time", "scope"]);
        let changed: Vec<(&str, Value)> =
            ["sid", "email", "auth_time"].into_iter().map(|name| (name, Value::Null)).collect();
        let more = [("scopes", json!([])), ("is_user", json!(false)), ("email_verified", json!(false))];
        self.valid("token of an API key", self.token(&api_key), &[changed, more.to_vec()].concat());
        for value in [json!(false), Value::Null] {
            let token = self.token(&with("email_verified", value.clone()));
            let changed = [("email", Value::Null), ("email_verified", json!(false))];
            self.valid(format!("email_verified {value}"), token, &changed);
        }
        let pad = |length: usize| {
            // 4 characters of base64url for 3 bytes. A member of a header with one more byte fills the rest.
            let mut token = String::new();
            for header_pad in 0..4 {
                let header = object(&vec![
                    ("alg", json!("EdDSA")),
                    ("typ", json!("at+jwt")),
                    ("kid", json!("ed")),
                    ("x", json!("x".repeat(header_pad))),
                ]);
                for more in 0..3 {
                    let base = self.keys.jws("ed", &header, object(&with("pad", json!("")))).len();
                    let count = (length - base) / 4 * 3 + more;
                    token = self.keys.jws("ed", &header, object(&with("pad", json!("x".repeat(count)))));
                    if token.len() == length {
                        return token;
                    }
                }
            }
            token
        };
        let (longest, longer) = (pad(MAX_TOKEN), pad(MAX_TOKEN + 1));
        self.valid(format!("{MAX_TOKEN} characters"), longest, &[]);
        self.refused(format!("{} characters", MAX_TOKEN + 1), longer, "malformed");
    }

    fn claims(&mut self) {
        for name in ["iss", "aud", "sub", "exp"] {
            self.refused(format!("no {name}"), self.token(&without(&[name])), "malformed");
            self.refused(format!("{name} is null"), self.token(&with(name, Value::Null)), "malformed");
        }
        for name in ["iss", "sub", "sid", "jti", "client_id", "scope", "email"] {
            for value in [json!(5), json!(["x"]), json!({}), json!(true)] {
                self.refused(format!("{name} is {value}"), self.token(&with(name, value)), "malformed");
            }
        }
        for value in [json!("true"), json!(1), json!([true])] {
            self.refused(format!("email_verified is {value}"), self.token(&with("email_verified", value)), "malformed");
        }
        for name in ["exp", "nbf", "iat", "auth_time"] {
            for value in [json!("1763131200"), json!(1_763_131_200.5), json!(1e300), json!([1]), json!(true)] {
                self.refused(format!("{name} is {value}"), self.token(&with(name, value)), "malformed");
            }
        }
        self.refused("nbf is null", self.token(&with("nbf", Value::Null)), "malformed");
        for value in [json!(5), json!({"orders": 1}), json!(["orders", 5]), json!([["orders"]])] {
            self.refused(format!("aud is {value}"), self.token(&with("aud", value)), "malformed");
        }
        for value in [json!("Orders"), json!("orders "), json!("billing"), json!([]), json!(["billing", "order"])] {
            self.refused(format!("aud is {value}"), self.token(&with("aud", value)), "wrong_audience");
        }
        for value in ["https://id.example.org/", "https://ID.example.org", "https://id.example.com", ""] {
            self.refused(format!("iss is {value:?}"), self.token(&with("iss", json!(value))), "wrong_issuer");
        }
        let token = self.token(&claims());
        let issuer = [("issuer", json!("https://id.example.com"))];
        self.add("another issuer is expected", token.clone(), &issuer, ("error", json!("wrong_issuer")));
        let audience = [("audience", json!("billing"))];
        self.add("another audience is expected", token, &audience, ("error", json!("wrong_audience")));
    }

    fn times(&mut self) {
        let mut at = |name: &'static str, offset: i64, leeway: u32, code: Option<&str>| {
            let token = self.token(&with(name, json!(NOW + offset)));
            let title = format!("{name} is now {offset:+}, leeway {leeway}");
            let expect = match code {
                Some(code) => ("error", json!(code)),
                None if name == "exp" => ("claims", json!({"expires_at": NOW + offset})),
                None => ("claims", json!({"sub": "user-1"})),
            };
            self.add(title, token, &[("leeway", json!(leeway))], expect);
        };
        for (offset, leeway, code) in [
            (1, 0, None),
            (0, 0, Some("expired")),
            (-4, 5, None),
            (-5, 5, Some("expired")),
            (-59, 60, None),
            (-60, 60, Some("expired")),
            (-NOW, 5, Some("expired")),
            (-NOW - 1, 5, Some("expired")),
        ] {
            at("exp", offset, leeway, code);
        }
        for (offset, leeway, code) in
            [(0, 0, None), (1, 0, Some("not_yet_valid")), (5, 5, None), (6, 5, Some("not_yet_valid")), (-NOW, 5, None)]
        {
            at("nbf", offset, leeway, code);
        }
        at("iat", 600, 5, None);
    }

    fn requirements(&mut self) {
        let user = self.token(&claims());
        let client = self.token(&without(&["sid", "auth_time"]));
        let accepted = || ("claims", json!({"sub": "user-1"}));
        let refused = |code: &str| ("error", json!(code));
        self.add("one scope", user.clone(), &[("scopes", json!(["write"]))], accepted());
        self.add("all scopes", user.clone(), &[("scopes", json!(["write", "read"]))], accepted());
        for scopes in [json!(["admin"]), json!(["read", "admin"]), json!(["Read"]), json!(["rea"])] {
            let title = format!("scopes {scopes}");
            self.add(title, user.clone(), &[("scopes", scopes)], refused("insufficient_scope"));
        }
        let token = self.token(&with("scope", json!("read\twrite")));
        self.add("scope before a tab", token, &[("scopes", json!(["read"]))], refused("insufficient_scope"));
        self.add("a user is required", user.clone(), &[("subject", json!("user"))], accepted());
        self.add("a client is required", client.clone(), &[("subject", json!("client"))], accepted());
        self.add("a client instead of a user", client, &[("subject", json!("user"))], refused("wrong_subject"));
        self.add("a user instead of a client", user, &[("subject", json!("client"))], refused("wrong_subject"));
    }
}

/// The DER form of an ECDSA signature.
fn der(raw: &[u8; 64]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let begin = bytes.iter().position(|byte| *byte != 0).unwrap_or(31);
        let mut value = bytes[begin..].to_vec();
        if value[0] >= 0x80 {
            value.insert(0, 0);
        }
        [&[2, value.len() as u8], &value[..]].concat()
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, body.len() as u8], &body[..]].concat()
}
