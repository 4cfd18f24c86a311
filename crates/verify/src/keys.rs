//! Public keys, each with its `kid` and its algorithm.
//!
//! A key has one algorithm, and a token names its key by an exact `kid`: the `alg` of a token never selects how it is
//! verified (RFC 8725, 3.1).

use std::sync::Arc;

use crate::feed::{FRAME_ALGORITHM, FRAME_TYPE};
use crate::header::{access_token_header, header_segment};
use crate::id_hash::IdHash;
use crate::{ed25519, es256};

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037), which tokens call `EdDSA` or, since RFC 9864, `Ed25519`.
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518, 3.4).
    Es256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Es256];

    /// The values of `alg` that mean this algorithm. The first is the usual one.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::EdDsa => &["EdDSA", "Ed25519"],
            Self::Es256 => &["ES256"],
        }
    }
}

/// A public key with its `kid`, prepared to verify many signatures.
pub struct PublicKey {
    kid: Box<str>,
    id_hash: IdHash,
    algorithm: Algorithm,
    /// The header segments, with the dot, that Signet writes for this key's access tokens: such a header is compared
    /// and not parsed.
    headers: Box<[Box<str>]>,
    /// The same of frames of the revocation feed; `None` if the key cannot sign them.
    frame_header: Option<Box<str>>,
    verifier: Verifier,
}

enum Verifier {
    EdDsa(ed25519::Verifier),
    Es256(es256::Verifier),
}

impl PublicKey {
    /// An Ed25519 key. `None` if it is not a usable point.
    pub fn ed25519(kid: &str, public: &[u8; 32]) -> Option<Self> {
        ed25519::Verifier::new(public).map(|verifier| Self::new(kid, Algorithm::EdDsa, Verifier::EdDsa(verifier)))
    }

    /// A P-256 key for ES256. `None` if it is not a point of the curve.
    pub fn es256(kid: &str, x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        es256::Verifier::new(x, y).map(|verifier| Self::new(kid, Algorithm::Es256, Verifier::Es256(verifier)))
    }

    fn new(kid: &str, algorithm: Algorithm, verifier: Verifier) -> Self {
        let headers = algorithm.names().iter().map(|name| access_token_header(name, kid)).collect();
        let signs_frames = algorithm == Algorithm::EdDsa;
        let frame_header = signs_frames.then(|| header_segment(FRAME_ALGORITHM, FRAME_TYPE, kid));
        Self { kid: kid.into(), id_hash: IdHash::of(kid), algorithm, headers, frame_header, verifier }
    }

    /// The `kid`.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The hash of the `kid`, by which the key can be revoked.
    pub fn id_hash(&self) -> IdHash {
        self.id_hash
    }

    /// The algorithm, which belongs to the key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns true if `signature` is a valid signature of `message` by this key.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        match &self.verifier {
            Verifier::EdDsa(verifier) => verifier.verify(message, signature),
            Verifier::Es256(verifier) => verifier.verify(message, signature),
        }
    }

    /// Returns true if this is the Ed25519 key with these bytes.
    pub(crate) fn is_ed25519(&self, public: &[u8; 32]) -> bool {
        matches!(&self.verifier, Verifier::EdDsa(verifier) if verifier.public() == public)
    }

    /// Returns true if this is the P-256 key with these coordinates.
    pub(crate) fn is_es256(&self, x: &[u8; 32], y: &[u8; 32]) -> bool {
        matches!(&self.verifier, Verifier::Es256(verifier) if verifier.has_coordinates(x, y))
    }

    /// Returns true if `header`, a segment with its dot, is one that Signet writes for this key's access tokens.
    pub(crate) fn has_header(&self, header: &str) -> bool {
        self.headers.iter().any(|own| **own == *header)
    }

    /// The same for a frame of the revocation feed.
    pub(crate) fn has_frame_header(&self, header: &str) -> bool {
        self.frame_header.as_deref() == Some(header)
    }
}

/// Something that has a public key: an element of the list in which [`UnverifiedToken::find_key`] searches.
///
/// [`UnverifiedToken::find_key`]: crate::UnverifiedToken::find_key
pub trait HasPublicKey {
    /// Its public key.
    fn public_key(&self) -> &PublicKey;
}

impl HasPublicKey for PublicKey {
    fn public_key(&self) -> &PublicKey {
        self
    }
}

impl<T: HasPublicKey> HasPublicKey for Arc<T> {
    fn public_key(&self) -> &PublicKey {
        self.as_ref().public_key()
    }
}
