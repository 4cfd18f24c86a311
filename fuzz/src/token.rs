//! Access tokens and one-purpose tokens: of texts nothing is accepted but what was signed, and of what was signed nothing that
//! `jsonwebtoken` refuses.
//!
//! Bytes without a NUL are a token. Otherwise they are a header and a payload, and a third part is thrown away: both are signed
//! by the ring's own key, since no mutation would ever get behind a signature.

use std::collections::HashSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use signet::clock::Timestamp;
use signet::config::Config;
use signet::token::access::Issuer;
use signet::token::action;
use signet::token::action::ActionKind;
use signet::token::keyring::Keyring;
use signet::token::keyring::ring::{Key, Ring};

/// What the only key of the ring is called; no hash, so that seeds can name it.
const KID: &str = "k";
const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

struct House {
    config: Config,
    issuer: Issuer,
    keyring: Keyring,
    key: SigningKey,
    reference: DecodingKey,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    let moments = (Timestamp::from_secs(0), Timestamp::from_secs(0));
    let only = Key {
        kid: KID.to_owned(),
        seed: [7; 32].into(),
        public,
        announced_at: moments.0,
        signs_from: moments.1,
        revoked_at: None,
    };
    let config = Config::default();
    let keyring = Keyring::new(&Ring { version: 1, keys: vec![only] }, config.tokens.algorithm).unwrap();
    let issuer = Issuer::new(&config.tokens);
    House { issuer, config, keyring, key, reference: DecodingKey::from_ed_der(&public) }
});

pub fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let house = &*HOUSE;
    match (parts.next(), parts.next()) {
        (Some(header), Some(payload)) => house.signed(header, payload),
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                assert!(!house.accepts(text), "nobody signed it");
            }
        }
    }
}

impl House {
    fn signed(&self, header: &[u8], payload: &[u8]) {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(!self.accepts(&token) || self.reference_accepts(&token), "the reference refuses it");
        // One text a signature, and no signature for another text.
        let mut other = signature;
        other[usize::from(header.len() as u8 % 64)] ^= 1;
        assert!(!self.accepts(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(other))), "a changed signature");
        assert!(!self.accepts(&format!("{token}A")) && !self.accepts(&format!("{token}=")), "an extended token");
    }

    fn accepts(&self, token: &str) -> bool {
        let keys = self.keyring.keys();
        let access = self.issuer.check(token, &keys, NOW).is_ok();
        let accepts = |kind: &&ActionKind| action::verify::<Value>(**kind, token, NOW, &self.config.tokens, &keys).is_ok();
        let purposes = ActionKind::ALL.iter().filter(accepts).count();
        assert!(usize::from(access) + purposes <= 1, "a token is good for one thing");
        access || purposes > 0
    }

    fn reference_accepts(&self, token: &str) -> bool {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.required_spec_claims = ["exp", "iss", "aud"].map(str::to_owned).into_iter().collect::<HashSet<_>>();
        validation.set_issuer(&[&self.config.tokens.issuer]);
        validation.set_audience(&[&self.config.tokens.audience]);
        // It does not know RFC 9864's name of the same algorithm.
        let algorithm = jsonwebtoken::decode_header(token);
        algorithm.is_err() || jsonwebtoken::decode::<Value>(token, &self.reference, &validation).is_ok()
    }
}
