//! Verification of whole tokens, by both algorithms, with valid and hostile headers and claims.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://id.example.org";
const NOW: UnixTime = UnixTime::from_secs(1_763_130_320);

/// A key that signs with Ed25519 and one that signs with P-256.
struct Keys {
    ed25519: SigningKey,
    p256: EcdsaKeyPair,
    public: Vec<Arc<PublicKey>>,
}

impl Keys {
    fn new() -> Self {
        let ed25519 = SigningKey::from_bytes(&[7; 32]);
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = p256.public_key().as_ref()[1..].split_at(32);
        let public = vec![
            Arc::new(PublicKey::ed25519("ed", ed25519.verifying_key().as_bytes()).unwrap()),
            Arc::new(PublicKey::es256("ec", x.try_into().unwrap(), y.try_into().unwrap()).unwrap()),
        ];
        Self { ed25519, p256, public }
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = if header["kid"] == "ec" {
            self.p256.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
        } else {
            self.ed25519.sign(message.as_bytes()).to_vec()
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        Expectations::new(ISSUER, "signet").verify(token, &self.public, NOW)
    }

    fn verify_claims(&self, claims: &str) -> Result<VerifiedToken, TokenError> {
        self.verify(&self.sign(&header("EdDSA", "ed"), claims))
    }
}

fn header(alg: &str, kid: &str) -> Value {
    json!({"alg": alg, "typ": "at+jwt", "kid": kid})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "signet", "sub": "someone", "exp": NOW.secs() + 60})
}

#[test]
fn claims_are_read() {
    let keys = Keys::new();
    let mut payload = claims();
    let more = json!({
        "aud": ["other", "signet"], "sid": "a session", "jti": "a token", "client_id": "a client", "iat": 5,
        "auth_time": 4, "email": "a@example.org", "email_verified": true, "scope": "read write", "tenant": {"id": 7},
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let token = keys.verify_claims(&payload.to_string()).unwrap();
    assert_eq!(
        (token.subject(), token.session_id(), token.token_id()),
        ("someone", Some("a session"), Some("a token"))
    );
    assert_eq!((token.client_id(), token.email()), (Some("a client"), Some("a@example.org")));
    assert_eq!(token.verified_email(), Some("a@example.org"));
    assert!(token.scopes().contains("write") && !token.scopes().contains("admin"));
    assert!(token.is_for("other") && token.is_for("signet") && !token.is_for("sign"));
    assert_eq!(token.issued_at(), Some(UnixTime::from_secs(5)));
    assert_eq!(token.auth_time(), Some(UnixTime::from_secs(4)));
    assert_eq!(token.expires_at(), NOW + Duration::from_secs(60));
    assert_eq!(serde_json::from_str::<Value>(token.payload()).unwrap(), payload);
    #[derive(serde::Deserialize)]
    struct Tenant {
        tenant: Value,
    }
    assert_eq!(token.deserialize::<Tenant>().unwrap().tenant, json!({"id": 7}));
    let bare = keys.verify_claims(&claims().to_string()).unwrap();
    assert_eq!((bare.session_id(), bare.email(), bare.issued_at()), (None, None, None));
}

#[test]
fn claims_with_escapes_are_read() {
    let keys = Keys::new();
    let text = claims()
        .to_string()
        .replace("someone", r"some\u006fne \ud83d\ude00")
        .replace('}', r#","sid":"\u0061","jti":"plain","email":"","aud2":1}"#);
    let token = keys.verify_claims(&text).unwrap();
    assert_eq!(token.subject(), "someone 😀");
    assert_eq!((token.session_id(), token.token_id(), token.email()), (Some("a"), Some("plain"), Some("")));
    assert_eq!(token.payload(), text);
    assert_eq!(token.verified_email(), None);
}

#[test]
fn algorithm_belongs_to_the_key() {
    let keys = Keys::new();
    let text = claims().to_string();
    for (alg, kid) in [("EdDSA", "ed"), ("Ed25519", "ed"), ("ES256", "ec")] {
        assert!(keys.verify(&keys.sign(&header(alg, kid), &text)).is_ok(), "{alg} {kid}");
        let mut reordered = header(alg, kid);
        reordered["x"] = json!(1);
        assert!(keys.verify(&keys.sign(&reordered, &text)).is_ok(), "{alg} {kid}");
    }
    for (alg, kid) in [("ES256", "ed"), ("EdDSA", "ec"), ("Ed25519", "ec"), ("HS256", "ed"), ("none", "ed")] {
        let refused = keys.verify(&keys.sign(&header(alg, kid), &text));
        assert_eq!(refused.err(), Some(TokenError::UnsupportedAlgorithm), "{alg} {kid}");
    }
    for kid in ["", "ED", "ed ", "other"] {
        let refused = keys.verify(&keys.sign(&header("EdDSA", kid), &text));
        assert_eq!(refused.err(), Some(TokenError::UnknownKey), "{kid}");
    }
    let no_kid = keys.sign(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &text);
    assert_eq!(keys.verify(&no_kid).err(), Some(TokenError::MissingKid));
    // The signature of one key under the name of the other.
    for (mine, other) in
        [(header("EdDSA", "ed"), header("ES256", "ec")), (header("ES256", "ec"), header("EdDSA", "ed"))]
    {
        let (one, two) = (keys.sign(&mine, &text), keys.sign(&other, &text));
        let mixed = format!("{}.{}", one.rsplit_once('.').unwrap().0, two.rsplit_once('.').unwrap().1);
        assert_eq!(keys.verify(&mixed).err(), Some(TokenError::BadSignature));
    }
}

#[test]
fn headers_with_their_own_keys_or_rules_are_refused() {
    let keys = Keys::new();
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(null)),
        ("b64", json!(false)),
        ("jku", json!("https://evil.example")),
        ("jwk", json!({"kty": "OKP"})),
        ("x5u", json!("https://evil.example")),
        ("x5c", json!([])),
        ("zip", json!("DEF")),
    ] {
        let mut header = header("EdDSA", "ed");
        header[member] = value;
        let refused = keys.verify(&keys.sign(&header, &claims().to_string()));
        assert_eq!(refused.err(), Some(TokenError::Malformed), "{header}");
    }
    for (typ, accepted) in [
        (json!("AT+JWT"), true),
        (json!("application/at+jwt"), true),
        (json!("JWT"), false),
        (json!("signet-revocations+jws"), false),
        (json!(null), false),
    ] {
        let mut header = header("EdDSA", "ed");
        header["typ"] = typ;
        assert_eq!(keys.verify(&keys.sign(&header, &claims().to_string())).is_ok(), accepted, "{header}");
    }
}

#[test]
fn claims_of_the_wrong_type_or_value_are_refused() {
    let keys = Keys::new();
    let with = |member: &str, value: Value| {
        let mut claims = claims();
        claims[member] = value;
        keys.verify_claims(&claims.to_string()).map(|_| ()).err()
    };
    assert_eq!(with("aud", json!("other")), Some(TokenError::WrongAudience));
    assert_eq!(with("aud", json!([])), Some(TokenError::WrongAudience));
    assert_eq!(with("aud", json!([1])), Some(TokenError::Malformed));
    assert_eq!(with("aud", json!({"signet": 1})), Some(TokenError::Malformed));
    assert_eq!(with("iss", json!("https://id.example.org/")), Some(TokenError::WrongIssuer));
    assert_eq!(with("exp", json!(NOW.secs() - 4)), None);
    assert_eq!(with("exp", json!(NOW.secs() - 5)), Some(TokenError::Expired));
    assert_eq!(with("nbf", json!(NOW.secs() + 5)), None);
    assert_eq!(with("nbf", json!(NOW.secs() + 6)), Some(TokenError::NotYetValid));
    assert_eq!(with("exp", json!((1_i64 << 53) - 1)), None);
    for odd in [
        json!(1_i64 << 53),
        json!(i64::MAX),
        json!(null),
        json!("9999999999"),
        json!(1e300),
        json!([1]),
        json!(true),
        json!(9_999_999_999.5),
    ] {
        for member in ["exp", "nbf", "iat", "auth_time"] {
            assert_eq!(with(member, odd.clone()), Some(TokenError::Malformed), "{member} {odd}");
        }
    }
    for missing in ["iss", "aud", "sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        assert_eq!(keys.verify_claims(&claims.to_string()).err(), Some(TokenError::Malformed), "without {missing}");
    }
    let text = claims().to_string();
    for text in [text.replacen('{', r#"{"exp":1,"#, 1), format!("{text}{text}"), String::new(), "[]".to_owned()] {
        assert_eq!(keys.verify_claims(&text).err(), Some(TokenError::Malformed), "{text}");
    }
}

#[test]
fn no_mangled_token_is_accepted() {
    let keys = Keys::new();
    for header in [header("EdDSA", "ed"), header("ES256", "ec")] {
        let token = keys.sign(&header, &claims().to_string());
        assert!(keys.verify(&token).is_ok());
        for at in 0..token.len() {
            let mut mangled = vec![token[..at].to_owned(), format!("{}{}", &token[..at], &token[at + 1..])];
            mangled.push(format!("{}A{}", &token[..at], &token[at..]));
            for byte in [b'A', b'.', b'=', token.as_bytes()[at] ^ 1] {
                let mut text = token.clone().into_bytes();
                text[at] = byte;
                mangled.extend(String::from_utf8(text).ok().filter(|text| *text != token));
            }
            for text in mangled {
                assert!(keys.verify(&text).is_err(), "{text}");
            }
        }
        for more in ["=", ".", "A", " ", "\n", "\0"] {
            assert!(keys.verify(&format!("{token}{more}")).is_err() && keys.verify(&format!("{more}{token}")).is_err());
        }
    }
    let long = "a".repeat(crate::token::MAX_LENGTH + 1);
    assert_eq!(keys.verify(&long).err(), Some(TokenError::Malformed));
}
