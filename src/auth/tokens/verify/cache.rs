//! Access tokens that were found good before, text for text, for all workers to look up at once. Knows nothing of whether
//! one is still good: who finds it asks again.
//!
//! A hit costs one lock that is nearly always free, one look-up by eight bytes and one comparison of texts. A token is looked up
//! by the end of its signature, which is as good as random, mixed with numbers that nobody outside knows. Only tokens that
//! were found good get in here, so nobody can fill a place with texts of their choice.
//!
//! Whatever has not been asked for since the last round goes first, and what is over before all else.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::Timestamp;
use crate::rng::Rng;
use crate::token::access::Verified;

/// Enough that two workers seldom want the same one.
const SHARDS: usize = 64;

/// Below so many places a shard, chance would leave some full and others empty.
const LEAST_ROOM: usize = 64;

/// So many that were asked for are passed over for one that comes in, at most: the others wait meanwhile.
const MOST_LOOKS: usize = 64;

/// Tokens that were found good.
pub(super) struct Good {
    secret: [u64; 2],
    shards: Box<[RwLock<Shard>]>,
}

/// On a cache line of its own, so that two cores do not fight for two locks.
#[repr(align(64))]
struct Shard {
    room: usize,
    places: HashMap<u64, usize, BuildHasherDefault<AsItIs>>,
    entries: Vec<Entry>,
    /// Where the next one is looked for that can go.
    hand: usize,
}

struct Entry {
    mark: u64,
    token: Box<str>,
    verified: Arc<Verified>,
    asked_for: AtomicBool,
}

impl Good {
    /// Room for so many; none is a cache that remembers nothing.
    pub(super) fn new(room: u64, rng: &Rng) -> Self {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let shards = if room < SHARDS * LEAST_ROOM { 1 } else { SHARDS };
        let shard = || Shard { room: room / shards, places: HashMap::default(), entries: Vec::new(), hand: 0 };
        Self {
            secret: [u64::from_le_bytes(rng.bytes()), u64::from_le_bytes(rng.bytes())],
            shards: (0..shards).map(|_| RwLock::new(shard())).collect(),
        }
    }

    /// What was found of exactly this token.
    pub(super) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        let mark = self.mark(token)?;
        let shard = self.shard(mark).read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.entries.get(*shard.places.get(&mark)?)?;
        if *entry.token != *token {
            return None;
        }
        // Written once a round and not at each hit, so that cores that ask for the same token need not pass the line on.
        if !entry.asked_for.load(Ordering::Relaxed) {
            entry.asked_for.store(true, Ordering::Relaxed);
        }
        Some(entry.verified.clone())
    }

    /// Remembers a token that was found good.
    pub(super) fn insert(&self, token: &str, verified: &Arc<Verified>, now: Timestamp) {
        let Some(mark) = self.mark(token) else { return };
        let entry = Entry { mark, token: token.into(), verified: verified.clone(), asked_for: AtomicBool::new(false) };
        let left = self.shard(mark).write().unwrap_or_else(PoisonError::into_inner).put(entry, now);
        drop(left);
    }

    /// What a token is looked up by; nothing that is too short to be signed has one.
    fn mark(&self, token: &str) -> Option<u64> {
        let (ends, _) = token.as_bytes().last_chunk::<16>()?.as_chunks::<8>();
        let [one, other] = [0, 1].map(|at| u128::from(u64::from_le_bytes(ends[at]) ^ self.secret[at]));
        let product = one * other;
        Some(product as u64 ^ (product >> 64) as u64)
    }

    fn shard(&self, mark: u64) -> &RwLock<Shard> {
        // The maps go by the lowest and the highest bits.
        &self.shards[(mark >> 32) as usize % self.shards.len()]
    }
}

impl Shard {
    /// Puts an entry in, and gives back what had to go, to be freed when nobody waits any more.
    fn put(&mut self, entry: Entry, now: Timestamp) -> Option<Entry> {
        if let Some(&at) = self.places.get(&entry.mark) {
            return Some(std::mem::replace(&mut self.entries[at], entry));
        }
        if self.entries.len() < self.room {
            self.places.insert(entry.mark, self.entries.len());
            self.entries.push(entry);
            return None;
        }
        let at = self.next_to_go(now)?;
        self.places.remove(&self.entries[at].mark);
        self.places.insert(entry.mark, at);
        Some(std::mem::replace(&mut self.entries[at], entry))
    }

    fn next_to_go(&mut self, now: Timestamp) -> Option<usize> {
        for _ in 0..MOST_LOOKS {
            let entry = self.entries.get_mut(self.hand)?;
            let spared = std::mem::take(entry.asked_for.get_mut()) && entry.verified.expires_at > now;
            if !spared {
                break;
            }
            self.hand = (self.hand + 1) % self.entries.len();
        }
        let at = self.hand;
        self.hand = (at + 1) % self.entries.len().max(1);
        (at < self.entries.len()).then_some(at)
    }
}

/// Marks are mixed already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }

    /// For completeness: marks are written whole.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Algorithm, Config};
    use crate::id::{TokenId, UserId};
    use crate::token::access::{Issuer, Mint};
    use crate::token::keyring::{Keyring, ring::Ring};

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

    /// Tokens, each as it was signed and as it was found.
    fn tokens(count: usize, lives: impl Fn(usize) -> Duration) -> Vec<(String, Arc<Verified>)> {
        let rng = Rng::system();
        let keyring = Keyring::new(&Ring::first(NOW, &rng), Algorithm::EdDsa).unwrap();
        let keys = keyring.keys();
        let issuer = Issuer::new(&Config::default().tokens);
        let user = UserId::new(NOW, &rng);
        let token = |at| {
            let mint = Mint {
                user,
                session: None,
                api_key: None,
                token: TokenId::new(NOW, &rng),
                issued_at: NOW,
                expires_at: NOW + lives(at),
                profile: "",
            };
            let token = issuer.mint(&mint, keys.signer(NOW).unwrap());
            let verified = Arc::new(issuer.check(&token, &keys, NOW).unwrap());
            (token, verified)
        };
        (0..count).map(token).collect()
    }

    fn cache(room: u64) -> Good {
        Good::new(room, &Rng::system())
    }

    const LONG: Duration = Duration::from_secs(900);

    #[test]
    fn a_token_is_known_by_its_whole_text() {
        let good = cache(10);
        let [(token, verified)] = &tokens(1, |_| LONG)[..] else { panic!("one") };
        good.insert(token, verified, NOW);
        assert!(Arc::ptr_eq(&good.get(token).unwrap(), verified));
        let forged = token.replacen('.', "A.", 1);
        assert_eq!(good.mark(&forged), good.mark(token), "it is found in the same place");
        for other in [forged.as_str(), &token[1..], &token[token.len() - 16..], &token[token.len() - 15..], "", "ä"] {
            assert!(good.get(other).is_none(), "{other}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let tokens = tokens(300, |_| LONG);
        for room in [0, 1, 100, 300] {
            let good = cache(room);
            tokens.iter().for_each(|(token, verified)| good.insert(token, verified, NOW));
            let known = tokens.iter().filter(|(token, _)| good.get(token).is_some()).count();
            assert_eq!(known as u64, room);
        }
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let good = cache(10);
        let tokens = tokens(110, |_| LONG);
        let (favourite, verified) = &tokens[0];
        good.insert(favourite, verified, NOW);
        for (token, verified) in &tokens[1..] {
            assert!(good.get(favourite).is_some());
            good.insert(token, verified, NOW);
        }
        assert!(good.get(favourite).is_some());
    }

    #[test]
    fn what_is_over_goes_first_however_often_it_is_asked_for() {
        let good = cache(10);
        let tokens = tokens(11, |at| if at == 3 { LONG } else { 2 * LONG });
        let later = NOW + LONG;
        for (token, verified) in &tokens[..10] {
            good.insert(token, verified, NOW);
            assert!(good.get(token).is_some());
        }
        good.insert(&tokens[10].0, &tokens[10].1, later);
        let gone: Vec<usize> = (0..11).filter(|at| good.get(&tokens[*at].0).is_none()).collect();
        assert_eq!(gone, [3]);
    }

    #[test]
    fn a_large_cache_is_parted_and_holds_nearly_what_it_may() {
        let room = SHARDS * LEAST_ROOM;
        let good = cache(room as u64);
        assert_eq!(good.shards.len(), SHARDS);
        let tokens = tokens(room, |_| LONG);
        tokens.iter().for_each(|(token, verified)| good.insert(token, verified, NOW));
        let known = tokens.iter().filter(|(token, _)| good.get(token).is_some()).count();
        assert!(known > room * 85 / 100, "{known} of {room}");
    }
}
