//! The JWKS: the public keys in their published form (RFC 7517, RFC 8037), rendered once per change of the ring.
//!
//! Knows nothing of HTTP; the ETag is an identifier of the body.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::keyring::key::{ES256, Key, PublicKey};
use crate::config::Algorithm;
use crate::encoding::short_sha256;

/// The published keys.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// The JSON document.
    pub body: Bytes,
    /// An identifier of exactly this body, in quotes.
    pub etag: String,
}

impl Jwks {
    /// Renders all keys that are not revoked.
    pub(super) fn new(keys: &[Key], algorithm: Algorithm) -> Self {
        let each = keys
            .iter()
            .filter(|key| key.revoked_at.is_none())
            .map(|key| jwk(key, algorithm))
            .collect::<Vec<_>>()
            .join(",");
        let body = Bytes::from(format!(r#"{{"keys":[{each}]}}"#));
        let etag = format!("\"{}\"", short_sha256(&body, 12));
        Self { body, etag }
    }
}

/// One public key. `alg` is optional in a JWK (RFC 7517, 4.4). An Ed25519 key has none if tokens name the algorithm
/// `Ed25519`: PyJWT and Rust's `jsonwebtoken` refuse a whole key set that contains a name which they do not know, and
/// so also the tokens of other audiences and those signed before the name was changed. `EdDSA` cannot stand there
/// either, because jose takes no key whose `alg` differs from that of the token.
fn jwk(key: &Key, algorithm: Algorithm) -> String {
    let kid = &key.kid;
    match &key.public {
        PublicKey::Ed25519(public) => {
            let x = URL_SAFE_NO_PAD.encode(public);
            let alg = match algorithm {
                Algorithm::EdDsa => r#","alg":"EdDSA""#,
                Algorithm::Ed25519 => "",
            };
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}","use":"sig"{alg}}}"#)
        }
        PublicKey::P256(public) => {
            let [x, y] = [&public[1..33], &public[33..]].map(|number| URL_SAFE_NO_PAD.encode(number));
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{kid}","use":"sig","alg":"{ES256}"}}"#)
        }
    }
}
