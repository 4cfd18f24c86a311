//! The record that a fleet shares: the keys, and the timestamps that determine the state of each.
//!
//! A key is announced, then signs, then only verifies, then is gone. The state is not stored: it follows from the
//! timestamps in the ring and the current time, so every node switches keys at the same instant without communication.
//!
//! For each algorithm in use the ring has a key that signs and a **standby**: a key that is announced already, so that
//! verifiers have it before it signs. If the signing key is revoked, the standby signs at once, and no valid token is
//! refused. Keys of one algorithm never replace those of the other.
//!
//! Changes are made on a copy, which the caller stores by compare-and-set. Knows no store.

use std::time::Duration;

use zeroize::Zeroizing;

pub use super::key::{Key, KeyPair, PublicKey};
pub use super::record::InvalidRecord;
use crate::clock::Timestamp;
use crate::config::SigningAlgorithm;
use crate::rng::Rng;

/// Time after which P-256 keys that no node replaces count as unused. A node that uses them announces the next one at
/// its next look at the keyring, which is seconds later.
const UNUSED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Time for which a revoked key is restored. Every node learns of a revocation within seconds, and no node removes the
/// key as early as this, whatever its settings: two nodes never restore and remove the same key in turns.
const RESTORE_REVOKED: Duration = Duration::from_secs(5 * 60);

/// All keys, in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Increases with each change. Part of the record, so that it continues from its last value when the ring is
    /// written back to an emptied store.
    pub version: u64,
    /// The keys: those for EdDSA, then those for ES256, each in the order in which they were added.
    pub keys: Vec<Key>,
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

/// The settings that determine which keys a ring has, and when each begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct KeyPolicy {
    /// Time for which a key signs.
    pub sign: Duration,
    /// Time for which a key is announced before it signs.
    pub announce: Duration,
    /// Time for which a key verifies after it has stopped signing, by any node's clock.
    pub retain: Duration,
    /// True if an audience has ES256.
    pub es256: bool,
}

impl KeyPolicy {
    /// The algorithms that need a key.
    pub fn algorithms(&self) -> impl Iterator<Item = SigningAlgorithm> + use<> {
        [SigningAlgorithm::EdDsa].into_iter().chain(self.es256.then_some(SigningAlgorithm::Es256))
    }

    fn uses(&self, algorithm: SigningAlgorithm) -> bool {
        self.algorithms().any(|used| used == algorithm)
    }
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
    /// A change to P-256 keys, which nothing would sign with.
    #[error("no audience has the algorithm ES256; add one to [audiences] first")]
    UnusedAlgorithm,
}

impl Ring {
    /// A new ring with one key, which signs immediately, because no verifier can have cached a JWKS without it.
    /// [`advance`](Self::advance) adds the others.
    pub fn generate(now: Timestamp, rng: &Rng) -> Self {
        Self { version: 1, keys: vec![Key::new(KeyPair::generate(SigningAlgorithm::EdDsa, rng), now, now)] }
    }

    /// The key that signs now. If none has begun, the first one to begin: a node whose clock is ahead of this one's has
    /// just generated the ring, and generating another key would not help.
    pub fn signing_key(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<&Key> {
        self.last_started(algorithm, now).or_else(|| self.usable(algorithm).min_by_key(|key| key.signs_from))
    }

    /// The key that began to sign last.
    fn last_started(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<&Key> {
        self.usable(algorithm).filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from)
    }

    /// The key that begins to sign next.
    fn next(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<&Key> {
        self.usable(algorithm).filter(|key| key.signs_from > now).min_by_key(|key| key.signs_from)
    }

    fn usable(&self, algorithm: SigningAlgorithm) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.algorithm() == algorithm && key.revoked_at.is_none())
    }

    /// Returns true if the two appear to be versions of the same fleet's ring.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.iter().any(|other| other.kid == key.kid))
    }

    /// The state of `key`.
    pub fn state(&self, key: &Key, now: Timestamp, policy: &KeyPolicy) -> KeyState {
        if let Some(revoked_at) = key.revoked_at {
            return if revoked_at + policy.retain < now { KeyState::Gone } else { KeyState::Revoked };
        }
        if key.signs_from > now {
            return KeyState::Announced;
        }
        match self.superseded_at(key, now, policy) {
            None => KeyState::Signing,
            Some(at) if at + policy.retain < now => KeyState::Gone,
            Some(_) => KeyState::VerifyOnly,
        }
    }

    /// Until when anything that `key` signed can be accepted, if that is known already.
    pub fn verifies_until(&self, key: &Key, now: Timestamp, policy: &KeyPolicy) -> Option<Timestamp> {
        key.revoked_at.or_else(|| self.superseded_at(key, now, policy).map(|at| at + policy.retain))
    }

    /// When a later key began to sign, or nothing used the algorithm any more.
    fn superseded_at(&self, key: &Key, now: Timestamp, policy: &KeyPolicy) -> Option<Timestamp> {
        let later = self.usable(key.algorithm()).filter(|other| other.signs_from > key.signs_from);
        let began = later.map(|other| other.signs_from).filter(|began| *began <= now).min();
        // Every node whose settings have an audience with ES256 keeps a standby. If this node has none, and none of
        // the others has announced the next key either, there is no such audience any more.
        let is_unused = !policy.uses(key.algorithm()) && self.next(key.algorithm(), now).is_none();
        began.or_else(|| Some(key.signs_from + UNUSED_AFTER).filter(|at| is_unused && *at <= now))
    }

    /// Makes scheduled changes: removes keys that are gone, and adds the signing key and the standby of each algorithm
    /// where they are missing. Returns true if anything changed.
    pub fn advance(&mut self, now: Timestamp, policy: &KeyPolicy, rng: &Rng) -> bool {
        let gone = self.keys.iter().map(|key| self.state(key, now, policy) == KeyState::Gone).collect::<Vec<_>>();
        let mut gone = gone.iter();
        let before = self.keys.len();
        self.keys.retain(|_| !gone.next().copied().unwrap_or(false));
        let removed = self.keys.len() != before;
        let mut added = false;
        for algorithm in policy.algorithms() {
            added |= self.fill(algorithm, now, policy, rng);
        }
        removed || added
    }

    /// Adds a signing key if none can sign, and a standby if no key is announced. The standby signs when the signing
    /// key has signed for long enough, or [`rotate`](Self::rotate) or [`revoke`](Self::revoke) make it sign earlier.
    fn fill(&mut self, algorithm: SigningAlgorithm, now: Timestamp, policy: &KeyPolicy, rng: &Rng) -> bool {
        let signs_from = self.signing_key(algorithm, now).map(|key| key.signs_from);
        if signs_from.is_none() {
            self.add(Key::new(KeyPair::generate(algorithm, rng), now, now));
        }
        let signs_since = signs_from.unwrap_or(now);
        let due = signs_since + policy.sign;
        let is_announced = |key: &Key| key.revoked_at.is_none() && key.signs_from > now;
        let mut announced = self.keys.iter_mut().filter(|key| key.algorithm() == algorithm && is_announced(key));
        match (announced.next(), announced.next()) {
            (None, _) => {
                self.add(Key::new(KeyPair::generate(algorithm, rng), now, due.max(now + policy.announce)));
                true
            }
            // The interval of rotation was shortened since the standby was announced. Never made later, so that nodes
            // with different settings do not undo each other's changes.
            (Some(standby), None) if signs_since <= now => {
                let due = due.max(standby.announced_at + policy.announce).max(now);
                let is_late = standby.signs_from > due;
                standby.signs_from = standby.signs_from.min(due);
                is_late || signs_from.is_none()
            }
            _ => signs_from.is_none(),
        }
    }

    /// Adds a key in its place.
    fn add(&mut self, key: Key) {
        let is_ed25519 = |key: &Key| key.algorithm() == SigningAlgorithm::EdDsa;
        let ed25519_keys = self.keys.iter().filter(|key| is_ed25519(key)).count();
        let at = if is_ed25519(&key) { ed25519_keys } else { self.keys.len() };
        self.keys.insert(at, key);
    }

    /// Lets the next key sign as soon as it has been announced for long enough, and announces another one when it
    /// signs. A standby usually has been, so that it signs now.
    pub fn rotate(
        &mut self,
        algorithm: SigningAlgorithm,
        now: Timestamp,
        policy: &KeyPolicy,
        rng: &Rng,
    ) -> Result<Key, RingError> {
        if !policy.uses(algorithm) {
            return Err(RingError::UnusedAlgorithm);
        }
        self.fill(algorithm, now, policy, rng);
        let kid = self.next(algorithm, now).map(|key| key.kid.clone()).ok_or(RingError::UnknownKey)?;
        let next = self.key_mut(&kid)?;
        next.signs_from = next.signs_from.min((next.announced_at + policy.announce).max(now));
        let next = next.clone();
        self.fill(algorithm, now, policy, rng);
        Ok(next)
    }

    /// Adds an imported key, which signs after it has been announced long enough.
    pub fn import(&mut self, pair: KeyPair, now: Timestamp, policy: &KeyPolicy) -> Result<Key, RingError> {
        let key = Key::new(pair, now, now + policy.announce);
        if !policy.uses(key.algorithm()) {
            return Err(RingError::UnusedAlgorithm);
        }
        if self.keys.iter().any(|other| other.kid == key.kid) {
            return Err(RingError::KnownKey);
        }
        // The standby follows the imported key; it would replace it early otherwise.
        let follows = |other: &Key| other.algorithm() == key.algorithm() && other.signs_from >= key.signs_from;
        for other in self.keys.iter_mut().filter(|other| follows(other)) {
            other.signs_from = other.signs_from.max(key.signs_from + policy.sign);
        }
        self.add(key.clone());
        Ok(key)
    }

    /// Revokes a key: nothing that it signed is accepted any more. If no other key is signing, the one that was
    /// announced first does so immediately: it is the one that most verifiers have. Another standby is announced.
    pub fn revoke(&mut self, kid: &str, now: Timestamp, policy: &KeyPolicy, rng: &Rng) -> Result<(), RingError> {
        let key = self.key_mut(kid)?;
        key.revoked_at.get_or_insert(now);
        let algorithm = key.algorithm();
        if self.last_started(algorithm, now).is_none() {
            let standby = self.usable(algorithm).min_by_key(|key| key.announced_at).map(|key| key.kid.clone());
            if let Some(standby) = standby {
                self.key_mut(&standby)?.signs_from = now;
            }
        }
        if policy.uses(algorithm) {
            self.fill(algorithm, now, policy, rng);
        }
        Ok(())
    }

    fn key_mut(&mut self, kid: &str) -> Result<&mut Key, RingError> {
        self.keys.iter_mut().find(|key| key.kid == kid).ok_or(RingError::UnknownKey)
    }

    /// Revokes every key that another version of the ring has revoked.
    pub fn apply_revocations_of(&mut self, other: &Self, now: Timestamp, policy: &KeyPolicy, rng: &Rng) {
        for revoked in other.keys.iter().filter(|key| key.revoked_at.is_some()) {
            if self.keys.iter().any(|key| key.kid == revoked.kid && key.revoked_at.is_none()) {
                // Cannot fail: the key is in the ring.
                let _ = self.revoke(&revoked.kid, now, policy, rng);
            }
        }
    }

    /// Adds the P-256 keys of another version of the same fleet's ring if this one has none: a node of a build without
    /// ES256 has dropped them when it changed the ring. Not if this one has any: then the others were removed on purpose,
    /// and the other version is an old one, in which a key that was revoked since is still to sign. A key that was just
    /// revoked must stay, so that a node which does not know of the revocation cannot bring it back.
    pub fn restore_dropped_keys_of(&mut self, other: &Self, now: Timestamp, policy: &KeyPolicy) {
        let is_p256 = |key: &&Key| key.algorithm() == SigningAlgorithm::Es256;
        if self.keys.iter().any(|key| is_p256(&key)) || !self.shares_a_key_with(other) {
            return;
        }
        for key in other.keys.iter().filter(is_p256) {
            let is_needed = match other.state(key, now, policy) {
                KeyState::Announced | KeyState::Signing => true,
                KeyState::Revoked => key.revoked_at.is_some_and(|at| now.since(at) < RESTORE_REVOKED),
                KeyState::VerifyOnly | KeyState::Gone => false,
            };
            if is_needed {
                self.add(key.clone());
            }
        }
    }

    /// Serializes the ring into the record that is sealed.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, InvalidRecord> {
        super::record::write(self.version, &self.keys)
    }

    /// Parses a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        super::record::read(bytes).map(|(version, keys)| Self { version, keys })
    }
}

#[cfg(test)]
mod tests;
