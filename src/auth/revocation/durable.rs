//! Hearing of endings that must outlive the store of what expires: users who were disabled, were deleted or have another password, and
//! API keys that were deactivated.
//!
//! Such an ending is written to the row first and to the sessions then, or to the revocations alone if it is a key's. That store may
//! refuse the second, or a failover lose it, and the sessions are there again; the row is not lost with them. So each node reads the
//! endings from the rows: all that can matter at its start, and from then on what is new. From memory, a refresh can be refused
//! without a round trip more.
//!
//! A session is over if it was opened at the moment of its user's ending or before. A session that is opened after it is
//! stamped with a later moment, whatever the clock of its node says, and so it is after a revocation that its node has heard of: neither
//! refuses a new sign-in. The other way round, what was opened just before an ending by a clock that is ahead: the store of what
//! expires knows it, and ends it by name or says in the revocation when the last was opened. Where that store has lost its end, the
//! row alone cannot tell it from what came after: so keep clocks in step.

use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::sessions::sign_out::{SignOutScope, sign_out};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, UserId};
use crate::store;
use crate::store::ephemeral::{Revocation, Target};

/// How far back each reading begins before the one before it: a node's clock may be a minute behind, and what a transaction
/// wrote is not seen before it commits. What is read twice changes nothing.
const OVERLAP: Duration = Duration::from_secs(120);

/// How many are asked for at once.
const PAGE: u32 = 1000;

/// That the sessions of `user` were ended for good at `moment`.
pub(in crate::auth) fn user_revocation(ctx: &Context, user: UserId, moment: Timestamp) -> Revocation {
    Revocation { target: Target::User { user, before: moment }, until: moment + ctx.node.durable_revocation_ttl() }
}

/// That an API key was deactivated at `moment`: nothing that was made of it is good, and nothing of it outlives that.
pub(in crate::auth) fn api_key_revocation(ctx: &Context, key: ApiKeyId, moment: Timestamp) -> Revocation {
    Revocation { target: Target::ApiKey(key), until: moment + ctx.node.revocation_ttl() }
}

/// Reads the endings since the last reading, or at first all that are to be remembered. A node that has not done this must not
/// answer.
pub async fn reapply(ctx: &Context) -> Result<(), store::Error> {
    let (revocations, accounts) = (&ctx.node.revocations, &ctx.accounts);
    let now = ctx.now();
    let last = revocations.reapplied_at() - OVERLAP;
    let users = each_since(
        last.max(now - ctx.node.durable_revocation_ttl()),
        async |since, after| accounts.ended_since(since, after, PAGE).await,
        |user, moment| revocations.apply(&user_revocation(ctx, user, moment)),
    );
    users.await?;
    let keys = each_since(
        last.max(now - ctx.node.revocation_ttl()),
        async |since, after| accounts.deactivated_since(since, after, PAGE).await,
        |key, moment| revocations.apply(&api_key_revocation(ctx, key, moment)),
    );
    keys.await?;
    revocations.mark_reapplied(now);
    Ok(())
}

/// Reads page after page, each from where the one before it ends, and takes in whatever is there.
async fn each_since<Id: Copy>(
    mut since: Timestamp,
    page: impl AsyncFn(Timestamp, Option<Id>) -> store::Result<Vec<(Id, Timestamp)>>,
    take_in: impl Fn(Id, Timestamp),
) -> store::Result<()> {
    let mut after = None;
    loop {
        let page = page(since, after).await?;
        page.iter().for_each(|(id, moment)| take_in(*id, *moment));
        match page.last() {
            Some((id, moment)) if page.len() >= PAGE as usize => (since, after) = (*moment, Some(*id)),
            _ => return Ok(()),
        }
    }
}

/// The same, beside the requests. Should it fail, what was known is known still, and the next reading begins where this one did.
pub async fn reapply_after_failover(ctx: &Context) {
    let recalled = reapply(ctx).await;
    let failed = recalled.is_err();
    match (ctx.node.revocations.set_reapply_failed(failed), recalled) {
        (false, Err(error)) => tracing::warn!(%error, "it cannot be read whose sessions were ended"),
        (true, Ok(())) => tracing::info!("it can be read again whose sessions were ended"),
        _ => {}
    }
}

/// Ends once more a session that had been ended and is there again, for the nodes that do not know. Its token is refused
/// whether this succeeds or not.
pub(in crate::auth) async fn delete_revived_session(ctx: &Context, user: UserId, session: SessionId) {
    let ended = sign_out(ctx, user, SignOutScope::One(session)).await;
    let error = ended.err().map(tracing::field::display);
    tracing::warn!(%user, %session, error, "a session that was ended had come back");
}
