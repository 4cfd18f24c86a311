//! A signing key: the two halves of the key pair, its id, and the timestamps that determine its state.
//!
//! Knows nothing of other keys.

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::config::SigningAlgorithm;
use crate::encoding::short_sha256;
use crate::rng::Rng;

/// Bytes of a public P-256 key: 4, x and y (SEC 1, 2.3.3).
pub const P256_PUBLIC: usize = 65;

/// The name in the header's `alg` of tokens signed with P-256 (RFC 7518, 3.1).
pub const ES256: &str = "ES256";

/// A key pair and its timestamps. Its Debug form does not show the private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The key id: the beginning of the SHA-256 of the public key, so that an imported key has the same id everywhere.
    pub kid: String,
    /// The private key: the seed of an Ed25519 key, or the scalar of a P-256 key.
    pub private: Zeroizing<[u8; 32]>,
    /// The public key.
    pub public: PublicKey,
    /// When it was added to the JWKS.
    pub announced_at: Timestamp,
    /// When it begins to sign; it stops when a later key of the same algorithm begins.
    pub signs_from: Timestamp,
    /// When it was revoked: nothing that it signed is accepted from then on.
    pub revoked_at: Option<Timestamp>,
}

/// A public key. Its kind determines the algorithm of everything that the key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519, for EdDSA.
    Ed25519([u8; 32]),
    /// P-256, for ES256: the uncompressed point.
    P256([u8; P256_PUBLIC]),
}

/// A key pair without timestamps.
#[derive(Clone)]
pub struct KeyPair {
    private: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("signs_from", &self.signs_from).finish_non_exhaustive()
    }
}

impl Key {
    /// A key with these timestamps.
    pub fn new(pair: KeyPair, announced_at: Timestamp, signs_from: Timestamp) -> Self {
        let kid = short_sha256(pair.public.as_bytes(), 12);
        Self { kid, private: pair.private, public: pair.public, announced_at, signs_from, revoked_at: None }
    }

    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.public.algorithm()
    }
}

impl PublicKey {
    /// The algorithm of the key's signatures.
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::Ed25519(_) => SigningAlgorithm::EdDsa,
            Self::P256(_) => SigningAlgorithm::Es256,
        }
    }

    /// The encoded point.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => bytes,
            Self::P256(bytes) => bytes,
        }
    }
}

impl KeyPair {
    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.public.algorithm()
    }

    /// A new key pair.
    pub fn generate(algorithm: SigningAlgorithm, rng: &Rng) -> Self {
        loop {
            // Every seed is an Ed25519 key. One of 2^32 random numbers is not a scalar of P-256: it is drawn again
            // (FIPS 186-5, A.2.2).
            if let Some(pair) = Self::from_private(algorithm, rng.bytes().into()) {
                return pair;
            }
        }
    }

    /// The key pair of this private key. `None` if it is not a private key for this algorithm.
    pub fn from_private(algorithm: SigningAlgorithm, private: Zeroizing<[u8; 32]>) -> Option<Self> {
        let public = match algorithm {
            SigningAlgorithm::EdDsa => PublicKey::Ed25519(SigningKey::from_bytes(&private).verifying_key().to_bytes()),
            SigningAlgorithm::Es256 => {
                let scalar = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, private.as_slice()).ok()?;
                PublicKey::P256(scalar.compute_public_key().ok()?.as_ref().try_into().ok()?)
            }
        };
        Some(Self { private, public })
    }

    /// The P-256 key pair of this private key in PKCS#8.
    pub(super) fn from_p256_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
        let mut private = Zeroizing::new([0; 32]);
        private.copy_from_slice(scalar.as_ref().get(..32)?);
        Self::from_private(SigningAlgorithm::Es256, private)
    }
}
