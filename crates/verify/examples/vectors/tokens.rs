//! The access tokens: which are accepted with which claims, and the code of each refusal.

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

    fn headers(&mut self) {
        let message = |alg: &str, kid: &str| format!("{}.{}", encode(header(alg, kid)), encode(object(&claims())));
        for alg in ["none", "None", "", "eddsa", "Ed448", "es256", "ES384", "ES256K", "RS256", "PS256"] {
            self.refused(format!("alg {alg:?}"), self.with_header(&header(alg, "ed")), "unsupported_algorithm");
        }
        self.refused("alg none without a signature", format!("{}.", message("none", "ed")), "unsupported_algorithm");
        let unsigned = message("HS256", "ed");
        let key = ed25519("ed").verifying_key().to_bytes();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), unsigned.as_bytes());
        let token = format!("{unsigned}.{}", encode(tag));
        self.refused("HS256 with the public key as the secret", token, "unsupported_algorithm");
        for (alg, kid, signer) in [
            ("ES256", "ed", "ed"),
            ("ES256", "ed", "ec"),
            ("EdDSA", "ec", "ec"),
            ("EdDSA", "ec", "ed"),
            ("Ed25519", "ec", "ed"),
        ] {
            let token = self.keys.jws(signer, &header(alg, kid), object(&claims()));
            self.refused(format!("{alg} with the key {kid}, signed by {signer}"), token, "unsupported_algorithm");
        }
        for kid in ["", "ED", "ed ", "nobody", "rsa", "enc", "small"] {
            self.refused(format!("kid {kid:?}"), self.with_header(&header("EdDSA", kid)), "unknown_key");
        }
        let with = |name: &'static str, value: Value| {
            let mut members = vec![("alg", json!("EdDSA")), ("typ", json!("at+jwt")), ("kid", json!("ed"))];
            members.retain(|(own, _)| *own != name);
            members.push((name, value));
            object(&members)
        };
        for name in ["alg", "typ", "kid"] {
            let header = with(name, json!(5));
            self.refused(format!("{name} is a number"), self.with_header(&header), "malformed");
        }
        let no_kid = object(&vec![("alg", json!("EdDSA")), ("typ", json!("at+jwt"))]);
        self.refused("no kid", self.with_header(&no_kid), "unknown_key");
        let no_typ = object(&vec![("alg", json!("EdDSA")), ("kid", json!("ed"))]);
        self.refused("no typ", self.with_header(&no_typ), "wrong_type");
        let no_alg = object(&vec![("typ", json!("at+jwt")), ("kid", json!("ed"))]);
        self.refused("no alg", self.with_header(&no_alg), "malformed");
        for typ in [
            "JWT",
            "at+jwt ",
            "x/at+jwt",
            "application/application/at+jwt",
            "signet-revocations+jws",
            "signet-second-factor+jwt",
            "signet-magic-link+jwt",
            "signet-confirm-email+jwt",
            "signet-reset-password+jwt",
        ] {
            self.refused(format!("typ {typ:?}"), self.with_header(&with("typ", json!(typ))), "wrong_type");
        }
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("crit", Value::Null),
            ("b64", json!(true)),
            ("jku", json!("https://id.example.org/.well-known/jwks.json")),
            ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ed25519("ed").verifying_key().as_bytes())})),
            ("x5u", json!("https://id.example.org/x")),
            ("x5c", json!([])),
            ("zip", json!("DEF")),
        ] {
            let header = with(name, value.clone());
            self.refused(format!("header with {name} {value}"), self.with_header(&header), "malformed");
        }
        for (name, header) in [
            ("two alg", r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed","alg":"EdDSA"}"#),
            ("two kid, one with an escape", r#"{"kid":"ed-2","alg":"EdDSA","typ":"at+jwt","\u006bid":"ed"}"#),
            ("header is a list", "[]"),
            ("header is empty", ""),
            ("header with a byte order mark", "\u{feff}{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"ed\"}"),
            ("header with more text", r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed"}{}"#),
            ("header with a comma at the end", r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed",}"#),
        ] {
            self.refused(name, self.with_header(header), "malformed");
        }
    }

    fn forms(&mut self) {
        let good = self.token(&claims());
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = [parts[0], parts[1], parts[2]];
        for (name, token) in [
            ("one segment", header.to_owned()),
            ("two segments", format!("{header}.{payload}")),
            ("four segments", format!("{good}.{signature}")),
            ("four segments, the last empty", format!("{good}.")),
            ("five segments", format!("{good}.{payload}.{signature}")),
            ("no payload", format!("{header}..{signature}x")),
            ("no signature", format!("{header}.{payload}.")),
            ("only dots", "..".to_owned()),
            ("white space before", format!(" {good}")),
            ("line feed after", format!("{good}\n")),
            ("padding of the signature", format!("{good}==")),
            ("padding of the header", format!("{header}==.{payload}.{signature}")),
            ("truncated signature", good[..good.len() - 1].to_owned()),
            ("longer signature", format!("{good}AA")),
            ("standard alphabet", format!("{header}.{payload}.{}+/", &signature[..84])),
            ("character that is not ASCII", format!("é{good}")),
            ("percent encoding", good.replace('.', "%2E")),
        ] {
            self.refused(name, token, "malformed");
        }
        // The last character of 64 bytes has four unused bits.
        let last = signature.as_bytes()[85];
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let value = alphabet.iter().position(|one| *one == last).unwrap_or_default();
        let other = char::from(alphabet[value | 1]);
        let token = format!("{}{other}", &good[..good.len() - 1]);
        self.refused("unused bits of the signature are set", token, "malformed");
        let mut members = claims();
        members.push(("pad", json!("")));
        while object(&members).len() % 3 != 1 {
            members
                .last_mut()
                .into_iter()
                .for_each(|(_, pad)| *pad = json!(format!("{}x", pad.as_str().unwrap_or_default())));
        }
        let mut odd = encode(object(&members));
        let last = odd.pop().unwrap_or_default();
        let value = alphabet.iter().position(|one| char::from(*one) == last).unwrap_or_default();
        odd.push(char::from(alphabet[value | 1]));
        let message = format!("{header}.{odd}");
        let token = format!("{message}.{}", encode(self.keys.sign("ed", &message)));
        self.refused("unused bits of the payload are set", token, "malformed");
        for (name, payload) in [
            ("payload is empty", &b""[..]),
            ("payload is a list", b"[]"),
            ("payload is a text", b"\"{}\""),
            ("payload is not UTF-8", b"{\"sub\":\"\xff\"}"),
        ] {
            self.refused(name, self.payload(payload), "malformed");
        }
        let payload = object(&claims());
        for (name, payload) in [
            ("payload with a byte order mark", format!("\u{feff}{payload}")),
            ("payload with more text", format!("{payload}{payload}")),
            ("payload with NaN", payload.replacen('{', "{\"x\":NaN,", 1)),
            ("payload with a comment", payload.replacen('{', "{/**/", 1)),
            ("two sub", payload.replacen('{', "{\"sub\":\"user-2\",", 1)),
            ("two sub, one with an escape", payload.replacen('{', "{\"s\\u0075b\":\"user-2\",", 1)),
            ("two exp", payload.replacen('{', "{\"exp\":1,", 1)),
            ("two aud", payload.replacen('{', "{\"aud\":\"orders\",", 1)),
            ("sub with half of a character", payload.replace("user-1", r"\ud83d")),
            ("sid with half of a character", payload.replace(SID, r"\ude00")),
        ] {
            self.refused(name, self.payload(payload), "malformed");
        }
    }

    fn signatures(&mut self) {
        let payload = object(&claims());
        for (alg, kid) in [("EdDSA", "ed"), ("ES256", "ec")] {
            let header = header(alg, kid);
            let other = object(&with("sub", json!("user-2")));
            let (one, two) = (self.keys.jws(kid, &header, &payload), self.keys.jws(kid, &header, &other));
            let (message, _) = one.rsplit_once('.').unwrap_or_default();
            let (_, signature) = two.rsplit_once('.').unwrap_or_default();
            // An ES256 signature of another token is random, so it is not used.
            let wrong = if kid == "ec" { encode([0x11; 64]) } else { signature.to_owned() };
            self.refused(format!("{alg}: signature of another token"), format!("{message}.{wrong}"), "bad_signature");
            self.refused(
                format!("{alg}: signature of zeros"),
                format!("{message}.{}", encode([0; 64])),
                "bad_signature",
            );
            self.refused(
                format!("{alg}: signature of ones"),
                format!("{message}.{}", encode([255; 64])),
                "bad_signature",
            );
        }
        let token = self.keys.jws("stranger", &header("EdDSA", "ed"), &payload);
        self.refused("signed by a key that is not in the set", token, "bad_signature");
        let token = self.keys.jws("ed-2", &header("EdDSA", "ed"), &payload);
        self.refused("signed by another key of the set", token, "bad_signature");
        let message = format!("{}.{}", encode(header("EdDSA", "ed")), encode(&payload));
        let mut signature = self.keys.sign("ed", &message);
        // RFC 8032, 5.1: the order of the group, little-endian.
        let order =
            b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";
        let mut carry = 0;
        for (byte, more) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(*more);
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        self.refused("EdDSA: S is not reduced", format!("{message}.{}", encode(signature)), "bad_signature");
        // R is the neutral element, and S fits: the equation holds.
        let key = ed25519("ed");
        let mut signature = [0; 64];
        signature[0] = 1;
        let hashed = [&signature[..32], key.verifying_key().as_bytes(), message.as_bytes()].concat();
        let mut wide = [0; 64];
        wide.copy_from_slice(digest(&SHA512, &hashed).as_ref());
        let s = Scalar::from_bytes_mod_order_wide(&wide) * key.to_scalar();
        signature[32..].copy_from_slice(s.as_bytes());
        self.refused("EdDSA: R has a small order", format!("{message}.{}", encode(signature)), "bad_signature");
        // With the neutral element as the key, R = B and S = 1 is a signature of everything.
        let message = format!("{}.{}", encode(header("EdDSA", "small")), encode(&payload));
        let mut signature = [0x66; 64];
        signature[0] = 0x58;
        signature[32..].copy_from_slice(Scalar::ONE.as_bytes());
        let token = format!("{message}.{}", encode(signature));
        self.refused("EdDSA: the key has a small order", token, "unknown_key");

        let message = format!("{}.{}", encode(header("ES256", "ec")), encode(&payload));
        let raw = self.keys.sign_es256(&message, false);
        self.refused("ES256: signature in DER", format!("{message}.{}", encode(der(&raw))), "malformed");
        let members = with("jti", json!("019a82df-8000-7000-8000-000000000003"));
        let message = format!("{}.{}", encode(header("ES256", "ec")), encode(object(&members)));
        let token = format!("{message}.{}", encode(self.keys.sign_es256(&message, true)));
        let jti = [("jti", json!("019a82df-8000-7000-8000-000000000003"))];
        self.valid("ES256: signature with a high s", token, &jti);
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
