//! Truncated hashes of ids, as the feed has them. Knows nothing of the feed.

use std::hash::Hasher;

use aws_lc_rs::digest::{SHA256, digest};

/// The first 12 bytes of the SHA-256 of an id, as the token contains it: random ids cannot be found from it, and two
/// different ones do not meet by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdHash(pub [u8; 12]);

impl IdHash {
    /// Hashes an id.
    pub fn of(id: &str) -> Self {
        Self::of_bytes(id.as_bytes())
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let mut hash = [0; 12];
        hash.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..12]);
        Self(hash)
    }
}

/// The bytes are uniform, so eight of them are a hash.
impl std::hash::Hash for IdHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// The keys are hashes already: those of [`IdHash`], and others.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Not used: hashes are written whole.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
}
