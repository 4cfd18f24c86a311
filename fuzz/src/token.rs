//! Access tokens and action tokens: only signed tokens are accepted, and none that `jsonwebtoken` refuses.
//!
//! An input without a NUL byte is a token. Otherwise it is a header and a payload, separated by NUL, and further
//! parts are ignored. They are signed with the key of the ring, because no mutation would ever find a valid
//! signature.

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

/// The id of the only key in the ring; not a hash, so that seeds can contain it.
const KID: &str = "k";
const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

/// An issuer, and the reference implementation with the same key.
struct Verifiers {
    config: Config,
    issuer: Issuer,
    keyring: Keyring,
    key: SigningKey,
    reference: DecodingKey,
}

static VERIFIERS: LazyLock<Verifiers> = LazyLock::new(|| {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    let ring_key = Key {
        kid: KID.to_owned(),
        seed: [7; 32].into(),
        public,
        announced_at: Timestamp::from_secs(0),
        signs_from: Timestamp::from_secs(0),
        revoked_at: None,
    };
    let config = Config::default();
    let keyring = Keyring::new(&Ring { version: 1, keys: vec![ring_key] }, config.tokens.algorithm).unwrap();
    let issuer = Issuer::new(&config.tokens);
    Verifiers { issuer, config, keyring, key, reference: DecodingKey::from_ed_der(&public) }
});

pub fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let verifiers = &*VERIFIERS;
    match (parts.next(), parts.next()) {
        (Some(header), Some(payload)) => verifiers.check_signed(header, payload),
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                assert!(!verifiers.accepts(text), "an unsigned token is accepted");
            }
        }
    }
}

impl Verifiers {
    fn check_signed(&self, header: &[u8], payload: &[u8]) {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(
            !self.accepts(&token) || self.reference_accepts(&token),
            "a token that the reference refuses is accepted"
        );
        // A signature has one encoding, and a changed one is refused.
        let mut changed = signature;
        changed[usize::from(header.len() as u8 % 64)] ^= 1;
        assert!(
            !self.accepts(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(changed))),
            "a changed signature is accepted"
        );
        assert!(
            !self.accepts(&format!("{token}A")) && !self.accepts(&format!("{token}=")),
            "an extended token is accepted"
        );
    }

    fn accepts(&self, token: &str) -> bool {
        let keys = self.keyring.keys();
        let access = self.issuer.check(token, &keys, NOW).is_ok();
        let accepts =
            |kind: &&ActionKind| action::verify::<Value>(**kind, token, NOW, &self.config.tokens, &keys).is_ok();
        let kinds = ActionKind::ALL.iter().filter(accepts).count();
        assert!(usize::from(access) + kinds <= 1, "a token has more than one kind");
        access || kinds > 0
    }

    fn reference_accepts(&self, token: &str) -> bool {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.required_spec_claims = ["exp", "iss", "aud"].map(str::to_owned).into_iter().collect::<HashSet<_>>();
        validation.set_issuer(&[&self.config.tokens.issuer]);
        validation.set_audience(&[&self.config.tokens.audience]);
        // The reference does not know `Ed25519`, the name of the algorithm in RFC 9864.
        let algorithm = jsonwebtoken::decode_header(token);
        algorithm.is_err() || jsonwebtoken::decode::<Value>(token, &self.reference, &validation).is_ok()
    }
}
