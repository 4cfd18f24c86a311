//! The JWKS: the public keys as they are published (RFC 7517, RFC 8037), made once a change of the ring.
//!
//! Knows nothing of HTTP; the ETag is a name for the body, whoever uses it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::keyring::ring::Key;
use crate::config::Algorithm;

/// The published keys.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// The JSON document.
    pub body: Bytes,
    /// A name for exactly this body, in quotes.
    pub etag: String,
}

impl Jwks {
    /// Publishes all but the revoked.
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
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..12]));
        Self { body, etag }
    }
}
