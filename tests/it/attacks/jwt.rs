//! Forged tokens (RFC 8725, 2 and 3): other algorithms, keys inside the token, key ids that are paths or injections.
//!
//! Every token goes to `/verify/batch` beside a valid token, and as a bearer to a call that requires one.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use crate::support::forge::{decode, sign, sign_text, signing_key, unsigned, with};
use crate::support::ports::free_port;
use crate::support::server::{SendRequest, TestServer};

/// Everything an attacker may know, and the signing key as well.
pub(super) struct Forger {
    pub(super) server: TestServer,
    /// A valid token.
    pub(super) valid: String,
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) key: SigningKey,
    pub(super) kid: String,
    /// A key of the attacker.
    pub(super) other: SigningKey,
}

impl Forger {
    pub(super) async fn start() -> Self {
        let server = TestServer::embedded(|plan| plan);
        let valid = server.sign_in(&server.create_user(&["--superuser"])).await.access;
        let (key, kid) = signing_key(&server);
        let (header, claims) = decode(&valid);
        Self { server, valid, header, claims, key, kid, other: SigningKey::from_bytes(&[7; 32]) }
    }

    /// Asserts that every token is refused, the first time and from the cache.
    pub(super) async fn assert_all_refused(&self, forged: &[(String, String)]) {
        for _ in 0..2 {
            for chunk in forged.chunks(40) {
                let tokens: Vec<&String> = chunk.iter().map(|(_, token)| token).chain([&self.valid]).collect();
                let response = self
                    .server
                    .post("/verify/batch")
                    .json(&json!({"tokens": tokens}))
                    .send_checked()
                    .await
                    .is(200)
                    .json();
                let results = response["results"].as_array().unwrap();
                assert_eq!(results.len(), tokens.len());
                for ((what, token), result) in chunk.iter().zip(results) {
                    assert_eq!(result["active"], false, "{what}: {token}");
                }
                assert_eq!(results[chunk.len()]["active"], true, "the valid token");
            }
        }
        for (what, token) in forged {
            let Ok(field) = reqwest::header::HeaderValue::from_str(&format!("Bearer {token}")) else { continue };
            // Spaces around a token are not part of it.
            if token.trim_matches([' ', '\t']) != self.valid && token.len() < 12 * 1024 {
                let response = self.server.get("/sessions").header("authorization", field).send_checked().await;
                assert_eq!(response.status, 401, "{what}: {token}");
            }
        }
    }

    fn with_header(&self, changes: &Value) -> Value {
        with(self.header.clone(), changes)
    }
}

fn labelled(what: impl std::fmt::Display, token: String) -> (String, String) {
    (what.to_string(), token)
}

#[tokio::test]
async fn only_the_algorithm_of_the_key_is_accepted() {
    let forger = Forger::start().await;
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
        let header = forger.with_header(&json!({"alg": alg}));
        let message = unsigned(&header.to_string(), &forger.claims.to_string());
        let signed = sign(&forger.key, &header, &forger.claims);
        forged.extend([
            labelled(&alg, signed),
            labelled(&alg, message.clone()),
            labelled(&alg, format!("{message}.")),
            labelled(&alg, format!("{message}..")),
            labelled(&alg, format!("{message}.AA")),
            labelled(&alg, format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ]);
    }
    for alg in [json!(null), json!(7), json!(["EdDSA"]), json!({"EdDSA": 1}), json!(true)] {
        let mut header = forger.header.clone();
        header["alg"] = alg.clone();
        forged.push(labelled(&alg, sign(&forger.key, &header, &forger.claims)));
    }
    let without = forger.with_header(&json!({"alg": null}));
    forged.push(labelled("no alg", sign(&forger.key, &without, &forger.claims)));
    forger.assert_all_refused(&forged).await;
}

#[tokio::test]
async fn public_key_is_not_accepted_as_hmac_secret() {
    let forger = Forger::start().await;
    let public = forger.key.verifying_key();
    let raw = public.to_bytes();
    let der = public.to_public_key_der().unwrap().into_vec();
    let base64 = STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let jwks = forger.server.get("/.well-known/jwks.json").send_checked().await.is(200).text.clone();
    let jwk = serde_json::from_str::<Value>(&jwks).unwrap()["keys"][0].to_string();
    let x = URL_SAFE_NO_PAD.encode(raw);
    let published = jwks.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}").to_owned();
    assert!(published.contains(&x), "the JWKS contains the key");
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
        published.into_bytes(),
        jwks.into_bytes(),
        forger.kid.clone().into_bytes(),
        Vec::new(),
        vec![0; 32],
    ];
    let mut forged = Vec::new();
    for (name, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
    {
        // With its own name as `alg`, and with the accepted names: a MAC of SHA-512 is as long as an EdDSA signature.
        for alg in [name, "EdDSA", "Ed25519"] {
            let header = forger.with_header(&json!({"alg": alg}));
            let message = unsigned(&header.to_string(), &forger.claims.to_string());
            for secret in &secrets {
                let mac = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
                let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac));
                forged.push(labelled(format!("{name} as {alg}, {} bytes", secret.len()), token));
            }
        }
    }
    assert_eq!(forged.len(), 3 * 3 * secrets.len());
    forger.assert_all_refused(&forged).await;
}

#[tokio::test]
async fn key_is_found_only_by_its_exact_id() {
    let forger = Forger::start().await;
    // Another announced key of the keyring: its id on a token that the first key signed.
    forger.server.plan().json(&["keys", "rotate"], "");
    let keys = forger.server.plan().json(&["keys", "list"], "");
    let next = keys.as_array().unwrap().iter().find(|key| key["kid"] != forger.kid).unwrap()["kid"].as_str().unwrap();
    crate::support::until("the node knows the new key", async || {
        forger.server.get("/.well-known/jwks.json").send_checked().await.text.contains(next)
    })
    .await;
    let kid = &forger.kid;
    let mut forged = vec![labelled(
        "the id of another key",
        sign(&forger.key, &forger.with_header(&json!({"kid": next})), &forger.claims),
    )];
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
        // Signed by the right key under a wrong id, and by the attacker's key.
        let header = forger.with_header(&json!({"kid": name}));
        if name != *kid {
            forged.push(labelled(&name, sign(&forger.key, &header, &forger.claims)));
        }
        forged.push(labelled(&name, sign(&forger.other, &header, &forger.claims)));
    }
    for name in [json!(null), json!(0), json!([kid]), json!({"kid": kid}), json!(true)] {
        let mut header = forger.header.clone();
        header["kid"] = name.clone();
        forged.push(labelled(&name, sign(&forger.key, &header, &forger.claims)));
    }
    forger.assert_all_refused(&forged).await;
}

/// Keys and URLs in a token's header are ignored: no URL is fetched.
#[tokio::test]
async fn keys_and_rules_in_the_header_are_not_accepted() {
    let forger = Forger::start().await;
    // Of a port that the system gives, an earlier server may have had it, and its clients may come back.
    let listener = std::net::TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let x = URL_SAFE_NO_PAD.encode(forger.other.verifying_key().to_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": forger.kid, "use": "sig", "alg": "EdDSA"});
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = STANDARD.encode(certificate.cert.der());
    let mut forged = Vec::new();
    for parameters in [
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
            let header = with(forger.with_header(&parameters), &kid);
            for key in [&forger.key, &forger.other] {
                forged.push(labelled(&header, sign(key, &header, &forger.claims)));
            }
        }
    }
    for member in ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip"] {
        let mut header = forger.header.clone();
        header[member] = Value::Null;
        forged.push(labelled(&header, sign(&forger.key, &header, &forger.claims)));
    }
    // RFC 7797: an unencoded payload.
    let header = URL_SAFE_NO_PAD.encode(forger.with_header(&json!({"b64": false, "crit": ["b64"]})).to_string());
    let signature =
        URL_SAFE_NO_PAD.encode(forger.key.sign(format!("{header}.{}", forger.claims).as_bytes()).to_bytes());
    forged.push(labelled("unencoded", format!("{header}.{}.{signature}", forger.claims)));
    forged.push(labelled("detached", format!("{header}..{signature}")));
    forger.assert_all_refused(&forged).await;
    let no_connection = listener.accept().unwrap_err();
    assert_eq!(no_connection.kind(), std::io::ErrorKind::WouldBlock, "the URL in a token was fetched");
}

/// Of a duplicate member, one parser takes the first value and another the last (RFC 8725, 2.4 and RFC 7515, 4).
#[tokio::test]
async fn duplicate_members_are_refused() {
    let forger = Forger::start().await;
    let twice = |object: &Value, member: &str, other: &Value| {
        let (text, extra) = (object.to_string(), format!("{}:{other}", json!(member)));
        let last = format!("{},{extra}}}", &text[..text.len() - 1]);
        [format!("{{{extra},{}", &text[1..]), last]
    };
    let mut forged = Vec::new();
    for (member, others) in [
        ("alg", [json!("none"), json!("HS256"), json!("EdDSA")]),
        ("typ", [json!("JWT"), json!("signet-reset-password+jwt"), json!("at+jwt")]),
        ("kid", [json!("mine"), json!(null), json!(forger.kid)]),
    ] {
        for header in others.iter().flat_map(|other| twice(&forger.header, member, other)) {
            for key in [&forger.key, &forger.other] {
                forged.push(labelled(&header, sign_text(key, &header, &forger.claims.to_string())));
            }
        }
    }
    // An escaped name is the same name once the JSON is parsed.
    let escaped = forger.header.to_string().replacen('{', r#"{"\u0061lg":"none","#, 1);
    forged.push(labelled(&escaped, sign_text(&forger.key, &escaped, &forger.claims.to_string())));
    for member in ["iss", "sub", "aud", "exp", "iat", "sid", "jti"] {
        for claims in twice(&forger.claims, member, &forger.claims[member]) {
            forged.push(labelled(&claims, sign_text(&forger.key, &forger.header.to_string(), &claims)));
        }
    }
    forger.assert_all_refused(&forged).await;
}

/// RFC 8725, 3.4: a keyring with an invalid or weak public key is refused as a whole.
#[test]
fn keyring_with_an_invalid_key_is_refused() {
    use signet::clock::Clock;
    use signet::config::Algorithm;
    use signet::rng::Rng;
    use signet::token::keyring::Keyring;
    use signet::token::keyring::key::PublicKey;
    use signet::token::keyring::ring::Ring;
    let now = Clock::system().now();
    let valid = Ring::generate(now, &Rng::system());
    let keyring = Keyring::new(&valid, Algorithm::EdDsa).unwrap();
    let small_order = |byte: u8| [&[byte], &[0; 31][..]].concat().try_into().unwrap();
    let not_canonical = [&[0xee], &[0xff; 30][..], &[0x7f]].concat().try_into().unwrap();
    let others = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    for public in [small_order(0), small_order(1), not_canonical, [0xff; 32], others] {
        let mut bad = Ring::generate(now, &Rng::system());
        bad.keys[0].public = PublicKey::Ed25519(public);
        bad.version = valid.version + 1;
        assert!(Keyring::new(&bad, Algorithm::EdDsa).is_err(), "{public:02x?}");
        bad.keys.insert(0, valid.keys[0].clone());
        assert!(keyring.install(&bad).is_err(), "{public:02x?}");
        assert_eq!(*keyring.keys().ring(), valid, "{public:02x?}");
    }
}
