//! New access tokens for each request, signed with the key of the server.
//!
//! They allow measuring with the cache switched on: each token misses the cache and is inserted, as in production.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;

use crate::support::signet::{SeededSession, SignetSettings};

/// Makes tokens like those of the sessions, each with its own `jti`.
pub(crate) struct TokenMinter {
    key: Ed25519KeyPair,
    pub(crate) seed: [u8; 32],
    pub(crate) public: [u8; 32],
    /// The encoded header.
    pub(crate) header: String,
    /// Payloads, as the texts before and after the last twelve digits of the `jti`.
    payloads: Vec<(String, String)>,
    count: u64,
}

/// The payload of a token, decoded.
pub(crate) fn payload(token: &str) -> String {
    let segment = token.split('.').nth(1).expect("three segments");
    String::from_utf8(BASE64.decode(segment).expect("base64")).expect("JSON")
}

impl TokenMinter {
    /// Exports the signing key of the server.
    pub(crate) fn new(settings: &SignetSettings, sessions: &[SeededSession]) -> Self {
        let keys = settings.run_cli_json(&["keys", "list"]);
        let kid = keys[0]["kid"].as_str().expect("a key id");
        let key = SigningKey::from_pkcs8_pem(settings.run_cli(&["keys", "export", kid]).trim()).expect("PKCS#8");
        let split = |session: &SeededSession| {
            let payload = payload(&session.access_token);
            let jti = payload.find(r#""jti":""#).expect("a jti") + r#""jti":""#.len();
            (payload[..jti + 24].to_owned(), payload[jti + 36..].to_owned())
        };
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).expect("a seed"),
            seed: key.to_bytes(),
            public: key.verifying_key().to_bytes(),
            header: sessions[0].access_token.split('.').next().expect("a header").to_owned(),
            payloads: sessions.iter().map(split).collect(),
            count: 0,
        }
    }

    pub(crate) fn next(&mut self) -> String {
        let (before, after) = &self.payloads[self.count as usize % self.payloads.len()];
        self.count += 1;
        let payload = BASE64.encode(format!("{before}{:012x}{after}", self.count));
        let message = format!("{}.{payload}", self.header);
        let signature = BASE64.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}
