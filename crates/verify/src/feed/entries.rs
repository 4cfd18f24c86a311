//! The entries of a frame and their binary form. Integers are big-endian.

use base64::Engine;

use crate::base64_url::BASE64_URL;
use crate::id_hash::IdHash;
use crate::time::UnixTime;

/// A revoked id: a session, a token, a client or a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The hash of the id.
    pub id: IdHash,
    /// When no token that it concerns can be accepted any more. Whole seconds on the wire, rounded up.
    pub until: UnixTime,
}

/// A user whose older tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedBefore {
    /// The hash of the `sub`.
    pub user: IdHash,
    /// Revokes what began up to and including this moment.
    pub before: UnixTime,
    /// When no token that it concerns can be accepted any more. Whole seconds on the wire, rounded up.
    pub until: UnixTime,
}

/// Whole seconds, rounded up, so that no entry is dropped too early.
pub(crate) fn until_secs(until: UnixTime) -> u32 {
    let secs = until.millis().saturating_add(999).div_euclid(1000);
    u32::try_from(secs.max(0)).unwrap_or(u32::MAX)
}

fn until_from_bytes(bytes: &[u8]) -> UnixTime {
    UnixTime::from_secs(bytes.iter().fold(0, |secs, byte| secs << 8 | i64::from(*byte)))
}

impl Revoked {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&self.id.0);
        bytes[12..].copy_from_slice(&until_secs(self.until).to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 16]) -> Self {
        let mut id = IdHash([0; 12]);
        id.0.copy_from_slice(&bytes[..12]);
        Self { id, until: until_from_bytes(&bytes[12..]) }
    }
}

impl RevokedBefore {
    pub(super) fn to_bytes(self) -> [u8; 22] {
        let mut bytes = [0; 22];
        bytes[..12].copy_from_slice(&self.user.0);
        let before = self.before.millis().clamp(0, (1 << 48) - 1);
        bytes[12..18].copy_from_slice(&before.to_be_bytes()[2..]);
        bytes[18..].copy_from_slice(&until_secs(self.until).to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 22]) -> Self {
        let mut user = IdHash([0; 12]);
        user.0.copy_from_slice(&bytes[..12]);
        let before = bytes[12..18].iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte));
        Self { user, before: UnixTime::from_millis(before), until: until_from_bytes(&bytes[18..]) }
    }
}

pub(super) fn encode<T: Copy, const N: usize>(entries: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> String {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| to_bytes(*entry)).collect();
    BASE64_URL.encode(bytes)
}

/// `None` if the text is not base64url, or its length is not that of whole records.
pub(super) fn decode<T, const N: usize>(text: &str, from_bytes: impl Fn(&[u8; N]) -> T) -> Option<Vec<T>> {
    let bytes = BASE64_URL.decode(text).ok()?;
    let (records, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| records.iter().map(from_bytes).collect())
}
