//! Caches of verified access tokens and of tokens with a bad signature, shared by all workers. Knows nothing of whether
//! a cached token is still valid: a hit is checked again by the caller.
//!
//! A hit costs one lock that is nearly always free, one lookup by eight bytes and one comparison of texts. A token is
//! looked up by the last bytes of its signature, which are as good as random, mixed with secret numbers. Only valid
//! tokens are inserted, so an attacker cannot fill a slot with texts of their choice.
//!
//! Eviction is by CLOCK (second chance): an entry that was not used since the hand last passed goes first, and an
//! expired one before all others.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::config;
use crate::rng::Rng;
use crate::token::access::VerifiedToken;

/// So many that two workers seldom need the same one.
const SHARDS: usize = 64;

/// With fewer entries per shard, random distribution would leave some shards full and others empty.
const MIN_SHARD_CAPACITY: usize = 64;

/// At most so many used entries are spared for one insertion, during which readers wait.
const MAX_STEPS: usize = 64;

/// Verified tokens, and tokens with a bad signature.
pub struct VerifyCache {
    pub(super) tokens: TokenCache,
    pub(super) negative: Cache<Box<str>, ()>,
}

impl VerifyCache {
    /// Empty caches of the configured sizes.
    pub fn new(settings: &config::Verify, rng: &Rng) -> Self {
        Self { tokens: TokenCache::new(settings.cache, rng), negative: Cache::new(settings.negative_cache) }
    }
}

/// Verified tokens by their exact text.
pub(super) struct TokenCache {
    secret: [u64; 2],
    shards: Box<[RwLock<Shard>]>,
}

/// On a cache line of its own, so that cores which use different locks do not contend for one line.
#[repr(align(64))]
struct Shard {
    capacity: usize,
    slots: HashMap<u64, usize, BuildHasherDefault<Identity>>,
    entries: Vec<Entry>,
    /// The slot at which the search for the next eviction begins.
    hand: usize,
}

struct Entry {
    hash: u64,
    token: Box<str>,
    verified: Arc<VerifiedToken>,
    used: AtomicBool,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens; with 0 it stores nothing.
    pub(super) fn new(capacity: u64, rng: &Rng) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let shards = if capacity < SHARDS * MIN_SHARD_CAPACITY { 1 } else { SHARDS };
        let shard = || Shard { capacity: capacity / shards, slots: HashMap::default(), entries: Vec::new(), hand: 0 };
        Self {
            secret: [u64::from_le_bytes(rng.bytes()), u64::from_le_bytes(rng.bytes())],
            shards: (0..shards).map(|_| RwLock::new(shard())).collect(),
        }
    }

    /// The cached result for exactly this token.
    pub(super) fn get(&self, token: &str) -> Option<Arc<VerifiedToken>> {
        let hash = self.hash(token)?;
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.entries.get(*shard.slots.get(&hash)?)?;
        if *entry.token != *token {
            return None;
        }
        // Written once per round of the hand and not at each hit, so that cores which read the same entry can share its
        // cache line.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry.verified.clone())
    }

    /// Inserts a valid token.
    pub(super) fn insert(&self, token: &str, verified: &Arc<VerifiedToken>, now: Timestamp) {
        let Some(hash) = self.hash(token) else { return };
        let entry = Entry { hash, token: token.into(), verified: verified.clone(), used: AtomicBool::new(false) };
        let evicted = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner).insert(entry, now);
        drop(evicted);
    }

    /// A keyed hash of the token's last 16 bytes; `None` for a text that is too short for a signature.
    fn hash(&self, token: &str) -> Option<u64> {
        let (words, _) = token.as_bytes().last_chunk::<16>()?.as_chunks::<8>();
        let [one, other] = [0, 1].map(|at| u128::from(u64::from_le_bytes(words[at]) ^ self.secret[at]));
        let product = one * other;
        Some(product as u64 ^ (product >> 64) as u64)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // By the middle bits: the maps use the lowest and the highest.
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

impl Shard {
    /// Inserts an entry and returns the evicted one, to be freed after the lock is released.
    fn insert(&mut self, entry: Entry, now: Timestamp) -> Option<Entry> {
        if let Some(&slot) = self.slots.get(&entry.hash) {
            return Some(std::mem::replace(&mut self.entries[slot], entry));
        }
        if self.entries.len() < self.capacity {
            self.slots.insert(entry.hash, self.entries.len());
            self.entries.push(entry);
            return None;
        }
        let slot = self.slot_to_evict(now)?;
        self.slots.remove(&self.entries[slot].hash);
        self.slots.insert(entry.hash, slot);
        Some(std::mem::replace(&mut self.entries[slot], entry))
    }

    fn slot_to_evict(&mut self, now: Timestamp) -> Option<usize> {
        for _ in 0..MAX_STEPS {
            let entry = self.entries.get_mut(self.hand)?;
            let spared = std::mem::take(entry.used.get_mut()) && entry.verified.expires_at > now;
            if !spared {
                break;
            }
            self.hand = (self.hand + 1) % self.entries.len();
        }
        let slot = self.hand;
        self.hand = (slot + 1) % self.entries.len().max(1);
        (slot < self.entries.len()).then_some(slot)
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct Identity(u64);

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Algorithm, Config, SigningAlgorithm};
    use crate::id::{TokenId, UserId};
    use crate::token::access::{Issuer, NewAccessToken};
    use crate::token::keyring::{Keyring, ring::Ring};

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

    /// Tokens and their results.
    fn tokens(count: usize, lifetime: impl Fn(usize) -> Duration) -> Vec<(String, Arc<VerifiedToken>)> {
        let rng = Rng::system();
        let keyring = Keyring::new(&Ring::generate(NOW, &rng), Algorithm::EdDsa).unwrap();
        let keys = keyring.keys();
        let issuer = Issuer::new(&Config::default().tokens);
        let user = UserId::new(NOW, &rng);
        let token = |at| {
            let new = NewAccessToken {
                user,
                audience: None,
                session: None,
                api_key: None,
                auth_time: None,
                token_id: TokenId::new(NOW, &rng),
                issued_at: NOW,
                expires_at: NOW + lifetime(at),
                extra_claims: "",
            };
            let token = issuer.mint(&new, keys.signer(SigningAlgorithm::EdDsa, NOW).unwrap()).unwrap();
            let verified = Arc::new(issuer.check(&token, &keys, NOW).unwrap());
            (token, verified)
        };
        (0..count).map(token).collect()
    }

    fn cache(capacity: u64) -> TokenCache {
        TokenCache::new(capacity, &Rng::system())
    }

    const LONG: Duration = Duration::from_secs(900);

    #[test]
    fn token_is_found_only_by_its_exact_text() {
        let cache = cache(10);
        let [(token, verified)] = &tokens(1, |_| LONG)[..] else { panic!("one") };
        cache.insert(token, verified, NOW);
        assert!(Arc::ptr_eq(&cache.get(token).unwrap(), verified));
        let forged = token.replacen('.', "A.", 1);
        assert_eq!(cache.hash(&forged), cache.hash(token), "both have the same slot");
        for other in [forged.as_str(), &token[1..], &token[token.len() - 16..], &token[token.len() - 15..], "", "ä"] {
            assert!(cache.get(other).is_none(), "{other}");
        }
    }

    #[test]
    fn cache_holds_no_more_than_its_capacity() {
        let tokens = tokens(300, |_| LONG);
        for capacity in [0, 1, 100, 300] {
            let cache = cache(capacity);
            tokens.iter().for_each(|(token, verified)| cache.insert(token, verified, NOW));
            let cached = tokens.iter().filter(|(token, _)| cache.get(token).is_some()).count();
            assert_eq!(cached as u64, capacity);
        }
    }

    #[test]
    fn used_entry_outlives_unused_ones() {
        let cache = cache(10);
        let tokens = tokens(110, |_| LONG);
        let (favourite, verified) = &tokens[0];
        cache.insert(favourite, verified, NOW);
        for (token, verified) in &tokens[1..] {
            assert!(cache.get(favourite).is_some());
            cache.insert(token, verified, NOW);
        }
        assert!(cache.get(favourite).is_some());
    }

    #[test]
    fn expired_entry_is_evicted_first() {
        let cache = cache(10);
        let tokens = tokens(11, |at| if at == 3 { LONG } else { 2 * LONG });
        let later = NOW + LONG;
        for (token, verified) in &tokens[..10] {
            cache.insert(token, verified, NOW);
            assert!(cache.get(token).is_some());
        }
        cache.insert(&tokens[10].0, &tokens[10].1, later);
        let gone: Vec<usize> = (0..11).filter(|at| cache.get(&tokens[*at].0).is_none()).collect();
        assert_eq!(gone, [3]);
    }

    #[test]
    fn sharded_cache_holds_nearly_its_capacity() {
        let capacity = SHARDS * MIN_SHARD_CAPACITY;
        let cache = cache(capacity as u64);
        assert_eq!(cache.shards.len(), SHARDS);
        let tokens = tokens(capacity, |_| LONG);
        tokens.iter().for_each(|(token, verified)| cache.insert(token, verified, NOW));
        let cached = tokens.iter().filter(|(token, _)| cache.get(token).is_some()).count();
        assert!(cached > capacity * 85 / 100, "{cached} of {capacity}");
    }
}
