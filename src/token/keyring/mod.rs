//! The keyring: the keys that sign and verify at a given time.
//!
//! [`ring::Ring`] is the record that a fleet shares: keys and timestamps, changed by compare-and-set. [`Keyring`] is a
//! node's form of it: the ring expanded once into signers, verifiers, header segments and the JWKS. It is replaced as a
//! whole when the ring changes, and read without a lock. Knows nothing of where the ring is stored.
//!
//! The algorithm belongs to the key: a key is of one kind ([`key::PublicKey`]), which determines how it is loaded, and
//! so the only signatures and the only `alg` that it has. A token cannot choose another one.

pub mod key;
pub mod pem;
mod record;
pub mod ring;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, Signature};
use signet_verify::header::access_token_header;
use signet_verify::keys::HasPublicKey;
use signet_verify::{TokenError, UnverifiedToken};

use crate::clock::Timestamp;
use crate::config::{Algorithm, SigningAlgorithm};
use key::{ES256, Key, PublicKey};
use ring::Ring;

/// The keys that this node uses, replaced as a whole when the ring changes.
pub struct Keyring {
    current: ArcSwap<Keys>,
    algorithm: Algorithm,
}

/// The loaded keys of one version of the ring.
pub struct Keys {
    ring: Ring,
    loaded: Vec<Arc<LoadedKey>>,
    jwks: Arc<super::jwks::Jwks>,
}

/// A key, expanded for use.
pub struct LoadedKey {
    /// The `kid`.
    pub kid: Box<str>,
    /// The algorithm of everything that it signs.
    pub algorithm: SigningAlgorithm,
    /// When it begins to sign.
    pub signs_from: Timestamp,
    /// True if it was revoked: nothing that it signed is accepted.
    pub revoked: bool,
    /// The header segment of its access tokens, with the dot.
    pub(super) header: Box<str>,
    /// Verifies what it signed: Ed25519 strictly, with the key's own table, and P-256 with AWS-LC.
    pub(super) public: signet_verify::PublicKey,
    signer: Signer,
}

/// The private key.
enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A token could not be signed, which no input causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signing failed")]
pub struct SigningError;

/// A key that AWS-LC or dalek refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {kid} is not a usable Ed25519 or P-256 key")]
pub struct UnusableKey {
    /// Its `kid`.
    pub kid: String,
}

impl Keyring {
    /// Loads `ring`. New tokens carry this name of the algorithm.
    pub fn new(ring: &Ring, algorithm: Algorithm) -> Result<Self, UnusableKey> {
        Ok(Self { current: ArcSwap::from_pointee(Keys::new(ring, algorithm)?), algorithm })
    }

    /// The current keys. Cheap; must be called again for each token.
    pub fn keys(&self) -> Guard<Arc<Keys>> {
        self.current.load()
    }

    /// Installs another version of the ring. The caller decides which version is right. An older version than the
    /// installed one comes from a task that was overtaken, and is ignored: it would undo revocations.
    pub fn install(&self, ring: &Ring) -> Result<(), UnusableKey> {
        let is_to_install = |installed: &Keys| ring.version >= installed.ring.version && *ring != installed.ring;
        if !is_to_install(&self.keys()) {
            return Ok(());
        }
        let keys = Arc::new(Keys::new(ring, self.algorithm)?);
        // Loading takes a while, in which another task may have installed a newer version.
        self.current.rcu(|installed| Arc::clone(if is_to_install(installed) { &keys } else { installed }));
        Ok(())
    }
}

impl Keys {
    fn new(ring: &Ring, algorithm: Algorithm) -> Result<Self, UnusableKey> {
        let loaded =
            ring.keys.iter().map(|key| LoadedKey::new(key, algorithm).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let jwks = Arc::new(super::jwks::Jwks::new(&ring.keys, algorithm));
        Ok(Self { ring: ring.clone(), loaded, jwks })
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The key that signs with this algorithm now: see [`Ring::signing_key`].
    pub fn signing_key(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<&Arc<LoadedKey>> {
        self.ring.signing_key(algorithm, now).and_then(|key| self.by_kid(&key.kid))
    }

    /// The key with exactly this `kid`.
    pub fn by_kid(&self, kid: &str) -> Option<&Arc<LoadedKey>> {
        self.loaded.iter().find(|key| *key.kid == *kid)
    }

    /// The key that an access token names.
    pub(super) fn find(&self, token: &UnverifiedToken<'_>) -> Result<&Arc<LoadedKey>, TokenError> {
        token.find_key(&self.loaded)
    }

    /// The public keys in their published form.
    pub fn jwks(&self) -> &Arc<super::jwks::Jwks> {
        &self.jwks
    }
}

impl LoadedKey {
    fn new(key: &Key, algorithm: Algorithm) -> Result<Self, UnusableKey> {
        let (signer, public) = load(key).ok_or_else(|| UnusableKey { kid: key.kid.clone() })?;
        let name = match key.algorithm() {
            SigningAlgorithm::EdDsa => algorithm.name(),
            SigningAlgorithm::Es256 => ES256,
        };
        Ok(Self {
            kid: key.kid.clone().into(),
            algorithm: key.algorithm(),
            signs_from: key.signs_from,
            revoked: key.revoked_at.is_some(),
            header: access_token_header(name, &key.kid),
            public,
            signer,
        })
    }

    /// Signs with AWS-LC, which is faster at Ed25519 than dalek (`benches/tokens.rs`). A signature has 64 bytes: with
    /// P-256 the two numbers r and s (RFC 7518, 3.4), not their DER form.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature, SigningError> {
        self.signer.sign(message)
    }
}

impl HasPublicKey for LoadedKey {
    fn public_key(&self) -> &signet_verify::PublicKey {
        &self.public
    }
}

/// The signer of a key, and the verifier of its signatures. `None` if one of them refuses the key.
fn load(key: &Key) -> Option<(Signer, signet_verify::PublicKey)> {
    let private = key.private.as_slice();
    match &key.public {
        PublicKey::Ed25519(public) => {
            let signer = Ed25519KeyPair::from_seed_and_public_key(private, public).ok()?;
            Some((Signer::Ed25519(signer), signet_verify::PublicKey::ed25519(&key.kid, public)?))
        }
        PublicKey::P256(public) => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let signer = Signer::P256(EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public).ok()?);
            // The first signature of a process gathers randomness for 50 ms, which no request should wait for.
            signer.sign(b"").ok()?;
            let (x, y) = (public[1..33].try_into().ok()?, public[33..].try_into().ok()?);
            Some((signer, signet_verify::PublicKey::es256(&key.kid, &x, &y)?))
        }
    }
}

impl Signer {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningError> {
        match self {
            Self::Ed25519(signer) => Ok(signer.sign(message)),
            // AWS-LC draws the nonce itself, whatever generator it is given.
            Self::P256(signer) => signer.sign(&SystemRandom::new(), message).map_err(|_| SigningError),
        }
    }
}

impl Algorithm {
    /// The name in the header's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

#[cfg(test)]
mod tests;
