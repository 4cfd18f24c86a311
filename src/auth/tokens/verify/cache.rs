//! Caches of verified access tokens and of tokens with a bad signature, shared by all workers. The caller checks on
//! each hit that the token is still valid.

use moka::sync::Cache;

use crate::config;
use crate::rng::Rng;
use crate::token::access::VerifiedToken;
use crate::token::cache::TokenCache;

/// Verified tokens, and tokens with a bad signature.
pub struct VerifyCache {
    pub(super) tokens: TokenCache<VerifiedToken>,
    pub(super) negative: Cache<Box<str>, ()>,
}

impl VerifyCache {
    /// Empty caches of the configured sizes.
    pub fn new(settings: &config::Verify, rng: &Rng) -> Self {
        let capacity = usize::try_from(settings.cache).unwrap_or(usize::MAX);
        let secret = [u64::from_le_bytes(rng.bytes()), u64::from_le_bytes(rng.bytes())];
        Self { tokens: TokenCache::new(capacity, secret), negative: Cache::new(settings.negative_cache) }
    }
}
