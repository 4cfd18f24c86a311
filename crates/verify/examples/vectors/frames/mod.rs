//! The revocation feed: which frames are discarded, and what a follower knows after responses of the server.

mod sequences;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use signet_verify::feed::{FRAME_TYPE, IdHash, MAX_ENTRIES, MAX_FRAME_LENGTH, jwks_hash};

use super::signer::{ISSUER, Keys, Members, NOW, encode, object, text};
use super::tokens::header;

const SESSION: &str = "019a82df-0000-7000-8000-000000000001";
const TOKEN: &str = "019a82df-8000-7000-8000-000000000002";
/// The time in `SESSION` and that in `TOKEN`, in milliseconds since 1970.
const SESSION_BEGAN: i64 = 0x019a_82df_0000;
const TOKEN_BEGAN: i64 = 0x019a_82df_8000;

/// Milliseconds subtracted from the time at which a token without a usable `sid` began.
const SKEW: i64 = 120_000;

#[derive(Serialize)]
struct File {
    issuer: &'static str,
    audience: &'static str,
    frames: Vec<FrameCase>,
    tokens: BTreeMap<&'static str, String>,
    sequences: Vec<Sequence>,
}

#[derive(Serialize)]
struct FrameCase {
    name: String,
    frame: String,
    accepted: bool,
}

#[derive(Serialize)]
struct Sequence {
    name: String,
    steps: Vec<Step>,
}

/// One turn of a follower: the documents that it can read, and its state afterwards.
#[derive(Serialize)]
struct Step {
    /// On the monotonic clock, in milliseconds.
    monotonic: i64,
    /// On the wall clock, in milliseconds since 1970.
    wall: i64,
    documents: BTreeMap<String, Vec<String>>,
    expect: Expected,
}

#[derive(Serialize)]
struct Expected {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<bool>,
    epoch: Option<String>,
    position: Option<String>,
    revoked: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staleness: Option<i64>,
}

fn revoked(ids: &[&str]) -> Value {
    let records: Vec<u8> = ids.iter().flat_map(|id| [&IdHash::of(id).0[..], &until()].concat()).collect();
    json!(encode(records))
}

fn revoked_before(user: &str, before: i64) -> Value {
    json!(encode([&IdHash::of(user).0[..], &before.to_be_bytes()[2..], &until()].concat()))
}

/// Ten days after the time of the vectors.
fn until() -> [u8; 4] {
    u32::try_from(NOW + 864_000).unwrap_or_default().to_be_bytes()
}

struct Feed<'k> {
    keys: &'k Keys,
    jwks: String,
}

impl Feed<'_> {
    /// The members of a frame at `seconds` after the time of the vectors.
    fn members(&self, seconds: i64, more: &[(&'static str, Value)]) -> Members {
        let mut members = vec![
            ("iss", json!(ISSUER)),
            ("time", json!((NOW + seconds) * 1000)),
            ("epoch", json!("e1")),
            ("to", json!("p0")),
            ("not_before", json!(0)),
            ("jwks", json!(self.jwks)),
        ];
        for (name, value) in more {
            members.retain(|(own, _)| own != name);
            members.push((name, value.clone()));
        }
        members
    }

    fn header(kid: &str) -> String {
        object(&vec![("alg", json!("EdDSA")), ("typ", json!(FRAME_TYPE)), ("kid", json!(kid))])
    }

    fn frame(&self, seconds: i64, more: &[(&'static str, Value)]) -> String {
        self.frame_by("ed", seconds, more)
    }

    fn frame_by(&self, kid: &str, seconds: i64, more: &[(&'static str, Value)]) -> String {
        self.keys.jws(kid, &Self::header(kid), object(&self.members(seconds, more)))
    }

    fn live(&self, seconds: i64, from: &str, to: &str, more: &[(&'static str, Value)]) -> String {
        self.frame(seconds, &[&[("from", json!(from)), ("to", json!(to))], more].concat())
    }

    /// A snapshot of one part, and the head.
    fn start(&self, seconds: i64, epoch: &str, more: &[(&'static str, Value)]) -> BTreeMap<String, Vec<String>> {
        let part = [("part", json!(1)), ("parts", json!(1)), ("epoch", json!(epoch))];
        let head = [("from", json!("p0")), ("segments", json!(["p0"])), ("epoch", json!(epoch))];
        BTreeMap::from([
            ("snapshot".to_owned(), vec![self.frame(seconds, &[&part[..], more].concat())]),
            (String::new(), vec![self.frame(seconds, &head)]),
        ])
    }

    fn single(&self) -> Vec<FrameCase> {
        let mut cases = Vec::new();
        let mut add = |name: &str, frame: String, accepted: bool| {
            cases.push(FrameCase { name: name.to_owned(), frame, accepted });
        };
        let from = ("from", json!("p0"));
        let good = self.frame(0, std::slice::from_ref(&from));
        add("heartbeat", good.clone(), true);
        add("by another key", self.frame_by("ed-2", 0, std::slice::from_ref(&from)), true);
        add("unknown members", self.frame(0, &[from.clone(), ("x", json!({"time": 1}))]), true);
        add(
            "one entry of each kind",
            self.frame(0, &[from.clone(), ("revoked", revoked(&["x"])), ("revoked_before", revoked_before("x", 5))]),
            true,
        );
        let many = |count: usize, size: usize| json!(encode(vec![7; count * size]));
        add(
            "as many entries as allowed",
            self.frame(0, &[from.clone(), ("revoked_before", many(MAX_ENTRIES, 22))]),
            true,
        );
        add("too many entries", self.frame(0, &[from.clone(), ("revoked", many(MAX_ENTRIES + 1, 16))]), false);
        let both = [from.clone(), ("revoked", many(MAX_ENTRIES, 16)), ("revoked_before", many(1, 22))];
        add("too many entries of both kinds", self.frame(0, &both), false);
        let long = "x".repeat(MAX_FRAME_LENGTH * 3 / 4);
        add("too long", self.frame(0, &[from.clone(), ("x", json!(long))]), false);
        for (name, value) in [
            ("iss", json!("https://id.example.com")),
            ("iss", Value::Null),
            ("time", json!("1763130320000")),
            ("time", json!(1.5)),
            ("time", Value::Null),
            ("epoch", json!("")),
            ("epoch", json!("a/b")),
            ("epoch", json!("..")),
            ("epoch", json!(5)),
            ("to", json!("../x")),
            ("to", json!(".")),
            ("to", json!("x".repeat(65))),
            ("to", Value::Null),
            ("from", json!("a b")),
            ("from", json!(5)),
            ("not_before", json!("0")),
            ("segments", json!(["%2f"])),
            ("segments", json!("p0")),
            ("from", Value::Null),
            ("epoch", Value::Null),
            ("not_before", Value::Null),
            ("jwks", Value::Null),
            ("segments", Value::Null),
            ("revoked", Value::Null),
            ("revoked_before", Value::Null),
            ("jwks", json!("")),
            ("jwks", json!("AAAAAAAAAAAAAAA")),
            ("jwks", json!("AAAAAAAAAAAAAAAAA")),
            ("jwks", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
            ("jwks", json!("AAAAAAAAAAAAAAA+")),
            ("jwks", json!(5)),
            ("time", json!(-1)),
            ("time", json!(1_i64 << 53)),
            ("not_before", json!(-1)),
            ("not_before", json!(1_i64 << 53)),
            ("part", json!(1)),
            ("parts", json!(1)),
            ("revoked", json!("AAAA")),
            ("revoked", json!("AAAAAAAAAAAAAAAAAAAAAA==")),
            ("revoked", json!(5)),
            ("revoked", json!(encode([0; 17]))),
            ("revoked", json!(encode([0; 15]))),
            ("revoked_before", json!(encode([0; 16]))),
            ("revoked_before", json!(encode([0; 23]))),
            ("revoked", json!("AAAAAAAAAAAAAAAAAAAAAB")),
            ("revoked", json!("+AAAAAAAAAAAAAAAAAAAAA")),
        ] {
            let shown = if value.to_string().len() > 40 { "too long".to_owned() } else { value.to_string() };
            add(&format!("{name} is {shown}"), self.frame(0, &[(name, value)]), false);
        }
        for (name, part, parts, accepted) in [
            ("part 0", json!(0), json!(1), false),
            ("part 3 of 2", json!(3), json!(2), false),
            ("part and parts are null", Value::Null, Value::Null, false),
            ("as many parts as allowed", json!(u32::MAX), json!(u32::MAX), true),
            ("too many parts", json!(1), json!(1_i64 << 32), false),
        ] {
            add(name, self.frame(0, &[("part", part), ("parts", parts)]), accepted);
        }
        add("time is zero", self.frame(0, &[from.clone(), ("time", json!(0))]), true);
        let payload = object(&self.members(0, std::slice::from_ref(&from)));
        for (name, kid, header) in [
            ("typ of access tokens", "ed", header("EdDSA", "ed")),
            ("no typ", "ed", r#"{"alg":"EdDSA","kid":"ed"}"#.to_owned()),
            ("no kid", "ed", format!(r#"{{"alg":"EdDSA","typ":"{FRAME_TYPE}"}}"#)),
            ("unknown kid", "ed", Self::header("nobody")),
            ("other name of the algorithm", "ed", Self::header("ed").replace("EdDSA", "Ed25519")),
            ("alg none", "ed", Self::header("ed").replace("EdDSA", "none")),
            ("ES256 by a key of the set", "ec", Self::header("ec").replace("EdDSA", "ES256")),
            ("EdDSA with a P-256 key", "ed", Self::header("ec")),
            ("signed by a stranger", "stranger", Self::header("ed")),
            ("signed by another key of the set", "ed-2", Self::header("ed")),
            ("crit", "ed", Self::header("ed").replace('}', r#","crit":["exp"]}"#)),
            ("jwk", "ed", Self::header("ed").replace('}', r#","jwk":{}}"#)),
            ("typ in capitals", "ed", Self::header("ed").replace("signet-", "SIGNET-")),
            ("typ with application/", "ed", Self::header("ed").replace("signet-", "application/signet-")),
            ("two unknown members", "ed", Self::header("ed").replace('}', r#","x":1,"x":1}"#)),
            ("two kid", "ed", Self::header("ed").replace('}', r#","kid":"ed"}"#)),
        ] {
            // ES256 signatures are random, and this one is never looked at.
            let frame = if kid == "ec" {
                format!("{}.{}.{}", encode(&header), encode(&payload), encode([0x11; 64]))
            } else {
                self.keys.jws(kid, &header, &payload)
            };
            add(name, frame, false);
        }
        add("two time", self.keys.jws("ed", &Self::header("ed"), payload.replacen('{', "{\"time\":1,", 1)), false);
        let put = |members: &str| {
            let payload = payload.replacen('{', &format!("{{{members},"), 1);
            self.keys.jws("ed", &Self::header("ed"), payload)
        };
        add("two unknown members of one name", put(r#""x":1,"x":1"#), false);
        add("two members of one name in an unknown member", put(r#""x":[{"a":1,"a":1}]"#), false);
        add("half of a character", put(r#""x":"\ud83d""#), false);
        let written = |text: &str| {
            let payload = payload.replacen(&format!("\"time\":{}", NOW * 1000), &format!("\"time\":{text}"), 1);
            self.keys.jws("ed", &Self::header("ed"), payload)
        };
        for text in ["1763130320000.0", "1763130320e3", "-0"] {
            add(&format!("time is written {text}"), written(text), false);
        }
        add("not JSON", self.keys.jws("ed", &Self::header("ed"), "x"), false);
        add("truncated", good[..good.len() - 30].to_owned(), false);
        add("without its signature", good[..good.len() - 86].to_owned(), false);
        add("padded", format!("{good}=="), false);
        add("four segments", format!("{good}.x"), false);
        cases
    }

    fn tokens(&self) -> BTreeMap<&'static str, String> {
        let token = |kid: &str, more: &[(&'static str, Value)]| {
            let mut members = vec![
                ("iss", json!(ISSUER)),
                ("aud", json!("orders")),
                ("sub", json!("user-1")),
                ("exp", json!(NOW + 864_000)),
                ("iat", json!(TOKEN_BEGAN / 1000)),
            ];
            members.extend(more.iter().cloned());
            self.keys.jws(kid, &header("EdDSA", kid), object(&members))
        };
        let (sid, jti) = (("sid", json!(SESSION)), ("jti", json!(TOKEN)));
        BTreeMap::from([
            ("user", token("ed", &[sid.clone(), jti.clone(), ("client_id", json!("web"))])),
            ("user, by ed-2", token("ed-2", &[("sid", json!(SESSION.replace("0001", "0009")))])),
            ("client", token("ed", &[jti.clone(), ("client_id", json!("key-1"))])),
            ("client without jti", token("ed", &[("client_id", json!("key-2"))])),
            ("client with jti of version 4", token("ed", &[("jti", json!(TOKEN.replace("-7", "-4")))])),
            ("sid of version 4", token("ed", &[("sid", json!(SESSION.replace("-7", "-4"))), jti.clone()])),
            (
                "sid with a foreign character",
                token("ed", &[("sid", json!("019a82df-0000-7000-8000-00000000000g")), jti]),
            ),
        ])
    }
}

/// The text of `frames.json`.
pub(crate) fn file(keys: &Keys) -> String {
    let feed = Feed { keys, jwks: jwks_hash(keys.jwks.as_bytes()) };
    let (frames, tokens, sequences) = (feed.single(), feed.tokens(), feed.sequences());
    text(&File { issuer: ISSUER, audience: "orders", frames, tokens, sequences })
}
