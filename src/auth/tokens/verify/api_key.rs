//! Verifying API keys.
//!
//! A key is found by its visible prefix and compared by its SHA-256 in constant time; 160 random bits need no slow
//! hash. A verified key is cached for a minute. Each hit checks expiry and revocations again, so the deactivation of a
//! key or of its owner takes effect as soon as this node applies the revocation. When keys were last used is recorded
//! in memory and written in batches, never by the request itself.

use std::collections::HashMap;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::api_key_cache::VerifiedApiKey;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::VerifyError;
use crate::clock::Timestamp;
use crate::store::accounts::{ApiKey, User};
use crate::token::api_key;

/// Verifies `key`. Costs a query unless the key is in the cache.
pub async fn verify_api_key(ctx: &Context, key: &str) -> Result<Arc<VerifiedApiKey>, Error> {
    let verified = verify_api_keys(ctx, &[key]).await?.pop();
    Ok(verified.unwrap_or(Err(VerifyError::UnknownKey))?)
}

/// Verifies `keys` and returns the results in their order. Costs one query for all that are not in the cache.
pub(super) async fn verify_api_keys(
    ctx: &Context,
    keys: &[&str],
) -> Result<Vec<Result<Arc<VerifiedApiKey>, VerifyError>>, Error> {
    let node = &ctx.node;
    let now = ctx.now();
    let digests: Vec<_> = keys.iter().map(|key| api_key::is_well_formed(key).then(|| api_key::digest(key))).collect();
    let mut found: Vec<_> = digests.iter().map(|digest| digest.as_ref().and_then(|it| cached(ctx, it))).collect();
    let each = || keys.iter().zip(&digests);
    let missing = each().zip(&found).filter(|((_, digest), key)| digest.is_some() && key.is_none());
    let prefixes: Vec<_> = missing.filter_map(|((key, _), _)| api_key::prefix(key)).collect();
    if !prefixes.is_empty() {
        let mut rows = ctx.accounts.api_keys_by_prefix(&prefixes).await?;
        // The rows of an owner whose sessions were revoked a moment ago may have been read before that. The second
        // reading is later than the revocation, so that the revocation does not cover it, by whatever clock it was
        // made.
        let read_after = |owner: &User| node.revocations.first_api_key_read_after(owner.id);
        let recent = rows.iter().map(|(_, owner)| (owner.id, read_after(owner))).filter(|(_, after)| *after > now);
        let recent: HashMap<_, _> = recent.collect();
        if !recent.is_empty() {
            rows = ctx.accounts.api_keys_by_prefix(&prefixes).await?;
        }
        let by_prefix: HashMap<_, _> = rows.iter().map(|row| (row.0.prefix.as_str(), row)).collect();
        for ((key, digest), found) in each().zip(&mut found) {
            let row = api_key::prefix(key).and_then(|prefix| by_prefix.get(prefix));
            if let (None, Some(digest), Some((row, owner))) = (&found, digest, row) {
                let read_at = recent.get(&owner.id).copied().unwrap_or_default().max(node.issue_time(now));
                *found = check_row(row, owner, digest, read_at).map(Arc::new);
                if let Some(key) = found {
                    node.api_key_cache.insert(*digest, key.clone());
                }
            }
        }
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

/// Writes when keys were last used. Called every minute, and at shutdown.
pub async fn flush_api_key_usage(ctx: &Context) {
    let used = ctx.node.api_key_cache.take_used();
    if used.is_empty() {
        return;
    }
    if let Err(error) = ctx.accounts.touch_api_keys(&used).await {
        tracing::warn!(%error, keys = used.len(), "last use of API keys not written");
    }
}

/// The cached key, unless it is revoked. A node that is stale and configured to refuse reads the row again.
fn cached(ctx: &Context, digest: &[u8; 32]) -> Option<Arc<VerifiedApiKey>> {
    let node = &ctx.node;
    let key = node.api_key_cache.get(digest)?;
    let usable = !node.must_refuse_as_stale() && !node.revocations.is_api_key_revoked(key.id, key.user, key.read_at);
    if !usable {
        node.api_key_cache.remove(digest);
    }
    usable.then_some(key)
}

fn check_row(row: &ApiKey, owner: &User, digest: &[u8; 32], read_at: Timestamp) -> Option<VerifiedApiKey> {
    let matches = bool::from(row.digest[..].ct_eq(&digest[..]));
    (matches && row.deactivated_at.is_none() && !owner.disabled).then(|| VerifiedApiKey {
        id: row.id,
        prefix: row.prefix.clone(),
        user: owner.id,
        email: owner.email.clone(),
        project: row.project,
        scopes: row.scopes.clone(),
        created_at: row.created_at,
        expires_at: row.expires_at,
        read_at,
    })
}
