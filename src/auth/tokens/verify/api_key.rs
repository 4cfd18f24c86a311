//! Verifying API keys.
//!
//! A key is found by its visible prefix and compared by its SHA-256 in constant time; 160 random bits need no slow
//! hash. A verified key is cached. Each hit checks expiry and revocations again, so the deactivation of a key or of its
//! owner takes effect as soon as this node applies the revocation. If the owner stops being a superuser, the user's
//! revocation makes this node read the rows again, and the key loses its reserved scopes. The time of the last use is
//! recorded in memory and written in batches, never by the request itself.

use std::collections::HashMap;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::api_key_cache::VerifiedApiKey;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::VerifyError;
use crate::auth::reserved_scopes::is_reserved;
use crate::clock::Timestamp;
use crate::store::accounts::{ApiKey, User};
use crate::telemetry::metrics::Counter;
use crate::token::api_key;
use crate::token::scopes::ScopeSet;

/// The most keys whose last use is written in one statement. One for all of them would fail once it takes longer than
/// the store may, and keep other writes of the embedded store waiting.
const MAX_WRITTEN: usize = 1000;

/// Verifies `key`. Costs a query unless the key is in the cache.
pub async fn verify_api_key(ctx: &Context, key: &str) -> Result<Arc<VerifiedApiKey>, Error> {
    let verified = verify_api_keys(ctx, &[key]).await?.pop();
    Ok(verified.unwrap_or(Err(VerifyError::UnknownKey))?)
}

/// Verifies `keys`, each of which occurs once, and returns the results in their order. Costs one query for all that are
/// not in the cache, and none for keys that were looked up a moment ago and do not exist or are deactivated.
pub(super) async fn verify_api_keys(
    ctx: &Context,
    keys: &[&str],
) -> Result<Vec<Result<Arc<VerifiedApiKey>, VerifyError>>, Error> {
    let node = &ctx.node;
    let now = ctx.now();
    let (mut found, mut missing) = (Vec::with_capacity(keys.len()), Vec::new());
    for (at, key) in keys.iter().enumerate() {
        yield_after(at).await;
        let digest = api_key::is_well_formed(key).then(|| api_key::digest(key));
        let known = digest.and_then(|digest| cached(ctx, &digest));
        match digest {
            Some(_) if known.is_some() => node.metrics.count(Counter::ApiKeyHit),
            Some(digest) if node.api_key_cache.is_unknown(&digest) => node.metrics.count(Counter::ApiKeyKnownBad),
            Some(digest) => {
                node.metrics.count(Counter::ApiKeyMiss);
                missing.extend(api_key::prefix(key).map(|prefix| MissingKey { at, prefix, digest }));
            }
            None => {}
        }
        found.push(known);
    }
    if !missing.is_empty() {
        read_keys(ctx, &missing, &mut found, now).await?;
    }
    let result = |key: Option<Arc<VerifiedApiKey>>| {
        let key = key.ok_or(VerifyError::UnknownKey)?;
        if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(VerifyError::ExpiredKey);
        }
        node.api_key_cache.record_use(key.id, now);
        Ok(key)
    };
    Ok(found.into_iter().map(result).collect())
}

/// Yields to other requests of this worker after so many keys: each takes three hashes and two lookups.
async fn yield_after(at: usize) {
    if at % 64 == 63 {
        tokio::task::yield_now().await;
    }
}

/// A well-formed key that is in no cache.
struct MissingKey<'k> {
    /// Its position among the keys to verify.
    at: usize,
    prefix: &'k str,
    digest: [u8; 32],
}

/// Reads the rows of keys in one query, and writes the valid keys to their positions in `found`.
async fn read_keys(
    ctx: &Context,
    keys: &[MissingKey<'_>],
    found: &mut [Option<Arc<VerifiedApiKey>>],
    now: Timestamp,
) -> Result<(), Error> {
    let node = &ctx.node;
    let _permit = node.api_key_cache.query_permit(keys.len()).await;
    let mut prefixes: Vec<&str> = keys.iter().map(|key| key.prefix).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let mut rows = ctx.accounts.api_keys_by_prefix(&prefixes).await?;
    // The rows of an owner whose sessions were revoked a moment ago may have been read before the revocation. The
    // second reading comes after it, so it gets a timestamp that the revocation does not cover, whatever the clocks
    // say.
    let read_after = |owner: &User| node.revocations.first_api_key_read_after(owner.id);
    let recent = rows.iter().map(|(_, owner)| (owner.id, read_after(owner))).filter(|(_, after)| *after > now);
    let recent: HashMap<_, _> = recent.collect();
    if !recent.is_empty() {
        rows = ctx.accounts.api_keys_by_prefix(&prefixes).await?;
    }
    let by_prefix: HashMap<_, _> = rows.iter().map(|row| (row.0.prefix.as_str(), row)).collect();
    for (count, key) in keys.iter().enumerate() {
        yield_after(count).await;
        match by_prefix.get(key.prefix) {
            Some((row, owner)) if row.digest[..].ct_eq(&key.digest[..]).into() => {
                let read_at = recent.get(&owner.id).copied().unwrap_or_default().max(node.issue_time(now));
                if let Some(verified) = check_row(row, owner, read_at).map(Arc::new) {
                    node.api_key_cache.insert(key.digest, verified.clone());
                    found[key.at] = Some(verified);
                } else if row.deactivated_at.is_some() {
                    // No call activates it again, so repeating it must not cost a query each time.
                    node.api_key_cache.insert_unknown(key.digest);
                }
            }
            _ => node.api_key_cache.insert_unknown(key.digest),
        }
    }
    Ok(())
}

/// Writes when keys were last used. Called every minute, and at shutdown. What cannot be written is kept for the next
/// call.
pub async fn flush_api_key_usage(ctx: &Context) {
    let used = ctx.node.api_key_cache.take_used();
    let mut unwritten = &used[..];
    while !unwritten.is_empty() {
        let (part, rest) = unwritten.split_at(unwritten.len().min(MAX_WRITTEN));
        if let Err(error) = ctx.accounts.touch_api_keys(part).await {
            let (keys, dropped) = (unwritten.len(), ctx.node.api_key_cache.keep_unwritten(unwritten));
            tracing::warn!(%error, keys, dropped, "last use of API keys not written");
            return;
        }
        unwritten = rest;
    }
}

/// The cached key, unless it is revoked. A node that is stale and configured to refuse reads the row again.
fn cached(ctx: &Context, digest: &[u8; 32]) -> Option<Arc<VerifiedApiKey>> {
    let node = &ctx.node;
    let key = node.api_key_cache.get(digest)?;
    let usable = !node.must_refuse_as_stale() && !node.revocations.must_reread_api_key(key.id, key.user, key.read_at);
    if !usable {
        node.api_key_cache.remove(digest);
    }
    usable.then_some(key)
}

fn check_row(row: &ApiKey, owner: &User, read_at: Timestamp) -> Option<VerifiedApiKey> {
    (row.deactivated_at.is_none() && !owner.disabled).then(|| VerifiedApiKey {
        id: row.id,
        prefix: row.prefix.clone(),
        user: owner.id,
        email: owner.email.clone(),
        email_verified: owner.verified,
        project: row.project,
        scopes: ScopeSet::from_list(row.scopes.iter().filter(|scope| owner.superuser || !is_reserved(scope))),
        created_at: row.created_at,
        expires_at: row.expires_at,
        read_at,
    })
}
