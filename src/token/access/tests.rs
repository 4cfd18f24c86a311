//! Compares minting and checking with `jsonwebtoken`.

mod vectors;

use std::collections::HashSet;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::*;
use crate::config::SigningAlgorithm;
use crate::rng::Rng;
use crate::token::keyring::Keyring;
use crate::token::keyring::key::{Key, PublicKey};
use crate::token::keyring::ring::{KeyPolicy, Ring};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

pub(crate) fn settings() -> config::Tokens {
    config::Tokens {
        issuer: "https://id.example.org".to_owned(),
        audience: "signet".to_owned(),
        client_id: Some("signet".to_owned()),
        claims: Vec::new(),
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

/// A keyring with keys of both kinds.
pub(crate) fn keyring() -> Keyring {
    let mut ring = Ring::generate(NOW, &Rng::system());
    ring.advance(NOW, &POLICY, &Rng::system());
    Keyring::new(&ring, config::Algorithm::EdDsa).unwrap()
}

const POLICY: KeyPolicy = {
    let day = Duration::from_secs(86_400);
    KeyPolicy { sign: day, announce: day, retain: day, es256: true }
};

pub(crate) fn token(keyring: &Keyring) -> String {
    token_signed_with(SigningAlgorithm::EdDsa, keyring)
}

fn token_signed_with(algorithm: SigningAlgorithm, keyring: &Keyring) -> String {
    let rng = Rng::system();
    let new = NewAccessToken {
        user: UserId::new(NOW, &rng),
        audience: None,
        issued_from: IssuedFrom::Session { id: SessionId::new(NOW, &rng), auth_time: NOW - Duration::from_secs(60) },
        token_id: TokenId::new(NOW, &rng),
        issued_at: NOW,
        expires_at: NOW + Duration::from_secs(900),
        extra_claims: r#","email":"a@example.org","scope":"read write""#,
    };
    issuer().mint(&new, keyring.keys().signing_key(algorithm, NOW).unwrap()).unwrap()
}

/// The result of the reference, with the same rules and the same time.
fn reference(token: &str, key: &Key) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    if header.kid.as_ref() != Some(&key.kid) {
        return None;
    }
    let (algorithm, decoding_key) = match &key.public {
        PublicKey::Ed25519(public) => (Algorithm::EdDSA, DecodingKey::from_ed_der(public)),
        PublicKey::P256(public) => (Algorithm::ES256, DecodingKey::from_ec_der(public)),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.required_spec_claims = HashSet::from(["exp".to_owned(), "iss".to_owned(), "aud".to_owned()]);
    validation.set_issuer(&["https://id.example.org"]);
    validation.set_audience(&["signet"]);
    let claims = jsonwebtoken::decode::<Value>(token, &decoding_key, &validation).ok()?.claims;
    (claims["exp"].as_i64()? + 5 > NOW.secs()).then_some(claims)
}

fn signed(key: &LoadedKey, header: &Value, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap().as_ref());
    format!("{message}.{signature}")
}

fn claims() -> Value {
    json!({"iss": "https://id.example.org", "aud": "signet", "sub": "someone", "exp": NOW.secs() + 60})
}

#[test]
fn reference_accepts_minted_tokens() {
    let keyring = keyring();
    let keys = keyring.keys();
    for (algorithm, name) in [(SigningAlgorithm::EdDsa, Algorithm::EdDSA), (SigningAlgorithm::Es256, Algorithm::ES256)]
    {
        let token = token_signed_with(algorithm, &keyring);
        let verified = issuer().check(&token, &keys, NOW).unwrap();
        let read = reference(&token, keys.ring().signing_key(algorithm, NOW).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&verified.claims).unwrap(), read);
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (name, Some("at+jwt")));
        assert!(
            verified.scopes.contains("write") && verified.scopes.contains("read") && !verified.scopes.contains("admin")
        );
        assert_eq!((verified.issued_at, verified.key.algorithm), (NOW, algorithm));
    }
}

/// The algorithm belongs to the key: a token that names the other one is refused, whoever signed it.
#[test]
fn token_cannot_choose_another_algorithm() {
    let keyring = keyring();
    let keys = keyring.keys();
    let [ed25519, p256] =
        [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256].map(|one| keys.signing_key(one, NOW).unwrap());
    let check = |token: &str| issuer().check(token, &keys, NOW).map(|_| ());
    let payload = claims().to_string();
    for (key, other) in [(ed25519, p256), (p256, ed25519)] {
        let names: &[&str] = match key.algorithm {
            SigningAlgorithm::EdDsa => &["EdDSA", "Ed25519"],
            SigningAlgorithm::Es256 => &["ES256"],
        };
        for alg in ["EdDSA", "Ed25519", "ES256", "es256", "ES384", "ES512", "ES256K", "HS256", "RS256", "none"] {
            // In the order of ours, and in another one, which is parsed.
            for header in [
                json!({"alg": alg, "typ": "at+jwt", "kid": *key.kid}).to_string(),
                format!(r#"{{"kid":"{}","typ":"at+jwt","alg":"{alg}"}}"#, key.kid),
            ] {
                let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&payload));
                let sign = |signer: &LoadedKey| URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
                let (own, others) = (format!("{message}.{}", sign(key)), format!("{message}.{}", sign(other)));
                if names.contains(&alg) {
                    assert_eq!(check(&own), Ok(()), "{header}");
                    assert_eq!(check(&others), Err(TokenError::BadSignature), "{header}");
                } else {
                    assert_eq!(check(&own), Err(TokenError::UnsupportedAlgorithm), "{header}");
                    assert_eq!(check(&others), Err(TokenError::UnsupportedAlgorithm), "{header}");
                }
            }
        }
    }
}

/// A signature is r and s (RFC 7518, 3.4), never DER, nor a public key as the secret of an HMAC.
#[test]
fn es256_takes_no_other_form_of_signature() {
    use aws_lc_rs::hmac;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    let keyring = keyring();
    let keys = keyring.keys();
    let key = keys.ring().signing_key(SigningAlgorithm::Es256, NOW).unwrap();
    let token = token_signed_with(SigningAlgorithm::Es256, &keyring);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (private, public) = (key.private.as_slice(), key.public.as_bytes());
    let der = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, private, public).unwrap();
    let der = der.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let mut forged = vec![der.as_ref().to_vec(), vec![0; 64], Vec::new()];
    let jwks = keys.jwks().body.to_vec();
    for secret in [public, URL_SAFE_NO_PAD.encode(&public[1..33]).as_bytes(), &jwks, b""] {
        forged.push(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec());
    }
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    forged.extend([bytes[..63].to_vec(), [&bytes[..], &[0]].concat(), [&bytes[32..], &bytes[..32]].concat()]);
    for signature in forged {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert!(issuer().check(&token, &keys, NOW).is_err(), "{signature:02x?}");
        assert!(reference(&token, key).is_none(), "the reference accepts {signature:02x?}");
    }
}

#[test]
fn tokens_of_the_reference_are_accepted() {
    let keyring = keyring();
    let keys = keyring.keys();
    let [ed25519, p256] =
        [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256].map(|one| keys.ring().signing_key(one, NOW).unwrap());
    let pkcs8 = SigningKey::from_bytes(&ed25519.private).to_pkcs8_der().unwrap();
    let pem = crate::token::keyring::pem::write(p256).unwrap();
    for (key, algorithm, encoding_key) in [
        (ed25519, Algorithm::EdDSA, EncodingKey::from_ed_der(pkcs8.as_bytes())),
        (p256, Algorithm::ES256, EncodingKey::from_ec_der(pem_body(&pem).as_slice())),
    ] {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
            let mut header = Header::new(algorithm);
            header.typ = Some(typ.to_owned());
            header.kid = Some(key.kid.clone());
            let token = jsonwebtoken::encode(&header, &claims(), &encoding_key).unwrap();
            assert_eq!(issuer().check(&token, &keys, NOW).map(|token| token.subject), Ok("someone".into()));
        }
    }
}

fn pem_body(pem: &str) -> Vec<u8> {
    let text = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
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
    assert_no_mangled_token_is_accepted(SigningAlgorithm::EdDsa);
    assert_no_mangled_token_is_accepted(SigningAlgorithm::Es256);
}

fn assert_no_mangled_token_is_accepted(algorithm: SigningAlgorithm) {
    let keyring = keyring();
    let keys = keyring.keys();
    let key = keys.ring().signing_key(algorithm, NOW).unwrap();
    let token = token_signed_with(algorithm, &keyring);
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
    let key = keys.signing_key(SigningAlgorithm::EdDsa, NOW).unwrap();
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
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap().as_ref()));
    assert_eq!(issuer().check(&token, &keys, NOW).map(|_| ()), Err(TokenError::Malformed));
}

#[test]
fn claims_of_the_wrong_type_or_value_are_refused() {
    let keyring = keyring();
    let keys = keyring.keys();
    let key = keys.signing_key(SigningAlgorithm::EdDsa, NOW).unwrap();
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
    // JSON parsers agree on integers up to 2^53 - 1 (RFC 8259, 6).
    let largest = (1_i64 << 53) - 1;
    assert_eq!(with("exp", json!(-largest)), Err(TokenError::Expired));
    assert_eq!(with("exp", json!(largest)), Ok(()));
    for odd in [json!(-largest - 1), json!(largest + 1), json!(i64::MIN), json!(i64::MAX)] {
        assert_eq!(with("exp", odd.clone()), Err(TokenError::Malformed), "exp {odd}");
    }
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
    ring.revoke(&kid, NOW, &POLICY, &rng).unwrap();
    mine.install(&ring).unwrap();
    assert_eq!(issuer().check(&token, &mine.keys(), NOW).map(|_| ()), Err(TokenError::RevokedKey));
    assert!(!std::str::from_utf8(&mine.keys().jwks().body).unwrap().contains(&kid));
}

#[test]
fn reference_parses_the_jwks() {
    let keyring = keyring();
    let keys = keyring.keys();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&keys.jwks().body).unwrap();
    for (algorithm, name) in [(SigningAlgorithm::EdDsa, Algorithm::EdDSA), (SigningAlgorithm::Es256, Algorithm::ES256)]
    {
        let jwk = set.find(&keys.signing_key(algorithm, NOW).unwrap().kid).unwrap();
        let mut validation = Validation::new(name);
        validation.validate_exp = false;
        validation.set_audience(&["signet"]);
        let key = DecodingKey::from_jwk(jwk).unwrap();
        assert!(jsonwebtoken::decode::<Value>(token_signed_with(algorithm, &keyring), &key, &validation).is_ok());
    }
}
