//! The serialized ring, which is sealed and stored.
//!
//! Nodes of the previous build read and write it too while a fleet is upgraded. They know only `edition` and `keys`,
//! and take all of `keys` for Ed25519 keys. P-256 keys therefore have a member of their own, which they ignore when they
//! read the record, and leave out when they change it: see
//! [`Ring::restore_dropped_keys_of`](super::ring::Ring::restore_dropped_keys_of). Without P-256 keys the record is what
//! the previous build writes, byte for byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{Key, KeyPair};
use crate::clock::Timestamp;
use crate::config::SigningAlgorithm;

/// The record cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("the keyring's record cannot be parsed")]
pub struct InvalidRecord;

#[derive(Serialize, Deserialize)]
struct RingRecord {
    #[serde(rename = "edition")]
    version: u64,
    keys: Vec<KeyRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    p256_keys: Vec<KeyRecord>,
}

/// A serialized key. The public key and the `kid` follow from the private key.
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    #[serde(rename = "seed")]
    private: Zeroizing<String>,
    announced_at: i64,
    signs_from: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<i64>,
}

/// Serializes a version of the ring.
pub(super) fn write(version: u64, keys: &[Key]) -> Result<Zeroizing<Vec<u8>>, InvalidRecord> {
    let of =
        |algorithm| keys.iter().filter(|key| key.algorithm() == algorithm).map(KeyRecord::from).collect::<Vec<_>>();
    let record = RingRecord { version, keys: of(SigningAlgorithm::EdDsa), p256_keys: of(SigningAlgorithm::Es256) };
    serde_json::to_vec(&record).map(Zeroizing::new).map_err(|_| InvalidRecord)
}

/// Parses a record: the version and the keys, the Ed25519 keys first.
pub(super) fn read(bytes: &[u8]) -> Result<(u64, Vec<Key>), InvalidRecord> {
    let record: RingRecord = serde_json::from_slice(bytes).map_err(|_| InvalidRecord)?;
    let ed25519 = record.keys.into_iter().map(|key| key.read(SigningAlgorithm::EdDsa));
    let p256 = record.p256_keys.into_iter().map(|key| key.read(SigningAlgorithm::Es256));
    Ok((record.version, ed25519.chain(p256).collect::<Result<_, _>>()?))
}

impl From<&Key> for KeyRecord {
    fn from(key: &Key) -> Self {
        Self {
            private: Zeroizing::new(URL_SAFE_NO_PAD.encode(key.private.as_slice())),
            announced_at: key.announced_at.millis(),
            signs_from: key.signs_from.millis(),
            revoked_at: key.revoked_at.map(Timestamp::millis),
        }
    }
}

impl KeyRecord {
    fn read(self, algorithm: SigningAlgorithm) -> Result<Key, InvalidRecord> {
        let mut private = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(self.private.as_bytes(), &mut *private).map_err(|_| InvalidRecord)?;
        if length != private.len() {
            return Err(InvalidRecord);
        }
        let timestamp = Timestamp::from_millis;
        let pair = KeyPair::from_private(algorithm, private).ok_or(InvalidRecord)?;
        let mut key = Key::new(pair, timestamp(self.announced_at), timestamp(self.signs_from));
        key.revoked_at = self.revoked_at.map(timestamp);
        Ok(key)
    }
}
