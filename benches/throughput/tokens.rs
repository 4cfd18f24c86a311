//! Access tokens that no server has seen: signed here, with the server's own key, as many as there are requests.
//!
//! So its cache stays on and does for each of them what it does in life: is asked in vain, and takes it in.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;

use crate::support::signet::{Plan, Seeded};

/// Makes tokens like those of the sessions, each with a `jti` of its own.
pub(crate) struct Mint {
    key: Ed25519KeyPair,
    pub(crate) seed: [u8; 32],
    pub(crate) public: [u8; 32],
    /// The header's segment.
    pub(crate) header: String,
    /// Payloads, cut where the last twelve digits of the `jti` are.
    payloads: Vec<(String, String)>,
    made: u64,
}

/// A token's payload, as text.
pub(crate) fn payload(token: &str) -> String {
    let segment = token.split('.').nth(1).expect("it has three segments");
    String::from_utf8(BASE64.decode(segment).expect("base64")).expect("JSON")
}

impl Mint {
    /// Takes the key from the server's ring.
    pub(crate) fn of(plan: &Plan, sessions: &[Seeded]) -> Self {
        let keys = plan.json(&["keys", "list"]);
        let kid = keys[0]["kid"].as_str().expect("a key has a name");
        let key = SigningKey::from_pkcs8_pem(plan.run(&["keys", "export", kid]).trim()).expect("PKCS#8");
        let cut = |session: &Seeded| {
            let payload = payload(&session.access_token);
            let jti = payload.find(r#""jti":""#).expect("tokens have ids") + r#""jti":""#.len();
            (payload[..jti + 24].to_owned(), payload[jti + 36..].to_owned())
        };
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).expect("a seed"),
            seed: key.to_bytes(),
            public: key.verifying_key().to_bytes(),
            header: sessions[0].access_token.split('.').next().expect("it has segments").to_owned(),
            payloads: sessions.iter().map(cut).collect(),
            made: 0,
        }
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> String {
        let (before, after) = &self.payloads[self.made as usize % self.payloads.len()];
        self.made += 1;
        let payload = BASE64.encode(format!("{before}{:012x}{after}", self.made));
        let message = format!("{}.{payload}", self.header);
        let signature = BASE64.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}
