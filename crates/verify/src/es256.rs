//! Verifying ES256 (RFC 7518, 3.4): ECDSA on P-256 with SHA-256, for verifiers and audiences without EdDSA.
//!
//! The signature is r and s, 32 bytes each, never DER. The key is parsed once.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};

/// A P-256 public key.
pub struct Verifier {
    key: ParsedPublicKey,
}

impl Verifier {
    /// Parses the coordinates of a point. `None` if it is not a point of the curve.
    pub fn new(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        // SEC 1, 2.3.3: an uncompressed point.
        let mut point = [4; 65];
        point[1..33].copy_from_slice(x);
        point[33..].copy_from_slice(y);
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok().map(|key| Self { key })
    }

    /// Returns true if these are the key's coordinates.
    pub(crate) fn has_coordinates(&self, x: &[u8; 32], y: &[u8; 32]) -> bool {
        self.key.as_ref().get(1..33) == Some(x) && self.key.as_ref().get(33..65) == Some(y)
    }

    /// Returns true if `signature` is a valid signature of `message` by this key.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}
