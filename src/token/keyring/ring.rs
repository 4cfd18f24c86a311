//! The record that a fleet shares: keys, and the moments that decide what each does.
//!
//! A key is announced, then signs, then only verifies, then is gone. Nothing stores which: it follows from the moments in
//! the ring and the time, so every node changes over at the same instant without a word between them. Changes are
//! made on a copy and written by compare-and-set elsewhere; this file knows no store and no secret but the seeds.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::rng::Rng;

/// All keys of one edition of the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Rises with each change. It stands in the record itself, so that it goes on where it was when a store that was
    /// emptied is given the ring back.
    pub edition: u64,
    /// The keys, in the order in which they came.
    pub keys: Vec<Key>,
}

/// An Ed25519 key and its moments. Its Debug form does not show the seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name: the beginning of the SHA-256 of its public half, so that a key has one name wherever it goes.
    pub kid: String,
    /// The secret half.
    pub seed: Zeroizing<[u8; 32]>,
    /// The public half.
    pub public: [u8; 32],
    /// Since when it stands in the JWKS.
    pub announced_at: Timestamp,
    /// From when it signs, until another does.
    pub signs_from: Timestamp,
    /// Since when nothing it signed is believed.
    pub revoked_at: Option<Timestamp>,
}

/// What a key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the JWKS, signing nothing yet.
    Announced,
    /// Signing.
    Signing,
    /// Another signs; what this one signed has not all expired.
    VerifyOnly,
    /// Out of the JWKS, refused by name until what it signed has expired.
    Revoked,
    /// Of no more use.
    Gone,
}

/// How long keys live.
#[derive(Clone, Copy, Debug)]
pub struct KeyLifetimes {
    /// How long a key signs.
    pub sign: Duration,
    /// How long it is announced before.
    pub announce: Duration,
    /// How long it verifies after: the longest life of anything it signs, and the leeway.
    pub retain: Duration,
}

/// Why a ring cannot be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No key of that name.
    #[error("there is no key of that name in the ring")]
    UnknownKey,
    /// It is there already.
    #[error("that key is in the ring already")]
    KnownKey,
}

/// The ring's bytes do not read.
#[derive(Debug, thiserror::Error)]
#[error("the keyring's record does not read")]
pub struct Unreadable;

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("signs_from", &self.signs_from).finish_non_exhaustive()
    }
}

impl Key {
    fn new(seed: Zeroizing<[u8; 32]>, announced_at: Timestamp, signs_from: Timestamp) -> Self {
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let kid = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &public).as_ref()[..12]);
        Self { kid, seed, public, announced_at, signs_from, revoked_at: None }
    }
}

impl Ring {
    /// A first ring: one key, which signs at once, since there is nobody yet who could have cached a JWKS without it.
    pub fn first(now: Timestamp, rng: &Rng) -> Self {
        Self { edition: 1, keys: vec![Key::new(rng.bytes().into(), now, now)] }
    }

    /// The key that signs now. While none has begun, it is the one that will first: the ring was made a moment ago by a node
    /// whose clock is ahead of this one's, and a key more would help nobody.
    pub fn signer(&self, now: Timestamp) -> Option<&Key> {
        self.begun(now).or_else(|| self.usable().min_by_key(|key| key.signs_from))
    }

    /// Of the keys whose turn has come, the one whose came last.
    fn begun(&self, now: Timestamp) -> Option<&Key> {
        self.usable().filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from)
    }

    fn usable(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.revoked_at.is_none())
    }

    /// Whether the two are editions of one fleet's ring, as far as that can be told.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.iter().any(|other| other.kid == key.kid))
    }

    /// What `key` does now.
    pub fn state(&self, key: &Key, now: Timestamp, lives: &KeyLifetimes) -> State {
        if let Some(revoked_at) = key.revoked_at {
            return if revoked_at + lives.retain < now { State::Gone } else { State::Revoked };
        }
        if key.signs_from > now {
            return State::Announced;
        }
        match self.superseded_at(key, now) {
            None => State::Signing,
            Some(at) if at + lives.retain < now => State::Gone,
            Some(_) => State::VerifyOnly,
        }
    }

    /// Until when what `key` signed can still be believed, once that is known.
    pub fn verifies_until(&self, key: &Key, now: Timestamp, lives: &KeyLifetimes) -> Option<Timestamp> {
        key.revoked_at.or_else(|| self.superseded_at(key, now).map(|at| at + lives.retain))
    }

    /// When another key began to sign in this one's place.
    fn superseded_at(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        self.keys
            .iter()
            .filter(|other| other.revoked_at.is_none() && other.signs_from > key.signs_from && other.signs_from <= now)
            .map(|other| other.signs_from)
            .min()
    }

    /// Does what is due by `now` and says whether anything was: drops keys that are gone, announces the next key in
    /// time for its turn, and makes one at once if none can sign.
    pub fn keep_up(&mut self, now: Timestamp, lives: &KeyLifetimes, rng: &Rng) -> bool {
        let gone = self.keys.iter().map(|key| self.state(key, now, lives) == State::Gone).collect::<Vec<_>>();
        let mut gone = gone.iter();
        let before = self.keys.len();
        self.keys.retain(|_| !gone.next().copied().unwrap_or(false));
        let mut changed = self.keys.len() != before;

        let Some(signer) = self.signer(now) else {
            self.keys.push(Key::new(rng.bytes().into(), now, now));
            return true;
        };
        let turn = signer.signs_from + lives.sign;
        if turn <= now + lives.announce && self.announced(now).is_none() {
            let signs_from = turn.max(now + lives.announce);
            self.keys.push(Key::new(rng.bytes().into(), now, signs_from));
            changed = true;
        }
        changed
    }

    fn announced(&self, now: Timestamp) -> Option<&Key> {
        self.keys.iter().find(|key| key.revoked_at.is_none() && key.signs_from > now)
    }

    /// Announces a new key, or names the one that is announced already. It signs once it has been announced long enough.
    pub fn rotate(&mut self, now: Timestamp, lives: &KeyLifetimes, rng: &Rng) -> Key {
        if let Some(announced) = self.announced(now) {
            return announced.clone();
        }
        let key = Key::new(rng.bytes().into(), now, now + lives.announce);
        self.keys.push(key.clone());
        key
    }

    /// Takes in a key from elsewhere, which signs once it has been announced long enough.
    pub fn import(&mut self, seed: Zeroizing<[u8; 32]>, now: Timestamp, lives: &KeyLifetimes) -> Result<Key, Refused> {
        let key = Key::new(seed, now, now + lives.announce);
        if self.keys.iter().any(|other| other.kid == key.kid) {
            return Err(Refused::KnownKey);
        }
        self.keys.push(key.clone());
        Ok(key)
    }

    /// Lets nothing that a key signed be believed any more. If no other key can sign, a new one does at once: services
    /// that cache the JWKS see it when they meet its name.
    pub fn revoke(&mut self, kid: &str, now: Timestamp, rng: &Rng) -> Result<(), Refused> {
        let key = self.keys.iter_mut().find(|key| key.kid == kid).ok_or(Refused::UnknownKey)?;
        key.revoked_at.get_or_insert(now);
        if self.begun(now).is_none() {
            self.keys.push(Key::new(rng.bytes().into(), now, now));
        }
        Ok(())
    }

    /// Takes over what another edition says is revoked.
    pub fn heed(&mut self, other: &Self, now: Timestamp, rng: &Rng) {
        for revoked in other.keys.iter().filter(|key| key.revoked_at.is_some()) {
            if self.keys.iter().any(|key| key.kid == revoked.kid && key.revoked_at.is_none()) {
                // It is there, as was just seen: revoking it cannot be refused.
                let _ = self.revoke(&revoked.kid, now, rng);
            }
        }
    }

    /// The record, to be sealed.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let written = Written { edition: self.edition, keys: self.keys.iter().map(WrittenKey::from).collect() };
        serde_json::to_vec(&written).map(Zeroizing::new).map_err(|_| Unreadable)
    }

    /// The ring in a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let written: Written = serde_json::from_slice(bytes).map_err(|_| Unreadable)?;
        let keys = written.keys.into_iter().map(Key::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { edition: written.edition, keys })
    }
}

/// The ring as its record writes it.
#[derive(Serialize, Deserialize)]
struct Written {
    edition: u64,
    keys: Vec<WrittenKey>,
}

/// A key as the record writes it; the public half and the name follow from the seed.
#[derive(Serialize, Deserialize)]
struct WrittenKey {
    seed: Zeroizing<String>,
    announced_at: i64,
    signs_from: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<i64>,
}

impl From<&Key> for WrittenKey {
    fn from(key: &Key) -> Self {
        Self {
            seed: Zeroizing::new(URL_SAFE_NO_PAD.encode(key.seed.as_slice())),
            announced_at: key.announced_at.millis(),
            signs_from: key.signs_from.millis(),
            revoked_at: key.revoked_at.map(Timestamp::millis),
        }
    }
}

impl TryFrom<WrittenKey> for Key {
    type Error = Unreadable;
    fn try_from(written: WrittenKey) -> Result<Self, Unreadable> {
        let mut seed = Zeroizing::new([0; 32]);
        let read = URL_SAFE_NO_PAD.decode_slice(written.seed.as_bytes(), &mut *seed).map_err(|_| Unreadable)?;
        if read != seed.len() {
            return Err(Unreadable);
        }
        let moment = Timestamp::from_millis;
        let mut key = Self::new(seed, moment(written.announced_at), moment(written.signs_from));
        key.revoked_at = written.revoked_at.map(moment);
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
