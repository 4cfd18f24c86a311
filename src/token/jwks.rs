//! The JWKS: the public keys in their published form (RFC 7517, RFC 8037), rendered once per change of the ring.
//!
//! Knows nothing of HTTP; the ETag is an identifier of the body.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::keyring::ring::Key;
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
            .map(|key| {
                let x = URL_SAFE_NO_PAD.encode(key.public);
                let (kid, alg) = (&key.kid, algorithm.name());
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}","use":"sig","alg":"{alg}"}}"#)
            })
            .collect::<Vec<_>>()
            .join(",");
        let body = Bytes::from(format!(r#"{{"keys":[{each}]}}"#));
        let etag = format!("\"{}\"", short_sha256(&body, 12));
        Self { body, etag }
    }
}
