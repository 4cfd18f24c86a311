//! Importing and exporting keys as PKCS#8 PEM (RFC 5958), which every other tool reads. Knows nothing of the ring.
//!
//! Version 1 is written, which has no public key: OpenSSL 3.0, Python's `cryptography` and Node read no Ed25519 key of
//! version 2. Both versions are read.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::pkcs8::spki::der::SecretDocument;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use zeroize::Zeroizing;

use super::key::{Key, KeyPair, PublicKey};
use crate::config::SigningAlgorithm;

/// The text is not a private key that Signet can sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 or P-256 private key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)")]
pub struct InvalidPem;

const LABEL: &str = "PRIVATE KEY";

/// The bytes before the seed of an Ed25519 key in PKCS#8, version 1 (RFC 8410, 7).
const ED25519_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Parses the private key.
pub fn parse(text: &str) -> Result<KeyPair, InvalidPem> {
    let (label, document) = SecretDocument::from_pem(text.trim()).map_err(|_| InvalidPem)?;
    if label != LABEL {
        return Err(InvalidPem);
    }
    let pair = match SigningKey::from_pkcs8_der(document.as_bytes()) {
        Ok(key) => KeyPair::from_private(SigningAlgorithm::EdDsa, Zeroizing::new(key.to_bytes())),
        Err(_) => KeyPair::from_p256_pkcs8(document.as_bytes()),
    };
    pair.ok_or(InvalidPem)
}

/// Writes the private key.
pub fn write(key: &Key) -> Result<Zeroizing<String>, InvalidPem> {
    let document = match &key.public {
        PublicKey::Ed25519(_) => {
            let bytes = Zeroizing::new([&ED25519_PREFIX[..], key.private.as_slice()].concat());
            SecretDocument::try_from(bytes.as_slice())
        }
        PublicKey::P256(public) => {
            let (algorithm, private) = (&ECDSA_P256_SHA256_FIXED_SIGNING, key.private.as_slice());
            let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public);
            let bytes = pair.map_err(|_| InvalidPem)?.to_pkcs8v1().map_err(|_| InvalidPem)?;
            SecretDocument::try_from(bytes.as_ref())
        }
    };
    document.and_then(|document| document.to_pem(LABEL, LineEnding::LF)).map_err(|_| InvalidPem)
}

#[cfg(test)]
mod tests;
