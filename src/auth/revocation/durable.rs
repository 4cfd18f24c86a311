//! Durable revocations: those that must outlive the ephemeral store. They revoke the sessions of users who were
//! disabled, were deleted or got another password, and API keys that were deactivated.
//!
//! Such a revocation is written to the row first, then to the ephemeral store: that of a user ends the sessions and is
//! added to the stream, that of a key is only added to the stream. Redis may refuse the second write, or lose it in a
//! failover. Redis may then contain the sessions again. The row still has the revocation. So each node reads these
//! revocations from the rows: at its start all that can matter, and from then on the new ones. They are applied in
//! memory, so that a refresh is refused without a further round trip.
//!
//! A session is revoked if it was opened at the moment of its user's revocation or before. A session opened afterwards
//! carries a later timestamp than the row and than every revocation that its node has applied, whatever the node's
//! clock says. So a new sign-in is never refused. The reverse case is a session opened just before the revocation by a
//! node whose clock is ahead. The ephemeral store has that session, so it ends it by id, or puts its opening time into
//! the revocation. If the store has lost this, the row alone cannot tell such a session from one opened later. So
//! clocks must be kept in step.

use crate::auth::context::Context;
use crate::auth::retention::DURABLE_OVERLAP;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, UserId};
use crate::store;
use crate::store::ephemeral::{Revocation, Target};

/// Rows per query.
const PAGE: u32 = 1000;

/// The revocation of all sessions that `user` opened up to `before`.
pub(in crate::auth) fn user_revocation(ctx: &Context, user: UserId, before: Timestamp) -> Revocation {
    let expires_at = before + ctx.node.retention.durable_revocation_ttl();
    Revocation { target: Target::User { user, before }, expires_at }
}

/// The revocation of an API key that was deactivated at `deactivated_at`, and of all tokens issued from it.
pub(in crate::auth) fn api_key_revocation(ctx: &Context, key: ApiKeyId, deactivated_at: Timestamp) -> Revocation {
    Revocation { target: Target::ApiKey(key), expires_at: deactivated_at + ctx.node.retention.revocation_ttl() }
}

/// Reads and applies the durable revocations since the last reading; the first time, all that are still kept. A node
/// must not answer requests before the first reading.
pub async fn reapply(ctx: &Context) -> Result<(), store::Error> {
    apply_rows(ctx, |_| {}).await
}

/// Reads and applies the durable revocations since the last reading. Calls `on_new` with each that this node had not
/// applied yet, also if a later query fails, because they are not new at the next reading.
async fn apply_rows(ctx: &Context, on_new: impl Fn(Revocation)) -> Result<(), store::Error> {
    let (revocations, accounts, retention) = (&ctx.node.revocations, &ctx.accounts, &ctx.node.retention);
    // A clock that was ahead for a while must not hide the rows that were written meanwhile.
    let now = revocations.steady_time(&ctx.node.clock, retention.revocation_ttl());
    let since = revocations.reapplied_at() - DURABLE_OVERLAP;
    let apply = |revocation: Revocation| {
        if revocations.apply(&revocation) {
            on_new(revocation);
        }
    };
    let users = for_each_since(
        since.max(now - retention.durable_revocation_ttl()),
        async |since, after| accounts.revocations_since(since, after, PAGE).await,
        |user, before| apply(user_revocation(ctx, user, before)),
    );
    users.await?;
    let keys = for_each_since(
        since.max(now - retention.revocation_ttl()),
        async |since, after| accounts.deactivated_since(since, after, PAGE).await,
        |key, deactivated_at| apply(api_key_revocation(ctx, key, deactivated_at)),
    );
    keys.await?;
    revocations.mark_reapplied(now);
    Ok(())
}

/// Publishes the durable revocations that the stream did not have. Keeps those that cannot be published for the next
/// call.
async fn publish_again(ctx: &Context) {
    let (revocations, now) = (&ctx.node.revocations, ctx.now());
    // In the stream, a revocation is needed until the access tokens that exist now have expired.
    let expires_at = now + ctx.node.retention.revocation_ttl();
    let mut unpublished = revocations.take_unpublished().into_iter();
    while let Some(revocation) = unpublished.next() {
        let published = Revocation { expires_at: revocation.expires_at.min(expires_at), ..revocation.clone() };
        if let Err(error) = ctx.ephemeral.revoke(&published, now).await {
            tracing::debug!(%error, "a durable revocation could not be published again");
            return revocations.add_unpublished([revocation].into_iter().chain(unpublished));
        }
    }
}

/// Calls `apply` for each row of each page. A page begins where the one before it ends.
async fn for_each_since<Id: Copy>(
    mut since: Timestamp,
    page: impl AsyncFn(Timestamp, Option<Id>) -> store::Result<Vec<(Id, Timestamp)>>,
    apply: impl Fn(Id, Timestamp),
) -> store::Result<()> {
    let mut after = None;
    loop {
        let page = page(since, after).await?;
        page.iter().for_each(|(id, moment)| apply(*id, *moment));
        match page.last() {
            Some((id, moment)) if page.len() >= PAGE as usize => (since, after) = (*moment, Some(*id)),
            _ => return Ok(()),
        }
    }
}

/// Like [`reapply`], while requests are served. After a failure, the revocations in memory stay, and the next reading
/// begins where this one did.
///
/// If this node learns of a revocation from a row alone, the stream has lost it, or never had it. It is published
/// again, so that services that follow the published feed learn of it too.
pub async fn reapply_after_failover(ctx: &Context) {
    let result = apply_rows(ctx, |revocation| ctx.node.revocations.add_unpublished([revocation])).await;
    publish_again(ctx).await;
    let failed = result.is_err();
    match (ctx.node.revocations.set_reapply_failed(failed), result) {
        (false, Err(error)) => tracing::warn!(%error, "durable revocations cannot be read; retrying"),
        (true, Ok(())) => tracing::info!("durable revocations can be read again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn a_full_page_is_followed_by_the_rows_after_its_last() {
        let rows = (1..=2 * i64::from(PAGE) + 1).map(|id| (id, Timestamp::from_secs(id / 3))).collect::<Vec<_>>();
        let applied = RefCell::new(Vec::new());
        let page = async |since: Timestamp, after: Option<i64>| {
            let first = rows.iter().position(|(id, moment)| (*moment, Some(*id)) > (since, after));
            let rest = first.map_or(&[][..], |first| &rows[first..]);
            store::Result::Ok(rest.iter().take(PAGE as usize).copied().collect::<Vec<_>>())
        };
        let apply = |id: i64, moment: Timestamp| applied.borrow_mut().push((id, moment));
        for_each_since(Timestamp::default(), page, apply).await.unwrap();
        assert_eq!(applied.into_inner(), rows);
    }
}
