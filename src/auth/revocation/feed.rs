//! Hearing of what other nodes have revoked, each from where it stopped.
//!
//! One task a process. It also notices that the store was emptied (the floor has risen) and that the keyring has changed. A node
//! that has not heard anything for too long knows so: [`Revocations::silence`](crate::auth::revocation::set::Revocations::silence).

use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::revocation::durable;
use crate::auth::signing_keys;
use crate::store;
use crate::store::ephemeral::{Cursor, Target};

/// How long one look waits for news. The floor is asked for after each, so a store that was emptied is noticed within it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before asking a store again that did not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads everything that is still remembered. A node that has not done this must not answer.
pub async fn catch_up(ctx: &Context) -> Result<Cursor, store::Error> {
    ctx.node.revocations.raise_global_not_before(ctx.ephemeral.floor(ctx.now()).await?);
    let mut place = Cursor::start();
    loop {
        let (heard, next) = ctx.ephemeral.follow(&place, Duration::ZERO).await?;
        place = next;
        if heard.is_empty() {
            ctx.node.revocations.mark_fresh(ctx.node.clock.running());
            return Ok(place);
        }
        heard.iter().for_each(|revocation| ctx.node.revocations.apply(revocation));
    }
}

/// Follows for ever, from a place that [`catch_up`] came to.
pub async fn follow(ctx: &Context, mut place: Cursor) {
    let mut silent = false;
    let mut ring_is_old = false;
    loop {
        match listen(ctx, &place).await {
            Ok((next, ring_changed)) => {
                // Another server may stand in the place of one that was away, and have lost endings. Once: the next is within
                // a minute, and revocations are not kept waiting for the other store.
                if silent || ring_changed {
                    durable::reapply_after_failover(ctx).await;
                }
                if silent {
                    tracing::info!("revocations are heard again");
                }
                (silent, place) = (false, next);
                ring_is_old |= ring_changed;
                if ring_is_old {
                    match signing_keys::advance(ctx).await {
                        Ok(()) => ring_is_old = false,
                        Err(error) => tracing::warn!(%error, "the keyring has changed and could not be read"),
                    }
                }
            }
            Err(error) => {
                if !silent {
                    tracing::warn!(%error, "revocations are not heard");
                }
                silent = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn listen(ctx: &Context, place: &Cursor) -> Result<(Cursor, bool), store::Error> {
    let revocations = &ctx.node.revocations;
    // Where there is nothing to hear, a node that waits must not take itself for one that is behind.
    let patience = PATIENCE.min(ctx.node.config.revocation.stale_after / 4);
    let (heard, next) = ctx.ephemeral.follow(place, patience).await?;
    heard.iter().for_each(|revocation| revocations.apply(revocation));
    let floor = ctx.ephemeral.floor(ctx.now()).await?;
    let emptied = floor > revocations.global_not_before();
    revocations.raise_global_not_before(floor);
    revocations.mark_fresh(ctx.node.clock.running());
    // A store that was emptied has lost the keyring too: keeping it up gives it back.
    Ok((next, emptied || heard.iter().any(|revocation| revocation.target == Target::Ring)))
}

/// Forgets, here and in the store, what no token can be concerned by any more. Called every minute.
pub async fn remove_expired(ctx: &Context) {
    let now = ctx.now();
    ctx.node.revocations.remove_expired(now);
    if let Err(error) = ctx.ephemeral.forget_revocations(now - ctx.node.revocation_ttl()).await {
        tracing::warn!(%error, "old revocations could not be cleared away");
    }
}
