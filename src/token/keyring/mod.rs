//! The keyring: which keys sign and verify now, and how that changes with time.
//!
//! [`ring::Ring`] is the record that a fleet shares: keys and moments, changed by compare-and-set. [`Keyring`] is what a
//! node works with: the ring expanded once into signers, verifiers, header segments and the JWKS, replaced whole when the
//! ring changes, read without a lock. Knows nothing of where the ring is kept.

pub mod pem;
pub mod ring;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::signature::Verifier;
use crate::clock::Timestamp;
use crate::config::Algorithm;
use ring::{Key, Ring};

/// A node's view of the ring, replaced whole when the ring changes.
pub struct Keyring {
    current: ArcSwap<Keys>,
    algorithm: Algorithm,
}

/// The keys of one edition of the ring, ready for use.
pub struct Keys {
    ring: Ring,
    each: Vec<Arc<LoadedKey>>,
    jwks: Arc<super::jwks::Jwks>,
}

/// A key, ready for use.
pub struct LoadedKey {
    /// Its name: the `kid` of what it signs.
    pub kid: Box<str>,
    /// From when it signs.
    pub signs_from: Timestamp,
    /// Whether somebody said that nothing it signed is to be believed.
    pub revoked: bool,
    /// The header segment of its access tokens, with the dot: written, and recognised without reading.
    pub(super) header: Box<str>,
    /// The same under the algorithm's other name.
    pub(super) other_header: Box<str>,
    signer: Ed25519KeyPair,
    verifier: Verifier,
    pub(super) jwt_encoding_key: jsonwebtoken::EncodingKey,
    pub(super) jwt_decoding_key: jsonwebtoken::DecodingKey,
}

/// A key cannot be used: AWS-LC or dalek refused it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {kid} is not a usable Ed25519 key")]
pub struct UnusableKey {
    /// Which.
    pub kid: String,
}

impl Keyring {
    /// A node's view of `ring`, signing under that name of the algorithm.
    pub fn new(ring: &Ring, algorithm: Algorithm) -> Result<Self, UnusableKey> {
        Ok(Self { current: ArcSwap::from_pointee(Keys::new(ring, algorithm)?), algorithm })
    }

    /// The keys in force. Cheap; to be asked anew for each token.
    pub fn keys(&self) -> Guard<Arc<Keys>> {
        self.current.load()
    }

    /// Takes another edition of the ring. Which one is to be believed is decided where the ring is kept; an older one than
    /// this node has comes from a task that was overtaken, and would bring back what was revoked since.
    pub fn install(&self, ring: &Ring) -> Result<(), UnusableKey> {
        let held = self.keys();
        if ring.version >= held.ring.version && *ring != held.ring {
            self.current.store(Arc::new(Keys::new(ring, self.algorithm)?));
        }
        Ok(())
    }
}

impl Keys {
    fn new(ring: &Ring, algorithm: Algorithm) -> Result<Self, UnusableKey> {
        let each =
            ring.keys.iter().map(|key| LoadedKey::new(key, algorithm).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let jwks = Arc::new(super::jwks::Jwks::new(&ring.keys, algorithm));
        Ok(Self { ring: ring.clone(), each, jwks })
    }

    /// The ring itself.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The key that signs now, as [`Ring::signer`] has it.
    pub fn signer(&self, now: Timestamp) -> Option<&Arc<LoadedKey>> {
        self.ring.signer(now).and_then(|key| self.by_kid(&key.kid))
    }

    /// The key of exactly that name.
    pub fn by_kid(&self, kid: &str) -> Option<&Arc<LoadedKey>> {
        self.each.iter().find(|key| *key.kid == *kid)
    }

    /// The key whose access tokens begin with `header`, a segment with its dot.
    pub(super) fn by_header(&self, header: &str) -> Option<&Arc<LoadedKey>> {
        self.each.iter().find(|key| *key.header == *header || *key.other_header == *header)
    }

    /// The public keys, as they are published.
    pub fn jwks(&self) -> &Arc<super::jwks::Jwks> {
        &self.jwks
    }
}

impl LoadedKey {
    fn new(key: &Key, algorithm: Algorithm) -> Result<Self, UnusableKey> {
        let unusable = || UnusableKey { kid: key.kid.clone() };
        let signer =
            Ed25519KeyPair::from_seed_and_public_key(key.seed.as_slice(), &key.public).map_err(|_| unusable())?;
        let pkcs8 = signer.to_pkcs8v1().map_err(|_| unusable())?;
        let verifier = Verifier::new(&key.public).ok_or_else(unusable)?;
        let other = match algorithm {
            Algorithm::EdDsa => Algorithm::Ed25519,
            Algorithm::Ed25519 => Algorithm::EdDsa,
        };
        Ok(Self {
            kid: key.kid.clone().into(),
            signs_from: key.signs_from,
            revoked: key.revoked_at.is_some(),
            header: header_segment(algorithm, &key.kid),
            other_header: header_segment(other, &key.kid),
            jwt_encoding_key: jsonwebtoken::EncodingKey::from_ed_der(pkcs8.as_ref()),
            jwt_decoding_key: jsonwebtoken::DecodingKey::from_ed_der(&key.public),
            signer,
            verifier,
        })
    }

    /// Signs by AWS-LC, the faster of the two at it (`benches/tokens.rs`).
    pub(super) fn sign(&self, message: &[u8]) -> aws_lc_rs::signature::Signature {
        self.signer.sign(message)
    }

    /// Verifies strictly, from the key's own table.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.verifier.verify(message, signature)
    }
}

impl Algorithm {
    /// As it stands in a header's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

fn header_segment(algorithm: Algorithm, kid: &str) -> Box<str> {
    let header = format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{kid}"}}"#, algorithm.name());
    let mut segment = URL_SAFE_NO_PAD.encode(header);
    segment.push('.');
    segment.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn an_older_edition_does_not_come_back() {
        let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
        let old = Ring::generate(now, &rng);
        let mut new = Ring { version: 2, ..old.clone() };
        new.revoke(&old.keys[0].kid, now, &rng).unwrap();
        let keyring = Keyring::new(&new, Algorithm::EdDsa).unwrap();
        keyring.install(&old).unwrap();
        assert_eq!(keyring.keys().ring(), &new);
    }

    /// RFC 8037, A.1, A.2, A.4 and A.5: the key, what is published of it, and what it signs, byte for byte.
    #[test]
    fn the_example_of_the_rfc() {
        const MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        const SIGNATURE: &str =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let mut seed = [0; 32];
        URL_SAFE_NO_PAD.decode_slice("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", &mut seed).unwrap();
        let lives = ring::KeyLifetimes { sign: Duration::ZERO, announce: Duration::ZERO, retain: Duration::ZERO };
        let mut ring = Ring::default();
        ring.import(seed.into(), Timestamp::from_secs(1), &lives).unwrap();
        let keyring = Keyring::new(&ring, Algorithm::EdDsa).unwrap();
        let keys = keyring.keys();
        let published = std::str::from_utf8(&keys.jwks().body).unwrap();
        assert!(published.contains(r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#), "{published}");
        let key = keys.by_kid(&ring.keys[0].kid).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(key.sign(MESSAGE.as_bytes())), SIGNATURE);
        let mut signature = [0; 64];
        URL_SAFE_NO_PAD.decode_slice(SIGNATURE, &mut signature).unwrap();
        assert!(key.verify(MESSAGE.as_bytes(), &signature));
    }
}
