//! API keys: made, listed, deactivated, and recognised when they are handed in.
//!
//! A key is found by its visible prefix and compared by its SHA-256 in constant time; 160 random bits need no slow hash. What was
//! looked up is remembered for a minute, and on each hit the time and the revocations are asked for again, so a
//! deactivation or a disabled owner is felt as soon as it is heard.

mod key;
mod manage;
mod usage;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use subtle::ConstantTimeEq;

use super::Error;
use crate::auth::context::Context;
use crate::auth::revocation::durable::api_key_revocation;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::tokens::revoke::publish;
use crate::auth::tokens::verify::{VerifyError, is_stale};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::accounts::User;
use crate::store::ephemeral::Target;

pub use crate::store::accounts::ApiKey;
pub use key::{NewKey, looks_like_one, well_formed};
pub use manage::{Order, create_own, deactivate_own, list_own};
pub use usage::note_usage;

/// How long what was looked up is remembered at the most.
pub const REMEMBERED: Duration = Duration::from_secs(60);

/// API keys that were looked up before, and when they were last used.
pub struct KnownKeys {
    by_digest: Cache<[u8; 32], Arc<KnownKey>>,
    used: usage::Used,
}

/// A key that is good, and who stands behind it.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Its visible beginning.
    pub prefix: String,
    /// In whose name it acts.
    pub user: UserId,
    /// That user's address.
    pub email: String,
    /// The project it belongs to.
    pub project: ProjectId,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When its row and its owner's were read, or the moment after the last ending of the owner's sessions that was known then.
    pub(super) read_at: Timestamp,
}

impl Default for KnownKeys {
    fn default() -> Self {
        Self {
            by_digest: Cache::builder().max_capacity(100_000).time_to_live(REMEMBERED).build(),
            used: usage::Used::default(),
        }
    }
}

impl KnownKey {
    /// Whether the key may be used for each of `scopes`, which are separated by spaces.
    pub fn allows(&self, scopes: &str) -> bool {
        scopes.split_ascii_whitespace().all(|scope| self.scopes.iter().any(|has| has == scope))
    }
}

/// What an API key is to be.
#[derive(Clone, Debug)]
pub struct CreateApiKey {
    /// In whose name it acts.
    pub user: UserId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// Makes an API key. The whole key is told this once.
pub async fn create(ctx: &Context, wanted: CreateApiKey) -> Result<(ApiKey, NewKey), Error> {
    let now = ctx.now();
    // A prefix has 60 random bits: that one is taken is an owner who has just been deleted, or chance gone wrong.
    for _ in 0..2 {
        let key = NewKey::draw(&ctx.node.rng);
        let row = ApiKey {
            id: ApiKeyId::new(now, &ctx.node.rng),
            project: wanted.project,
            user: wanted.user,
            prefix: key.prefix().to_owned(),
            digest: key.digest(),
            name: wanted.name.clone(),
            scopes: wanted.scopes.clone(),
            last_used_at: None,
            expires_at: wanted.expires_at,
            deactivated_at: None,
            created_at: now,
            updated_at: now,
        };
        if ctx.accounts.create_api_key(&row).await? {
            return Ok((row, key));
        }
    }
    Err(Error::NotFound)
}

/// Deactivates a project's key: no node believes it, or a token made from it, once it has heard of it. This node believes the row, and
/// the others do within a minute, whatever becomes of the other store. Again: the same answer.
pub async fn deactivate(ctx: &Context, project: ProjectId, key: ApiKeyId) -> Result<ApiKey, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let now = ctx.now();
        let row = ctx.accounts.deactivate_api_key(project, key, now).await?.ok_or(Error::NotFound)?;
        let told = publish(&ctx, Target::ApiKey(key), now + ctx.node.revocation_ttl()).await;
        // After that, which tells nobody what this node knows.
        ctx.node.revocations.apply(&api_key_revocation(&ctx, key, now));
        told.map(|()| row)
    })
    .await
}

/// Who stands behind `key`. Costs a query unless it was asked within the last minute.
pub async fn known(ctx: &Context, key: &str) -> Result<Arc<KnownKey>, Error> {
    let found = known_of_many(ctx, &[key]).await?.pop();
    Ok(found.unwrap_or(Err(VerifyError::UnknownKey))?)
}

/// Who stands behind each of `keys`, in their order. Costs one query for all that were not asked within the last minute.
pub(super) async fn known_of_many(
    ctx: &Context,
    keys: &[&str],
) -> Result<Vec<Result<Arc<KnownKey>, VerifyError>>, Error> {
    let node = &ctx.node;
    let now = ctx.now();
    let digests: Vec<_> = keys.iter().map(|key| key::well_formed(key).then(|| key::digest_of(key))).collect();
    let mut remembered: Vec<_> = digests.iter().map(|digest| digest.as_ref().and_then(|it| fresh(ctx, it))).collect();
    let each = || keys.iter().zip(&digests);
    let missing = each().zip(&remembered).filter(|((_, digest), known)| digest.is_some() && known.is_none());
    let prefixes: Vec<_> = missing.filter_map(|((key, _), _)| key::prefix_of(key)).collect();
    if !prefixes.is_empty() {
        let mut rows = ctx.accounts.api_keys_by_prefix(&prefixes).await?;
        // Whoever had all sessions ended of late may have been read before that. What is read once more was not, so that
        // ending is no reason to disbelieve it, whatever clock it was by.
        let after = |owner: &User| node.revocations.keys_after(owner.id);
        let lately = rows.iter().map(|(_, owner)| (owner.id, after(owner))).filter(|(_, after)| *after > now);
        let lately: HashMap<_, _> = lately.collect();
        if !lately.is_empty() {
            rows = ctx.accounts.api_keys_by_prefix(&prefixes).await?;
        }
        let by_prefix: HashMap<_, _> = rows.iter().map(|row| (row.0.prefix.as_str(), row)).collect();
        for ((key, digest), known) in each().zip(&mut remembered) {
            let row = key::prefix_of(key).and_then(|prefix| by_prefix.get(prefix));
            if let (None, Some(digest), Some((row, owner))) = (&known, digest, row) {
                let read_at = lately.get(&owner.id).copied().unwrap_or_default().max(node.stamp(now));
                *known = if_good(row, owner, digest, read_at).map(Arc::new);
                if let Some(known) = known {
                    node.known_keys.by_digest.insert(*digest, known.clone());
                }
            }
        }
    }
    let answer = |known: Option<Arc<KnownKey>>| {
        let known = known.ok_or(VerifyError::UnknownKey)?;
        if known.expires_at.is_some_and(|end| end <= now) {
            return Err(VerifyError::ExpiredKey);
        }
        node.known_keys.used.note(known.id, now);
        Ok(known)
    };
    Ok(remembered.into_iter().map(answer).collect())
}

/// What is remembered of a key and still to be believed. A node that may have missed a revocation, and is set not to answer then,
/// reads the row again.
fn fresh(ctx: &Context, digest: &[u8; 32]) -> Option<Arc<KnownKey>> {
    let node = &ctx.node;
    let known = node.known_keys.by_digest.get(digest)?;
    let fresh = !is_stale(node) && !node.revocations.is_api_key_revoked(known.id, known.user, known.read_at);
    if !fresh {
        node.known_keys.by_digest.invalidate(digest);
    }
    fresh.then_some(known)
}

fn if_good(row: &ApiKey, owner: &User, digest: &[u8; 32], read_at: Timestamp) -> Option<KnownKey> {
    let same = bool::from(row.digest[..].ct_eq(&digest[..]));
    (same && row.deactivated_at.is_none() && !owner.disabled).then(|| KnownKey {
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
