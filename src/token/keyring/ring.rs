//! The record that a fleet shares: the keys, and the timestamps that determine the state of each.
//!
//! A key is announced, then signs, then only verifies, then is gone. The state is not stored: it follows from the
//! timestamps in the ring and the current time, so every node switches keys at the same instant without communication.
//! Changes are made on a copy, which the caller stores by compare-and-set. Knows no store and no secret but the seeds.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::encoding::short_sha256;
use crate::rng::Rng;

/// All keys, in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Increases with each change. Part of the record, so that it continues from its last value when the ring is
    /// written back to an emptied store.
    pub version: u64,
    /// The keys, in the order in which they were added.
    pub keys: Vec<Key>,
}

/// An Ed25519 key and its timestamps. Its Debug form does not show the seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The key id: the beginning of the SHA-256 of the public key, so that an imported key has the same id everywhere.
    pub kid: String,
    /// The private key.
    pub seed: Zeroizing<[u8; 32]>,
    /// The public key.
    pub public: [u8; 32],
    /// When it was added to the JWKS.
    pub announced_at: Timestamp,
    /// When it begins to sign; it stops when a later key begins.
    pub signs_from: Timestamp,
    /// When it was revoked: nothing that it signed is accepted from then on.
    pub revoked_at: Option<Timestamp>,
}

/// The state of a key at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In the JWKS, not signing yet.
    Announced,
    /// Signing.
    Signing,
    /// Replaced by another key, but not everything that it signed has expired.
    VerifyOnly,
    /// Removed from the JWKS; refused by its `kid` until everything that it signed has expired.
    Revoked,
    /// Not needed any more.
    Gone,
}

/// Lifetimes of keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyLifetimes {
    /// Time for which a key signs.
    pub sign: Duration,
    /// Time for which a key is announced before it signs.
    pub announce: Duration,
    /// Time for which a key verifies after it has stopped signing: the longest lifetime of an access token, the
    /// leeway, and `jwks_max_age`.
    pub retain: Duration,
}

/// Why the ring refuses a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// No key has this `kid`.
    #[error("no key in the ring has this key id")]
    UnknownKey,
    /// The key is in the ring already.
    #[error("the key is in the ring already")]
    KnownKey,
}

/// The record cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("the keyring's record cannot be parsed")]
pub struct InvalidRecord;

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("signs_from", &self.signs_from).finish_non_exhaustive()
    }
}

impl Key {
    fn new(seed: Zeroizing<[u8; 32]>, announced_at: Timestamp, signs_from: Timestamp) -> Self {
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let kid = short_sha256(&public, 12);
        Self { kid, seed, public, announced_at, signs_from, revoked_at: None }
    }
}

impl Ring {
    /// A new ring with one key, which signs immediately, because no verifier can have cached a JWKS without it.
    pub fn generate(now: Timestamp, rng: &Rng) -> Self {
        Self { version: 1, keys: vec![Key::new(rng.bytes().into(), now, now)] }
    }

    /// The key that signs now. If none has begun, the first one to begin: a node whose clock is ahead of this one's has
    /// just generated the ring, and generating another key would not help.
    pub fn signer(&self, now: Timestamp) -> Option<&Key> {
        self.last_started(now).or_else(|| self.usable().min_by_key(|key| key.signs_from))
    }

    /// The key that began to sign last.
    fn last_started(&self, now: Timestamp) -> Option<&Key> {
        self.usable().filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from)
    }

    fn usable(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.revoked_at.is_none())
    }

    /// Returns true if the two appear to be versions of the same fleet's ring.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.iter().any(|other| other.kid == key.kid))
    }

    /// The state of `key`.
    pub fn state(&self, key: &Key, now: Timestamp, lifetimes: &KeyLifetimes) -> KeyState {
        if let Some(revoked_at) = key.revoked_at {
            return if revoked_at + lifetimes.retain < now { KeyState::Gone } else { KeyState::Revoked };
        }
        if key.signs_from > now {
            return KeyState::Announced;
        }
        match self.superseded_at(key, now) {
            None => KeyState::Signing,
            Some(at) if at + lifetimes.retain < now => KeyState::Gone,
            Some(_) => KeyState::VerifyOnly,
        }
    }

    /// Until when anything that `key` signed can be accepted, if that is known already.
    pub fn verifies_until(&self, key: &Key, now: Timestamp, lifetimes: &KeyLifetimes) -> Option<Timestamp> {
        key.revoked_at.or_else(|| self.superseded_at(key, now).map(|at| at + lifetimes.retain))
    }

    /// When a later key began to sign.
    fn superseded_at(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        self.keys
            .iter()
            .filter(|other| other.revoked_at.is_none() && other.signs_from > key.signs_from && other.signs_from <= now)
            .map(|other| other.signs_from)
            .min()
    }

    /// Makes scheduled changes: removes keys that are gone, announces the next key in time, and generates one if
    /// none can sign. Returns whether anything changed.
    pub fn advance(&mut self, now: Timestamp, lifetimes: &KeyLifetimes, rng: &Rng) -> bool {
        let gone = self.keys.iter().map(|key| self.state(key, now, lifetimes) == KeyState::Gone).collect::<Vec<_>>();
        let mut gone = gone.iter();
        let before = self.keys.len();
        self.keys.retain(|_| !gone.next().copied().unwrap_or(false));
        let mut changed = self.keys.len() != before;

        let Some(signer) = self.signer(now) else {
            self.keys.push(Key::new(rng.bytes().into(), now, now));
            return true;
        };
        let next_begins = signer.signs_from + lifetimes.sign;
        if next_begins <= now + lifetimes.announce && self.announced(now).is_none() {
            let signs_from = next_begins.max(now + lifetimes.announce);
            self.keys.push(Key::new(rng.bytes().into(), now, signs_from));
            changed = true;
        }
        changed
    }

    fn announced(&self, now: Timestamp) -> Option<&Key> {
        self.keys.iter().find(|key| key.revoked_at.is_none() && key.signs_from > now)
    }

    /// Announces a new key, or returns the one that is announced already. It signs after it has been announced long
    /// enough.
    pub fn rotate(&mut self, now: Timestamp, lifetimes: &KeyLifetimes, rng: &Rng) -> Key {
        if let Some(announced) = self.announced(now) {
            return announced.clone();
        }
        let key = Key::new(rng.bytes().into(), now, now + lifetimes.announce);
        self.keys.push(key.clone());
        key
    }

    /// Adds an imported key, which signs after it has been announced long enough.
    pub fn import(
        &mut self,
        seed: Zeroizing<[u8; 32]>,
        now: Timestamp,
        lifetimes: &KeyLifetimes,
    ) -> Result<Key, RingError> {
        let key = Key::new(seed, now, now + lifetimes.announce);
        if self.keys.iter().any(|other| other.kid == key.kid) {
            return Err(RingError::KnownKey);
        }
        self.keys.push(key.clone());
        Ok(key)
    }

    /// Revokes a key: nothing that it signed is accepted any more. If no other key can sign, a new one does so
    /// immediately; services that cache the JWKS fetch it when they see its `kid`.
    pub fn revoke(&mut self, kid: &str, now: Timestamp, rng: &Rng) -> Result<(), RingError> {
        let key = self.keys.iter_mut().find(|key| key.kid == kid).ok_or(RingError::UnknownKey)?;
        key.revoked_at.get_or_insert(now);
        if self.last_started(now).is_none() {
            self.keys.push(Key::new(rng.bytes().into(), now, now));
        }
        Ok(())
    }

    /// Revokes every key that another version of the ring has revoked.
    pub fn apply_revocations_of(&mut self, other: &Self, now: Timestamp, rng: &Rng) {
        for revoked in other.keys.iter().filter(|key| key.revoked_at.is_some()) {
            if self.keys.iter().any(|key| key.kid == revoked.kid && key.revoked_at.is_none()) {
                // Cannot fail: the key is in the ring.
                let _ = self.revoke(&revoked.kid, now, rng);
            }
        }
    }

    /// Serializes the ring into the record that is sealed.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, InvalidRecord> {
        let record = RingRecord { version: self.version, keys: self.keys.iter().map(KeyRecord::from).collect() };
        serde_json::to_vec(&record).map(Zeroizing::new).map_err(|_| InvalidRecord)
    }

    /// Parses a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        let record: RingRecord = serde_json::from_slice(bytes).map_err(|_| InvalidRecord)?;
        let keys = record.keys.into_iter().map(Key::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { version: record.version, keys })
    }
}

/// The serialized ring.
#[derive(Serialize, Deserialize)]
struct RingRecord {
    #[serde(rename = "edition")]
    version: u64,
    keys: Vec<KeyRecord>,
}

/// A serialized key. The public key and the `kid` follow from the seed.
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    seed: Zeroizing<String>,
    announced_at: i64,
    signs_from: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<i64>,
}

impl From<&Key> for KeyRecord {
    fn from(key: &Key) -> Self {
        Self {
            seed: Zeroizing::new(URL_SAFE_NO_PAD.encode(key.seed.as_slice())),
            announced_at: key.announced_at.millis(),
            signs_from: key.signs_from.millis(),
            revoked_at: key.revoked_at.map(Timestamp::millis),
        }
    }
}

impl TryFrom<KeyRecord> for Key {
    type Error = InvalidRecord;
    fn try_from(record: KeyRecord) -> Result<Self, InvalidRecord> {
        let mut seed = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(record.seed.as_bytes(), &mut *seed).map_err(|_| InvalidRecord)?;
        if length != seed.len() {
            return Err(InvalidRecord);
        }
        let timestamp = Timestamp::from_millis;
        let mut key = Self::new(seed, timestamp(record.announced_at), timestamp(record.signs_from));
        key.revoked_at = record.revoked_at.map(timestamp);
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
