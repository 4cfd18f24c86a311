//! API keys that were verified before, keys that do not exist or are deactivated, and when each key was last used. Knows
//! nothing of revocations: a hit is checked again by [`super::api_key`].

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::auth::retention::API_KEY_CACHE_TTL;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::token::scopes::ScopeSet;

/// Maximum size of the cached keys, by [`size`]: 100,000 with a few scopes, or 10,000 with as many as an owner may give
/// them. A key that does not exist is never inserted.
const MAX_BYTES: u64 = 64 << 20;

/// The bytes that a key takes besides its texts: its fields, its digest, and its place in the cache.
const FIXED_SIZE: usize = 512;

/// Maximum number of remembered keys that do not exist: 64 full batches, some 10 MB.
const UNKNOWN_CAPACITY: u64 = 64 * 1024;

/// Time for which a key that does not exist or is deactivated is not looked up again. A key that is created in the
/// meantime is another one, because 220 of its bits are drawn when it is created: nobody can have presented it before.
/// Short nevertheless, so that a key whose row is restored from a backup works soon.
const UNKNOWN_TTL: Duration = Duration::from_secs(10);

/// The most times of use that are kept because they could not be written, some 5 MB. Those of the last minute come on
/// top.
const MAX_UNWRITTEN: usize = 100_000;

/// A query for up to this many keys needs no permit. A larger batch may have to wait for one.
const FEW_KEYS: usize = 16;

/// The most queries for more keys that run at once. More would take the connections that other requests need.
const MANY_KEYS_QUERIES: usize = 2;

/// A valid API key and its owner.
#[derive(Clone)]
pub struct VerifiedApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// The visible prefix.
    pub prefix: String,
    /// The owner, in whose name the key acts.
    pub user: UserId,
    /// The owner's address.
    pub email: String,
    /// True if the address is verified.
    pub email_verified: bool,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its scopes, without reserved ones that the owner may not grant.
    pub scopes: ScopeSet,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When the rows of the key and its owner were read, and later than the owner's last revocation that was known
    /// then.
    pub(in crate::auth) read_at: Timestamp,
}

/// Verified API keys by digest, digests of keys that do not exist, and uses that are not written yet.
pub struct ApiKeyCache {
    by_digest: Cache<[u8; 32], Arc<VerifiedApiKey>>,
    unknown: Cache<[u8; 32], ()>,
    /// A permit for each query for many keys.
    many_keys_queries: Semaphore,
    last_used: Mutex<HashMap<ApiKeyId, Timestamp>>,
    /// Set while `last_used` has entries.
    any_used: AtomicBool,
}

impl Default for ApiKeyCache {
    fn default() -> Self {
        Self {
            by_digest: Cache::builder()
                .weigher(|_, key: &Arc<VerifiedApiKey>| size(key))
                .max_capacity(MAX_BYTES)
                .time_to_live(API_KEY_CACHE_TTL)
                .build(),
            unknown: Cache::builder().max_capacity(UNKNOWN_CAPACITY).time_to_live(UNKNOWN_TTL).build(),
            many_keys_queries: Semaphore::new(MANY_KEYS_QUERIES),
            last_used: Mutex::default(),
            any_used: AtomicBool::default(),
        }
    }
}

/// The memory that a cached key takes. Owners choose the number and the length of its scopes.
fn size(key: &VerifiedApiKey) -> u32 {
    let scopes = key.scopes.as_str().len() + key.scopes.iter().count() * size_of::<Range<usize>>();
    u32::try_from(FIXED_SIZE + key.email.len() + scopes).unwrap_or(u32::MAX)
}

impl ApiKeyCache {
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<Arc<VerifiedApiKey>> {
        self.by_digest.get(digest)
    }

    pub(super) fn insert(&self, digest: [u8; 32], key: Arc<VerifiedApiKey>) {
        self.by_digest.insert(digest, key);
    }

    pub(super) fn remove(&self, digest: &[u8; 32]) {
        self.by_digest.invalidate(digest);
    }

    /// Returns true if no key that is not deactivated has this digest, as of a moment ago.
    pub(super) fn is_unknown(&self, digest: &[u8; 32]) -> bool {
        self.unknown.contains_key(digest)
    }

    /// Remembers that no key has this digest, or that the key is deactivated. Not for the key of a disabled owner, which
    /// works again as soon as the owner is enabled.
    pub(super) fn insert_unknown(&self, digest: [u8; 32]) {
        self.unknown.insert(digest, ());
    }

    /// Waits until a query for so many keys may run. Its caller keeps the permit, if it needs one, until it ends.
    pub(super) async fn query_permit(&self, keys: usize) -> Option<SemaphorePermit<'_>> {
        match keys {
            ..=FEW_KEYS => None,
            _ => self.many_keys_queries.acquire().await.ok(),
        }
    }

    /// Records a use, in memory.
    pub(super) fn record_use(&self, key: ApiKeyId, now: Timestamp) {
        if let Ok(mut last_used) = self.last_used.lock() {
            let recorded = last_used.entry(key).or_insert(now);
            *recorded = now.max(*recorded);
            self.any_used.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the uses that are not written yet.
    pub(super) fn take_used(&self) -> Vec<(ApiKeyId, Timestamp)> {
        if !self.any_used.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        self.last_used.lock().map(|mut last_used| last_used.drain().collect()).unwrap_or_default()
    }

    /// Keeps uses that could not be written for the next time, beside those recorded since, and returns how many of them
    /// were too many.
    pub(super) fn keep_unwritten(&self, uses: &[(ApiKeyId, Timestamp)]) -> usize {
        let Ok(mut last_used) = self.last_used.lock() else { return uses.len() };
        let mut dropped = 0;
        for (key, used_at) in uses {
            if let Some(recorded) = last_used.get_mut(key) {
                *recorded = (*recorded).max(*used_at);
            } else if last_used.len() < MAX_UNWRITTEN {
                last_used.insert(*key, *used_at);
            } else {
                dropped += 1;
            }
        }
        self.any_used.store(true, Ordering::Relaxed);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn key(scopes: usize) -> Arc<VerifiedApiKey> {
        let scopes: Vec<_> = (0..scopes).map(|number| format!("{number:0>100}")).collect();
        Arc::new(VerifiedApiKey {
            id: ApiKeyId(Uuid::nil()),
            prefix: String::new(),
            user: UserId(Uuid::nil()),
            email: "ada@example.org".to_owned(),
            email_verified: true,
            project: ProjectId(Uuid::nil()),
            scopes: ScopeSet::from_list(&scopes),
            created_at: Timestamp::default(),
            expires_at: None,
            read_at: Timestamp::default(),
        })
    }

    #[test]
    fn cached_keys_are_bounded_by_their_size() {
        let (cache, key) = (ApiKeyCache::default(), key(50));
        for number in 0..20_000_u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&number.to_le_bytes());
            cache.insert(digest, key.clone());
        }
        cache.by_digest.run_pending_tasks();
        let length = cache.by_digest.entry_count();
        assert!((5_000..=MAX_BYTES / 5_800).contains(&length), "{length} keys of {} bytes", size(&key));
    }

    #[test]
    fn a_hundred_thousand_small_keys_fit() {
        assert!(u64::from(size(&key(1))) * 100_000 < MAX_BYTES, "{}", size(&key(1)));
    }

    #[test]
    fn unwritten_uses_are_kept_beside_newer_ones() {
        let cache = ApiKeyCache::default();
        let key = |number: u128| ApiKeyId(Uuid::from_u128(number));
        let [old, new] = [1, 2].map(Timestamp::from_secs);
        cache.record_use(key(1), new);
        assert_eq!(cache.keep_unwritten(&[(key(1), old), (key(2), old)]), 0);
        let mut used = cache.take_used();
        used.sort_unstable();
        assert_eq!(used, [(key(1), new), (key(2), old)]);
        assert!(cache.take_used().is_empty());
    }

    #[test]
    fn unwritten_uses_are_bounded() {
        let cache = ApiKeyCache::default();
        let uses: Vec<_> = (0..MAX_UNWRITTEN as u128 + 5)
            .map(|number| (ApiKeyId(Uuid::from_u128(number)), Timestamp::default()))
            .collect();
        assert_eq!(cache.keep_unwritten(&uses), 5);
        assert_eq!(cache.take_used().len(), MAX_UNWRITTEN);
    }

    #[test]
    fn two_queries_for_many_keys_run_at_once() {
        let cache = ApiKeyCache::default();
        let permit = |keys: usize| cache.query_permit(keys).now_or_never();
        let (first, second) = (permit(17), permit(1024));
        assert!(matches!((&first, &second), (Some(Some(_)), Some(Some(_)))));
        assert!(permit(17).is_none(), "the third waits");
        assert!(matches!(permit(16), Some(None)), "a query for few keys does not");
        drop(first);
        assert!(matches!(permit(17), Some(Some(_))), "the third runs once the first has ended");
    }
}
