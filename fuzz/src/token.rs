//! Access tokens and action tokens: only signed tokens are accepted, each only with its own kind of key, and none that
//! `jsonwebtoken` refuses.
//!
//! An input without a NUL byte is a token. Otherwise it is a header and a payload, separated by NUL, and further
//! parts are ignored. They are signed with each key, because no mutation would ever find a valid signature: with the
//! keys of the ring, with the key of action tokens, and with the public key as the secret of an HMAC.

use std::collections::HashSet;
use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde_json::Value;
use signet::clock::Timestamp;
use signet::config::{Config, Secret, SigningAlgorithm};
use signet::id::TokenId;
use signet::rng::Rng;
use signet::token::access::Issuer;
use signet::token::action;
use signet::token::action::ActionKind;
use signet::token::keyring::Keyring;
use signet::token::keyring::key::{Key, KeyPair, PublicKey};
use signet::token::keyring::ring::Ring;
use signet::token::secret::Secrets;

/// The ids of the Ed25519 key and the P-256 key in the ring; not hashes, so that seeds can contain them.
const KID: &str = "k";
const P256_KID: &str = "e";
const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

/// The key of action tokens for a secret of 32 sevens: HKDF-SHA-256 with the salt `signet`.
const ACTION_KEY: [u8; 32] = [
    183, 58, 133, 94, 228, 236, 52, 16, 205, 109, 199, 181, 212, 30, 23, 91, 42, 56, 212, 251, 146, 204, 148, 160, 113,
    176, 170, 170, 229, 1, 105, 142,
];

/// An issuer, and the reference implementation with the same keys.
struct Verifiers {
    config: Config,
    issuer: Issuer,
    keyring: Keyring,
    secrets: Secrets,
    key: SigningKey,
    reference: DecodingKey,
    p256: EcdsaKeyPair,
    p256_reference: DecodingKey,
}

/// The kinds of tokens that are accepted.
#[derive(Debug, PartialEq, Eq)]
enum Accepted {
    Access,
    Action,
}

static VERIFIERS: LazyLock<Verifiers> = LazyLock::new(|| {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    let ring_key = Key {
        kid: KID.to_owned(),
        private: [7; 32].into(),
        public: PublicKey::Ed25519(public),
        announced_at: Timestamp::from_secs(0),
        signs_from: Timestamp::from_secs(0),
        revoked_at: None,
    };
    let config = Config::default();
    let pair = KeyPair::from_private(SigningAlgorithm::Es256, [7; 32].into()).unwrap();
    let mut p256_key = Key::new(pair, ring_key.announced_at, ring_key.signs_from);
    p256_key.kid = P256_KID.to_owned();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let point = p256_key.public.as_bytes();
    let p256 = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &[7; 32], point).unwrap();
    let p256_reference = DecodingKey::from_ec_der(point);
    let keyring = Keyring::new(&Ring { version: 1, keys: vec![ring_key, p256_key] }, config.tokens.algorithm).unwrap();
    let issuer = Issuer::new(&config.tokens);
    let secrets = Secrets::new(&[Secret([7; 32].into())]).unwrap();
    let reference = DecodingKey::from_ed_der(&public);
    let verifiers = Verifiers { issuer, config, keyring, secrets, key, reference, p256, p256_reference };
    let (id, until, tokens) =
        (TokenId::new(NOW, &Rng::system()), Timestamp::from_secs(NOW.secs() + 1), &verifiers.config.tokens);
    let minted = action::mint(ActionKind::MagicLink, id, (), (NOW, until), tokens, &verifiers.secrets).unwrap();
    assert!(verifiers.reference_accepts_action(&minted), "the reference has another key");
    verifiers
});

pub fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let verifiers = &*VERIFIERS;
    match (parts.next(), parts.next()) {
        (Some(header), Some(payload)) => verifiers.check_signed(header, payload),
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                assert_eq!(verifiers.accepts(text), None, "an unsigned token is accepted");
            }
        }
    }
}

impl Verifiers {
    fn check_signed(&self, header: &[u8], payload: &[u8]) {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        match self.check_signature(&message, &signature) {
            Some(Accepted::Access) => {
                let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
                assert!(
                    self.reference_accepts_access(&token),
                    "an access token that the reference refuses is accepted"
                );
            }
            accepted => assert_eq!(accepted, None, "a key of the ring signs an action token"),
        }
        let p256 = self.p256.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        match self.check_signature(&message, p256.as_ref()) {
            Some(Accepted::Access) => {
                let (token, tokens) =
                    (format!("{message}.{}", URL_SAFE_NO_PAD.encode(p256.as_ref())), &self.config.tokens);
                let key = &self.p256_reference;
                assert!(
                    reference_accepts(&token, key, Algorithm::ES256, &tokens.issuer, &tokens.audience),
                    "an access token that the reference refuses is accepted"
                );
            }
            accepted => assert_eq!(accepted, None, "a P-256 key of the ring signs an action token"),
        }
        let mac = hmac(&message, &ACTION_KEY);
        match self.check_signature(&message, &mac) {
            Some(Accepted::Action) => {
                let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac));
                assert!(
                    self.reference_accepts_action(&token),
                    "an action token that the reference refuses is accepted"
                );
            }
            accepted => assert_eq!(accepted, None, "the key of action tokens signs an access token"),
        }
        let mac = hmac(&message, self.key.verifying_key().as_bytes());
        assert_eq!(self.check_signature(&message, &mac), None, "a public key signs a token");
    }

    /// The kind of the token with this signature. The signature has one encoding, and a changed one is refused.
    fn check_signature(&self, message: &str, signature: &[u8]) -> Option<Accepted> {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut changed = signature.to_vec();
        changed[message.len() % signature.len()] ^= 1;
        let changed = format!("{message}.{}", URL_SAFE_NO_PAD.encode(changed));
        assert_eq!(self.accepts(&changed), None, "a changed signature is accepted");
        for more in ["A", "="] {
            assert_eq!(self.accepts(&format!("{token}{more}")), None, "an extended token is accepted");
        }
        self.accepts(&token)
    }

    fn accepts(&self, token: &str) -> Option<Accepted> {
        let keys = self.keyring.keys();
        let access = self.issuer.check(token, &keys, NOW).is_ok();
        let accepts = |kind: &&ActionKind| {
            action::verify::<Value>(**kind, token, NOW, &self.config.tokens, &self.secrets).is_ok()
        };
        let kinds = ActionKind::ALL.iter().filter(accepts).count();
        assert!(usize::from(access) + kinds <= 1, "a token has more than one kind");
        if access { Some(Accepted::Access) } else { (kinds > 0).then_some(Accepted::Action) }
    }

    fn reference_accepts_access(&self, token: &str) -> bool {
        let tokens = &self.config.tokens;
        // The reference does not know `Ed25519`, the name of the algorithm in RFC 9864.
        jsonwebtoken::decode_header(token).is_err()
            || reference_accepts(token, &self.reference, Algorithm::EdDSA, &tokens.issuer, &tokens.audience)
    }

    fn reference_accepts_action(&self, token: &str) -> bool {
        let key = DecodingKey::from_secret(&ACTION_KEY);
        let [issuer, audience] =
            [&self.config.tokens.issuer, &self.config.tokens.audience].map(|name| format!("signet-action:{name}"));
        reference_accepts(token, &key, Algorithm::HS256, &issuer, &audience)
    }
}

fn reference_accepts(token: &str, key: &DecodingKey, algorithm: Algorithm, issuer: &str, audience: &str) -> bool {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.required_spec_claims = ["exp", "iss", "aud"].map(str::to_owned).into_iter().collect::<HashSet<_>>();
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    jsonwebtoken::decode::<Value>(token, key, &validation).is_ok()
}

fn hmac(message: &str, secret: &[u8]) -> Vec<u8> {
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    URL_SAFE_NO_PAD.decode(signature).unwrap()
}
