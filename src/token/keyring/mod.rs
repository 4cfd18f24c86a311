//! The keyring: the keys that sign and verify at a given time.
//!
//! [`ring::Ring`] is the record that a fleet shares: keys and timestamps, changed by compare-and-set. [`Keyring`] is a
//! node's form of it: the ring expanded once into signers, verifiers, header segments and the JWKS. It is replaced as a
//! whole when the ring changes, and read without a lock. Knows nothing of where the ring is stored.

pub mod pem;
pub mod ring;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::signature::Ed25519KeyPair;
use signet_verify::header::access_token_header;
use signet_verify::keys::HasPublicKey;
use signet_verify::{PublicKey, TokenError, UnverifiedToken};

use crate::clock::Timestamp;
use crate::config::Algorithm;
use ring::{Key, Ring};

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
    /// When it begins to sign.
    pub signs_from: Timestamp,
    /// True if it was revoked: nothing that it signed is accepted.
    pub revoked: bool,
    /// The header segment of its access tokens, with the dot.
    pub(super) header: Box<str>,
    /// Verifies what it signed.
    pub(super) public: PublicKey,
    signer: Ed25519KeyPair,
}

/// A key that AWS-LC or dalek refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {kid} is not a usable Ed25519 key")]
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
        let installed = self.keys();
        if ring.version >= installed.ring.version && *ring != installed.ring {
            self.current.store(Arc::new(Keys::new(ring, self.algorithm)?));
        }
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

    /// The key that signs now: see [`Ring::signer`].
    pub fn signer(&self, now: Timestamp) -> Option<&Arc<LoadedKey>> {
        self.ring.signer(now).and_then(|key| self.by_kid(&key.kid))
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
        let unusable = || UnusableKey { kid: key.kid.clone() };
        let signer =
            Ed25519KeyPair::from_seed_and_public_key(key.seed.as_slice(), &key.public).map_err(|_| unusable())?;
        Ok(Self {
            kid: key.kid.clone().into(),
            signs_from: key.signs_from,
            revoked: key.revoked_at.is_some(),
            header: access_token_header(algorithm.name(), &key.kid),
            public: PublicKey::ed25519(&key.kid, &key.public).ok_or_else(unusable)?,
            signer,
        })
    }

    /// Signs with AWS-LC, which is faster at it than dalek (`benches/tokens.rs`).
    pub(super) fn sign(&self, message: &[u8]) -> aws_lc_rs::signature::Signature {
        self.signer.sign(message)
    }
}

impl HasPublicKey for LoadedKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
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
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn older_version_is_not_installed() {
        let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
        let old = Ring::generate(now, &rng);
        let mut new = Ring { version: 2, ..old.clone() };
        new.revoke(&old.keys[0].kid, now, &rng).unwrap();
        let keyring = Keyring::new(&new, Algorithm::EdDsa).unwrap();
        keyring.install(&old).unwrap();
        assert_eq!(keyring.keys().ring(), &new);
    }

    /// RFC 8037, A.1, A.2, A.4 and A.5: the key, its published form, and a signature, byte for byte.
    #[test]
    fn example_of_rfc_8037_holds() {
        const MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        const SIGNATURE: &str =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let mut seed = [0; 32];
        URL_SAFE_NO_PAD.decode_slice("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", &mut seed).unwrap();
        let lifetimes = ring::KeyLifetimes { sign: Duration::ZERO, announce: Duration::ZERO, retain: Duration::ZERO };
        let mut ring = Ring::default();
        ring.import(seed.into(), Timestamp::from_secs(1), &lifetimes).unwrap();
        let keyring = Keyring::new(&ring, Algorithm::EdDsa).unwrap();
        let keys = keyring.keys();
        let published = std::str::from_utf8(&keys.jwks().body).unwrap();
        assert!(published.contains(r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#), "{published}");
        let key = keys.by_kid(&ring.keys[0].kid).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(key.sign(MESSAGE.as_bytes())), SIGNATURE);
        let mut signature = [0; 64];
        URL_SAFE_NO_PAD.decode_slice(SIGNATURE, &mut signature).unwrap();
        assert!(key.public.verify(MESSAGE.as_bytes(), &signature));
    }
}
