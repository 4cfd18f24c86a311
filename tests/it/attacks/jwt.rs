//! Forged tokens (RFC 8725, 2 and 3): other algorithms, keys that come with the token, names of keys that are something else.
//!
//! They go to `/verify/batch` by the hundred, beside a token that is good, and each to a call that asks for a bearer.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use crate::support::forge::{decode, sign, sign_text, signing_key, unsigned, with};
use crate::support::server::{SendRequest, TestServer};

/// Everything an attacker may know, and the signing key besides.
pub(super) struct Forge {
    pub(super) server: TestServer,
    /// A token that is good.
    pub(super) good: String,
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) key: SigningKey,
    pub(super) kid: String,
    /// Somebody else's key.
    pub(super) other: SigningKey,
}

impl Forge {
    pub(super) async fn open() -> Self {
        let server = TestServer::embedded(|plan| plan);
        let good = server.sign_in(&server.create_user(&["--superuser"])).await.access;
        let (key, kid) = signing_key(&server);
        let (header, claims) = decode(&good);
        Self { server, good, header, claims, key, kid, other: SigningKey::from_bytes(&[7; 32]) }
    }

    /// Demands that nobody believes any of these, the first time and when they have been seen before.
    pub(super) async fn believes_none(&self, forged: &[(String, String)]) {
        for _ in 0..2 {
            for some in forged.chunks(40) {
                let tokens: Vec<&String> = some.iter().map(|(_, token)| token).chain([&self.good]).collect();
                let answer = self
                    .server
                    .post("/verify/batch")
                    .json(&json!({"tokens": tokens}))
                    .send_checked()
                    .await
                    .is(200)
                    .json();
                let results = answer["results"].as_array().unwrap();
                assert_eq!(results.len(), tokens.len());
                for ((what, token), result) in some.iter().zip(results) {
                    assert_eq!(result["active"], false, "{what}: {token}");
                }
                assert_eq!(results[some.len()]["active"], true, "the good one");
            }
        }
        for (what, token) in forged {
            let Ok(field) = reqwest::header::HeaderValue::from_str(&format!("Bearer {token}")) else { continue };
            // Spaces around a token are no part of it.
            if token.trim_matches([' ', '\t']) != self.good && token.len() < 12 * 1024 {
                let answer = self.server.get("/sessions").header("authorization", field).send_checked().await;
                assert_eq!(answer.status, 401, "{what}: {token}");
            }
        }
    }

    fn with_header(&self, changes: &Value) -> Value {
        with(self.header.clone(), changes)
    }
}

fn named(what: impl std::fmt::Display, token: String) -> (String, String) {
    (what.to_string(), token)
}

#[tokio::test]
async fn no_algorithm_but_the_keys_own() {
    let forge = Forge::open().await;
    let mut forged = Vec::new();
    let spellings = (0..16_u8).map(|large| {
        let letter =
            |(at, letter): (usize, char)| if large >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
        "none".chars().enumerate().map(letter).collect::<String>()
    });
    let nothings = ["none ", " none", "none\u{0}", "n\u{1d0f}ne", "", "null"];
    let others = [
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "PS256",
        "ES256",
        "ES256K",
        "ES512",
        "Ed448",
        "eddsa",
        "EDDSA",
        "EdDSA ",
        "ed25519",
        "ED25519",
        "Ed25519ph",
        "ECDH-ES",
        "dir",
        "A256GCM",
    ];
    for alg in spellings.chain(nothings.into_iter().chain(others).map(str::to_owned)) {
        let header = forge.with_header(&json!({"alg": alg}));
        let message = unsigned(&header.to_string(), &forge.claims.to_string());
        let by_the_key = sign(&forge.key, &header, &forge.claims);
        forged.extend([
            named(&alg, by_the_key),
            named(&alg, message.clone()),
            named(&alg, format!("{message}.")),
            named(&alg, format!("{message}..")),
            named(&alg, format!("{message}.AA")),
            named(&alg, format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ]);
    }
    for alg in [json!(null), json!(7), json!(["EdDSA"]), json!({"EdDSA": 1}), json!(true)] {
        let mut header = forge.header.clone();
        header["alg"] = alg.clone();
        forged.push(named(&alg, sign(&forge.key, &header, &forge.claims)));
    }
    let without = forge.with_header(&json!({"alg": null}));
    forged.push(named("no alg", sign(&forge.key, &without, &forge.claims)));
    forge.believes_none(&forged).await;
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret() {
    let forge = Forge::open().await;
    let public = forge.key.verifying_key();
    let raw = public.to_bytes();
    let der = public.to_public_key_der().unwrap().into_vec();
    let base64 = STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let jwks = forge.server.get("/.well-known/jwks.json").send_checked().await.is(200).text.clone();
    let jwk = serde_json::from_str::<Value>(&jwks).unwrap()["keys"][0].to_string();
    let x = URL_SAFE_NO_PAD.encode(raw);
    let written = jwks.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}").to_owned();
    assert!(written.contains(&x), "the JWKS has the key");
    let secrets: Vec<Vec<u8>> = vec![
        raw.to_vec(),
        der.clone(),
        x.clone().into_bytes(),
        format!("{x}=").into_bytes(),
        STANDARD.encode(raw).into_bytes(),
        URL_SAFE_NO_PAD.encode(&der).into_bytes(),
        base64.into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        pem.into_bytes(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        jwk.into_bytes(),
        written.into_bytes(),
        jwks.into_bytes(),
        forge.kid.clone().into_bytes(),
        Vec::new(),
        vec![0; 32],
    ];
    let mut forged = Vec::new();
    for (name, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
    {
        // Under its own name, and under the names that are accepted: the mac of SHA-512 is as long as a signature.
        for alg in [name, "EdDSA", "Ed25519"] {
            let header = forge.with_header(&json!({"alg": alg}));
            let message = unsigned(&header.to_string(), &forge.claims.to_string());
            for secret in &secrets {
                let mac = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
                let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac));
                forged.push(named(format!("{name} as {alg}, {} bytes", secret.len()), token));
            }
        }
    }
    assert_eq!(forged.len(), 3 * 3 * secrets.len());
    forge.believes_none(&forged).await;
}

#[tokio::test]
async fn a_key_is_found_by_its_exact_name_alone() {
    let forge = Forge::open().await;
    // Another key of the ring, announced and good: its name on what this one signed, and the other way round.
    forge.server.plan().json(&["keys", "rotate"], "");
    let keys = forge.server.plan().json(&["keys", "list"], "");
    let next = keys.as_array().unwrap().iter().find(|key| key["kid"] != forge.kid).unwrap()["kid"].as_str().unwrap();
    crate::support::until("the node knows it", async || {
        forge.server.get("/.well-known/jwks.json").send_checked().await.text.contains(next)
    })
    .await;
    let kid = &forge.kid;
    let mut forged =
        vec![named("another's name", sign(&forge.key, &forge.with_header(&json!({"kid": next})), &forge.claims))];
    for name in [
        String::new(),
        "../../../../dev/null".into(),
        "/dev/null".into(),
        "/proc/self/environ".into(),
        "file:///dev/null".into(),
        "http://127.0.0.1/jwks.json".into(),
        "' OR '1'='1".into(),
        "x' UNION SELECT 'AA' --".into(),
        "*".into(),
        "%".into(),
        "| true".into(),
        "$(true)".into(),
        "{signet}ring".into(),
        "k\r\nGET signet:ring".into(),
        "__proto__".into(),
        "0".into(),
        format!("{kid}\u{0}"),
        format!("\u{0}{kid}"),
        format!("{kid} "),
        format!(" {kid}"),
        format!("{kid}\n"),
        format!("./{kid}"),
        format!("{kid}/../{kid}"),
        format!("{kid}\u{200b}"),
        format!("{kid},{next}"),
        kid.to_uppercase(),
        kid.to_lowercase(),
        kid[..kid.len() - 1].to_owned(),
        kid.replace(|c: char| c.is_ascii_alphabetic(), "\u{ff21}"),
        "k".repeat(5000),
        "k".repeat(40_000),
    ] {
        // By the right key, which then is not named, and by the attacker's.
        let header = forge.with_header(&json!({"kid": name}));
        if name != *kid {
            forged.push(named(&name, sign(&forge.key, &header, &forge.claims)));
        }
        forged.push(named(&name, sign(&forge.other, &header, &forge.claims)));
    }
    for name in [json!(null), json!(0), json!([kid]), json!({"kid": kid}), json!(true)] {
        let mut header = forge.header.clone();
        header["kid"] = name.clone();
        forged.push(named(&name, sign(&forge.key, &header, &forge.claims)));
    }
    forge.believes_none(&forged).await;
}

/// What a token brings is not looked at: no key in it, and no address, at which nobody calls.
#[tokio::test]
async fn no_token_brings_its_own_key_or_rules() {
    let forge = Forge::open().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let x = URL_SAFE_NO_PAD.encode(forge.other.verifying_key().to_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": forge.kid, "use": "sig", "alg": "EdDSA"});
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = STANDARD.encode(certificate.cert.der());
    let mut forged = Vec::new();
    for brought in [
        json!({"jwk": jwk}),
        json!({"jwk": {"kty": "oct", "k": "AA"}}),
        json!({"jku": url}),
        json!({"x5u": url}),
        json!({"x5c": [certificate]}),
        json!({"jku": url, "jwk": jwk, "x5u": url, "x5c": [certificate]}),
        json!({"crit": ["exp"], "exp": 1}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"crit": ["http://example.org/x"], "http://example.org/x": true}),
        json!({"crit": []}),
        json!({"crit": "alg"}),
        json!({"crit": [1]}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"zip": "DEF"}),
    ] {
        for kid in [json!({}), json!({"kid": "mine"}), json!({"kid": null})] {
            let header = with(forge.with_header(&brought), &kid);
            for key in [&forge.key, &forge.other] {
                forged.push(named(&header, sign(key, &header, &forge.claims)));
            }
        }
    }
    for member in ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip"] {
        let mut header = forge.header.clone();
        header[member] = Value::Null;
        forged.push(named(&header, sign(&forge.key, &header, &forge.claims)));
    }
    // RFC 7797: a payload that is not encoded.
    let header = URL_SAFE_NO_PAD.encode(forge.with_header(&json!({"b64": false, "crit": ["b64"]})).to_string());
    let signature = URL_SAFE_NO_PAD.encode(forge.key.sign(format!("{header}.{}", forge.claims).as_bytes()).to_bytes());
    forged.push(named("unencoded", format!("{header}.{}.{signature}", forge.claims)));
    forged.push(named("detached", format!("{header}..{signature}")));
    forge.believes_none(&forged).await;
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "somebody called at the address in a token");
}

/// Of a member that is there twice, one reader believes the first and another the last (RFC 8725, 2.4 and RFC 7515, 4).
#[tokio::test]
async fn no_member_is_there_twice() {
    let forge = Forge::open().await;
    let twice = |object: &Value, member: &str, other: &Value| {
        let (text, extra) = (object.to_string(), format!("{}:{other}", json!(member)));
        let last = format!("{},{extra}}}", &text[..text.len() - 1]);
        [format!("{{{extra},{}", &text[1..]), last]
    };
    let mut forged = Vec::new();
    for (member, others) in [
        ("alg", [json!("none"), json!("HS256"), json!("EdDSA")]),
        ("typ", [json!("JWT"), json!("signet-reset-password+jwt"), json!("at+jwt")]),
        ("kid", [json!("mine"), json!(null), json!(forge.kid)]),
    ] {
        for header in others.iter().flat_map(|other| twice(&forge.header, member, other)) {
            for key in [&forge.key, &forge.other] {
                forged.push(named(&header, sign_text(key, &header, &forge.claims.to_string())));
            }
        }
    }
    // The name in other letters is the same name once JSON is read.
    let spelt = forge.header.to_string().replacen('{', r#"{"\u0061lg":"none","#, 1);
    forged.push(named(&spelt, sign_text(&forge.key, &spelt, &forge.claims.to_string())));
    for member in ["iss", "sub", "aud", "exp", "iat", "sid", "jti"] {
        for claims in twice(&forge.claims, member, &forge.claims[member]) {
            forged.push(named(&claims, sign_text(&forge.key, &forge.header.to_string(), &claims)));
        }
    }
    forge.believes_none(&forged).await;
}

/// RFC 8725, 3.4: a ring is taken in whole, and with no key that is not what it says or that no signature can be trusted by.
#[test]
fn a_ring_with_a_key_that_is_none_is_not_taken_in() {
    use signet::clock::Clock;
    use signet::config::Algorithm;
    use signet::rng::Rng;
    use signet::token::keyring::Keyring;
    use signet::token::keyring::ring::Ring;
    let now = Clock::system().now();
    let good = Ring::generate(now, &Rng::system());
    let keyring = Keyring::new(&good, Algorithm::EdDsa).unwrap();
    let small_order = |byte: u8| [&[byte], &[0; 31][..]].concat().try_into().unwrap();
    let not_canonical = [&[0xee], &[0xff; 30][..], &[0x7f]].concat().try_into().unwrap();
    let others = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    for public in [small_order(0), small_order(1), not_canonical, [0xff; 32], others] {
        let mut bad = Ring::generate(now, &Rng::system());
        bad.keys[0].public = public;
        bad.version = good.version + 1;
        assert!(Keyring::new(&bad, Algorithm::EdDsa).is_err(), "{public:02x?}");
        bad.keys.insert(0, good.keys[0].clone());
        assert!(keyring.install(&bad).is_err(), "{public:02x?}");
        assert_eq!(*keyring.keys().ring(), good, "{public:02x?}");
    }
}
