//! API keys that were verified before, and when each was last used. Knows nothing of revocations: a hit is checked
//! again by [`super::api_key`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use moka::sync::Cache;

use crate::auth::retention::API_KEY_CACHE_TTL;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};

/// Maximum number of cached keys. A key that does not exist is never inserted.
const CAPACITY: u64 = 100_000;

/// A valid API key and its owner.
#[derive(Clone, Debug)]
pub struct VerifiedApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// The visible prefix.
    pub prefix: String,
    /// The owner, in whose name the key acts.
    pub user: UserId,
    /// The owner's address.
    pub email: String,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When the rows of the key and its owner were read, and later than the owner's last revocation that was known
    /// then.
    pub(in crate::auth) read_at: Timestamp,
}

impl VerifiedApiKey {
    /// Checks that the key has each of `scopes`, which are separated by spaces.
    pub fn allows(&self, scopes: &str) -> bool {
        scopes.split_ascii_whitespace().all(|scope| self.scopes.iter().any(|has| has == scope))
    }
}

/// Verified API keys by digest, and uses that are not written yet.
pub struct ApiKeyCache {
    by_digest: Cache<[u8; 32], Arc<VerifiedApiKey>>,
    last_used: Mutex<HashMap<ApiKeyId, Timestamp>>,
    /// Set while `last_used` has entries.
    any_used: AtomicBool,
}

impl Default for ApiKeyCache {
    fn default() -> Self {
        Self {
            by_digest: Cache::builder().max_capacity(CAPACITY).time_to_live(API_KEY_CACHE_TTL).build(),
            last_used: Mutex::default(),
            any_used: AtomicBool::default(),
        }
    }
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
}
