//! A cache of verified tokens by their exact text. Knows nothing of whether a cached token is still valid: the caller
//! checks each hit again.
//!
//! A hit costs one lock that is nearly always free, one lookup by eight bytes and one comparison of texts, and
//! allocates nothing. A token is looked up by the last bytes of its signature, which are as good as random, mixed with
//! secret numbers. Only valid tokens are inserted, so an attacker cannot fill a slot with texts of their choice.
//!
//! Eviction is by CLOCK (second chance): an entry that was not used since the hand last passed goes first, and an
//! expired one before all others.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::id_hash::Identity;
use crate::time::UnixTime;
use crate::verified::VerifiedToken;

/// So many that two threads seldom need the same one.
const SHARDS: usize = 64;

/// With fewer entries per shard, random distribution would leave some shards full and others empty.
const MIN_SHARD_CAPACITY: usize = 64;

/// The most used entries that one insertion passes over. Readers of the shard wait meanwhile.
const MAX_STEPS: usize = 64;

/// Longer tokens are not cached: tokens issued from an API key are as large as the scopes that its owner gave it, and
/// would make the memory of the cache unpredictable. Others are usually shorter.
pub const MAX_CACHED_LENGTH: usize = 2048;

/// Verified tokens by their exact text.
pub struct TokenCache<T = VerifiedToken> {
    secret: [u64; 2],
    shards: Box<[RwLock<Shard<T>>]>,
}

/// Something that expires.
pub trait Expires {
    /// A point in time.
    type Time: Copy;

    /// Returns true if it has expired at `now`.
    fn has_expired(&self, now: Self::Time) -> bool;
}

impl Expires for VerifiedToken {
    type Time = UnixTime;

    fn has_expired(&self, now: UnixTime) -> bool {
        self.expires_at() <= now
    }
}

/// On a cache line of its own, so that cores which use different locks do not contend for one line.
#[repr(align(64))]
struct Shard<T> {
    capacity: usize,
    slots: HashMap<u64, usize, BuildHasherDefault<Identity>>,
    entries: Vec<Entry<T>>,
    /// The slot at which the search for the next eviction begins.
    hand: usize,
}

struct Entry<T> {
    hash: u64,
    token: Box<str>,
    verified: Arc<T>,
    used: AtomicBool,
}

impl<T: Expires> TokenCache<T> {
    /// A cache of at most `capacity` tokens; with 0 it stores nothing. `secret` must be random.
    pub fn new(capacity: usize, secret: [u64; 2]) -> Self {
        let shards = if capacity < SHARDS * MIN_SHARD_CAPACITY { 1 } else { SHARDS };
        let shard = || Shard { capacity: capacity / shards, slots: HashMap::default(), entries: Vec::new(), hand: 0 };
        Self { secret, shards: (0..shards).map(|_| RwLock::new(shard())).collect() }
    }

    /// The cached result for exactly this token.
    pub fn get(&self, token: &str) -> Option<Arc<T>> {
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

    /// Inserts a valid token, unless it is longer than [`MAX_CACHED_LENGTH`].
    pub fn insert(&self, token: &str, verified: &Arc<T>, now: T::Time) {
        if token.len() > MAX_CACHED_LENGTH {
            return;
        }
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

    fn shard(&self, hash: u64) -> &RwLock<Shard<T>> {
        // By the middle bits: the maps use the lowest and the highest.
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

impl<T: Expires> Shard<T> {
    /// Inserts an entry and returns the evicted one, to be freed after the lock is released.
    fn insert(&mut self, entry: Entry<T>, now: T::Time) -> Option<Entry<T>> {
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

    fn slot_to_evict(&mut self, now: T::Time) -> Option<usize> {
        for _ in 0..MAX_STEPS {
            let entry = self.entries.get_mut(self.hand)?;
            let spared = std::mem::take(entry.used.get_mut()) && !entry.verified.has_expired(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_763_130_320);
    const SECRET: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

    struct Until(UnixTime);

    impl Expires for Until {
        type Time = UnixTime;

        fn has_expired(&self, now: UnixTime) -> bool {
            self.0 <= now
        }
    }

    /// Texts that end as differently as signatures do, and values that expire after `secs(position)`.
    fn tokens(count: usize, secs: impl Fn(usize) -> u64) -> Vec<(String, Arc<Until>)> {
        let token = |at: usize| {
            let random = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let until = NOW + std::time::Duration::from_secs(secs(at));
            (format!("header.payload.{random:016x}{:016x}", random.rotate_left(29)), Arc::new(Until(until)))
        };
        (0..count).map(token).collect()
    }

    fn cache(capacity: usize) -> TokenCache<Until> {
        TokenCache::new(capacity, SECRET)
    }

    #[test]
    fn token_is_found_only_by_its_exact_text() {
        let cache = cache(10);
        let [(token, verified)] = &tokens(1, |_| 900)[..] else { panic!("one") };
        cache.insert(token, verified, NOW);
        assert!(Arc::ptr_eq(&cache.get(token).unwrap(), verified));
        let forged = token.replacen('.', "A.", 1);
        assert_eq!(cache.hash(&forged), cache.hash(token), "both have the same slot");
        for other in [forged.as_str(), &token[1..], &token[token.len() - 16..], &token[token.len() - 15..], "", "ä"] {
            assert!(cache.get(other).is_none(), "{other}");
        }
    }

    #[test]
    fn every_bit_at_the_end_of_a_token_changes_its_hash() {
        let cache = cache(1);
        let hash_of = |end: u128| {
            let hex = end.to_be_bytes().map(|byte| char::from(byte % 128));
            cache.hash(&hex.iter().collect::<String>()).unwrap()
        };
        let end = 0x1234_5678_1234_5678_1234_5678_1234_5678;
        for bit in (0..128).filter(|bit| bit % 8 < 7) {
            assert_ne!(hash_of(end ^ 1 << bit), hash_of(end), "{bit}");
        }
    }

    #[test]
    fn cache_holds_no_more_than_its_capacity() {
        let tokens = tokens(300, |_| 900);
        for capacity in [0, 1, 100, 300] {
            let cache = cache(capacity);
            tokens.iter().for_each(|(token, verified)| cache.insert(token, verified, NOW));
            assert_eq!(tokens.iter().filter(|(token, _)| cache.get(token).is_some()).count(), capacity);
        }
        let long = "x".repeat(MAX_CACHED_LENGTH + 1);
        let cache = cache(1);
        cache.insert(&long, &tokens[0].1, NOW);
        assert!(cache.get(&long).is_none());
    }

    #[test]
    fn used_entry_outlives_unused_ones() {
        let cache = cache(10);
        let tokens = tokens(110, |_| 900);
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
        let tokens = tokens(11, |at| if at == 3 { 900 } else { 1800 });
        for (token, verified) in &tokens[..10] {
            cache.insert(token, verified, NOW);
            assert!(cache.get(token).is_some());
        }
        cache.insert(&tokens[10].0, &tokens[10].1, NOW + std::time::Duration::from_secs(900));
        let gone: Vec<usize> = (0..11).filter(|at| cache.get(&tokens[*at].0).is_none()).collect();
        assert_eq!(gone, [3]);
    }

    #[test]
    fn sharded_cache_holds_nearly_its_capacity() {
        let capacity = SHARDS * MIN_SHARD_CAPACITY;
        let cache = cache(capacity);
        assert_eq!(cache.shards.len(), SHARDS);
        let tokens = tokens(capacity, |_| 900);
        tokens.iter().for_each(|(token, verified)| cache.insert(token, verified, NOW));
        let cached = tokens.iter().filter(|(token, _)| cache.get(token).is_some()).count();
        assert!(cached > capacity * 85 / 100, "{cached} of {capacity}");
    }
}
