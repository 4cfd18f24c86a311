//! Compares minting and checking with `jsonwebtoken`.

use std::collections::HashSet;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::*;
use crate::rng::Rng;
use crate::token::keyring::Keyring;
use crate::token::keyring::ring::{Key, Ring};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

pub(crate) fn settings() -> config::Tokens {
    config::Tokens {
        issuer: "https://id.example.org".to_owned(),
        audience: "signet".to_owned(),
        algorithm: config::Algorithm::EdDsa,
        leeway: Duration::from_secs(5),
        grace: Duration::from_secs(10),
        sessions_per_user: 100,
        recent_sign_in: Duration::from_secs(600),
    }
}

pub(crate) fn issuer() -> Issuer {
    Issuer::new(&settings())
}

pub(crate) fn keyring() -> Keyring {
    Keyring::new(&Ring::generate(NOW, &Rng::system()), config::Algorithm::EdDsa).unwrap()
}

pub(crate) fn token(keyring: &Keyring) -> String {
    let rng = Rng::system();
    let new = NewAccessToken {
        user: UserId::new(NOW, &rng),
        session: Some(SessionId::new(NOW, &rng)),
        api_key: None,
        auth_time: Some(NOW - Duration::from_secs(60)),
        token_id: TokenId::new(NOW, &rng),
        issued_at: NOW,
        expires_at: NOW + Duration::from_secs(900),
        extra_claims: r#","email":"a@example.org","scope":"read write""#,
    };
    issuer().mint(&new, keyring.keys().signer(NOW).unwrap())
}

/// The result of the reference, with the same rules and the same time.
fn reference(token: &str, key: &Key) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    if header.kid.as_ref() != Some(&key.kid) {
        return None;
    }
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.required_spec_claims = HashSet::from(["exp".to_owned(), "iss".to_owned(), "aud".to_owned()]);
    validation.set_issuer(&["https://id.example.org"]);
    validation.set_audience(&["signet"]);
    let key = DecodingKey::from_ed_der(&key.public);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).ok()?.claims;
    (claims["exp"].as_i64()? + 5 > NOW.secs()).then_some(claims)
}

fn signed(key: &LoadedKey, header: &Value, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

fn claims() -> Value {
    json!({"iss": "https://id.example.org", "aud": "signet", "sub": "someone", "exp": NOW.secs() + 60})
}

#[test]
fn reference_accepts_minted_tokens() {
    let keyring = keyring();
    let keys = keyring.keys();
    let token = token(&keyring);
    let verified = issuer().check(&token, &keys, NOW).unwrap();
    let read = reference(&token, &keys.ring().keys[0]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&verified.claims).unwrap(), read);
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));
    assert!(
        verified.scopes.contains("write") && verified.scopes.contains("read") && !verified.scopes.contains("admin")
    );
    assert_eq!(verified.issued_at, NOW);
}

#[test]
fn tokens_of_the_reference_are_accepted() {
    let keyring = keyring();
    let keys = keyring.keys();
    let key = &keys.ring().keys[0];
    let pkcs8 = SigningKey::from_bytes(&key.seed).to_pkcs8_der().unwrap();
    let encoding_key = EncodingKey::from_ed_der(pkcs8.as_bytes());
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.kid.clone());
        let token = jsonwebtoken::encode(&header, &claims(), &encoding_key).unwrap();
        assert_eq!(issuer().check(&token, &keys, NOW).map(|token| token.subject), Ok("someone".into()));
    }
}

#[test]
fn both_names_of_the_algorithm_are_accepted() {
    let ring = Ring::generate(NOW, &Rng::system());
    let written = Keyring::new(&ring, config::Algorithm::Ed25519).unwrap();
    let read = Keyring::new(&ring, config::Algorithm::EdDsa).unwrap();
    assert!(issuer().check(&token(&written), &read.keys(), NOW).is_ok());
}

#[test]
fn no_mangled_token_is_accepted() {
    let keyring = keyring();
    let keys = keyring.keys();
    let key = &keys.ring().keys[0];
    let token = token(&keyring);
    let mut mangled = Vec::new();
    for at in 0..token.len() {
        for byte in [b'A', b'.', b'_', b'=', b' ', token.as_bytes()[at] ^ 1] {
            let mut text = token.clone().into_bytes();
            text[at] = byte;
            mangled.extend(String::from_utf8(text).ok().filter(|text| *text != token));
        }
        mangled.push(token[..at].to_owned());
        mangled.push(format!("{}{}", &token[..at], &token[at + 1..]));
        mangled.push(format!("{}A{}", &token[..at], &token[at..]));
    }
    for more in ["=", "==", ".", "A", " ", "\n", "\0"] {
        mangled.push(format!("{token}{more}"));
        mangled.push(format!("{more}{token}"));
    }
    assert!(mangled.len() > 1000);
    for text in mangled {
        assert!(issuer().check(&text, &keys, NOW).is_err(), "{text}");
        assert!(reference(&text, key).is_none(), "the reference accepts {text}");
    }
}

#[test]
fn headers_with_their_own_keys_or_rules_are_refused() {
    let keyring = keyring();
    let keys = keyring.keys();
    let key = keys.signer(NOW).unwrap();
    let kid = &*key.kid;
    let good = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    assert!(issuer().check(&signed(key, &good, &claims().to_string()), &keys, NOW).is_ok());
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(null)),
        ("b64", json!(false)),
        ("jku", json!("https://evil.example")),
        ("jwk", json!({"kty": "OKP"})),
        ("x5u", json!("https://evil.example")),
        ("x5c", json!([])),
        ("zip", json!("DEF")),
        ("kid", json!(format!("{kid} "))),
        ("kid", json!("../../dev/null")),
        ("kid", json!(null)),
        ("kid", json!(7)),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("eddsa")),
        ("alg", json!(null)),
        ("typ", json!("JWT")),
        ("typ", json!("signet-magic-link+jwt")),
        ("typ", json!(null)),
    ] {
        let mut header = good.clone();
        header[member] = value;
        assert!(issuer().check(&signed(key, &header, &claims().to_string()), &keys, NOW).is_err(), "{header}");
    }
    let twice = format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(twice), URL_SAFE_NO_PAD.encode(claims().to_string()));
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).as_ref()));
    assert_eq!(issuer().check(&token, &keys, NOW).map(|_| ()), Err(TokenError::Malformed));
}

#[test]
fn claims_of_the_wrong_type_or_value_are_refused() {
    let keyring = keyring();
    let keys = keyring.keys();
    let key = keys.signer(NOW).unwrap();
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": *key.kid});
    let check = |payload: &str| issuer().check(&signed(key, &header, payload), &keys, NOW).map(|_| ());
    let with = |member: &str, value: Value| {
        let mut claims = claims();
        claims[member] = value;
        check(&claims.to_string())
    };
    assert_eq!(with("aud", json!(["other", "signet"])), Ok(()));
    assert_eq!(with("aud", json!("other")), Err(TokenError::WrongAudience));
    assert_eq!(with("aud", json!([])), Err(TokenError::WrongAudience));
    assert_eq!(with("iss", json!("https://id.example.org/")), Err(TokenError::WrongIssuer));
    assert_eq!(with("exp", json!(NOW.secs() - 4)), Ok(()));
    assert_eq!(with("exp", json!(NOW.secs() - 5)), Err(TokenError::Expired));
    assert_eq!(with("nbf", json!(NOW.secs() + 5)), Ok(()));
    assert_eq!(with("nbf", json!(NOW.secs() + 6)), Err(TokenError::NotYetValid));
    assert_eq!(with("exp", json!(i64::MIN)), Err(TokenError::Expired));
    assert_eq!(with("exp", json!(i64::MAX)), Ok(()));
    for odd in [json!(null), json!("9999999999"), json!(1e300), json!([1]), json!(true), json!(9_999_999_999.5)] {
        assert_eq!(with("exp", odd.clone()), Err(TokenError::Malformed), "exp {odd}");
        assert_eq!(with("nbf", odd.clone()), Err(TokenError::Malformed), "nbf {odd}");
    }
    for missing in ["iss", "aud", "sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        assert_eq!(check(&claims.to_string()), Err(TokenError::Malformed), "without {missing}");
    }
    let text = claims().to_string();
    assert_eq!(check(&text.replacen('{', r#"{"exp":1,"#, 1)), Err(TokenError::Malformed), "exp twice");
    assert_eq!(check(&text.replacen(':', ": 1e400,", 1)), Err(TokenError::Malformed));
    assert_eq!(check(&format!("{text}{text}")), Err(TokenError::Malformed));
    assert_eq!(check(""), Err(TokenError::Malformed));
}

#[test]
fn unknown_and_revoked_keys_are_refused() {
    let (mine, other) = (keyring(), keyring());
    assert_eq!(issuer().check(&token(&other), &mine.keys(), NOW).map(|_| ()), Err(TokenError::UnknownKey));
    let rng = Rng::system();
    let mut ring = Ring::generate(NOW, &rng);
    let mine = Keyring::new(&ring, config::Algorithm::EdDsa).unwrap();
    let token = token(&mine);
    assert!(issuer().check(&token, &mine.keys(), NOW).is_ok());
    ring.version += 1;
    let kid = ring.keys[0].kid.clone();
    ring.revoke(&kid, NOW, &rng).unwrap();
    mine.install(&ring).unwrap();
    assert_eq!(issuer().check(&token, &mine.keys(), NOW).map(|_| ()), Err(TokenError::RevokedKey));
    assert!(!std::str::from_utf8(&mine.keys().jwks().body).unwrap().contains(&kid));
}

#[test]
fn reference_parses_the_jwks() {
    let keyring = keyring();
    let keys = keyring.keys();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&keys.jwks().body).unwrap();
    let jwk = set.find(&keys.signer(NOW).unwrap().kid).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&["signet"]);
    let key = DecodingKey::from_jwk(jwk).unwrap();
    assert!(jsonwebtoken::decode::<Value>(token(&keyring), &key, &validation).is_ok());
}
