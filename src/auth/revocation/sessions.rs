//! Ends sessions in the ephemeral store and applies their revocations to this node.
//!
//! When a function here returns, no refresh of these sessions succeeds and the revocation of their access tokens is
//! stored. This node refuses them from then on, and other nodes as soon as they apply the revocation. Knows nothing of
//! who may end which session.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::run_to_completion::run_to_completion;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::ephemeral::{Revocation, SignOutScope, Target};

/// Ends the user's sessions in `scope` and returns how many there were.
///
/// `valid_after`: the row's `sessions_valid_after`, if the row has changed. `min_before`: a revocation of all sessions
/// covers at least the sessions opened up to this moment. By this node's clock alone it might not: if another node's
/// clock is ahead, or this one was set back, the sessions carry a later timestamp.
pub(in crate::auth) async fn end_sessions(
    ctx: &Context,
    user: UserId,
    scope: SignOutScope,
    valid_after: Option<Timestamp>,
    min_before: Timestamp,
) -> Result<u64, Error> {
    let now = ctx.now();
    let expires_at = now + ctx.node.retention.revocation_ttl();
    let ctx = ctx.clone();
    // To completion, because it may take more than one call of the store.
    run_to_completion(async move {
        let mut ended = ctx.ephemeral.end_sessions(user, scope, valid_after, expires_at, now).await?;
        for revocation in &mut ended.revocations {
            if let Target::User { before, .. } = &mut revocation.target
                && *before < min_before
            {
                *before = min_before;
                ctx.ephemeral.revoke(revocation, now).await?;
            }
        }
        // Only what the store has ended: an id in a request may be of another user's session.
        if valid_after.is_none() {
            apply_ends(&ctx, user, &ended.revocations);
        } else {
            // The row records this end, and outlives the store.
            ended.revocations.iter().for_each(|revocation| _ = ctx.node.revocations.apply(revocation));
        }
        Ok(ended.count)
    })
    .await
}

/// Applies the revocations of sessions of `user` that the store has ended and that no row records. Keeps them for a
/// minute, so that this node can restore them if a failover of the store loses them.
pub(in crate::auth) fn apply_ends(ctx: &Context, user: UserId, revocations: &[Revocation]) {
    revocations.iter().for_each(|revocation| _ = ctx.node.revocations.apply(revocation));
    ctx.node.recent_ends.add(user, revocations, ctx.node.clock.monotonic());
}

/// For a refresh of a session that this node knows to be ended, although the store rotated its token. Returns true if
/// the store has the session: a failover lost its end. It is then ended again, because other nodes may not know of the
/// end, and the caller refuses the token whether this succeeds or not.
///
/// Returns false if the store does not have the session any more: it ended during the refresh. The refresh still
/// succeeds, but its tokens are already revoked. So of several clients that present one token at the same moment, the
/// first one succeeds even if the others counted as reuse, which ended the session.
pub(in crate::auth) async fn end_revived_session(
    ctx: &Context,
    user: UserId,
    session: SessionId,
) -> Result<bool, Error> {
    if ctx.ephemeral.session(user, session, ctx.now()).await?.is_none() {
        return Ok(false);
    }
    let min_before = ctx.node.revocations.first_session_after(user);
    let ended = end_sessions(ctx, user, SignOutScope::One(session), None, min_before).await;
    let error = ended.err().map(tracing::field::display);
    tracing::warn!(%user, %session, error, "revoked session was back in the ephemeral store and has been ended again");
    Ok(true)
}

/// Ends the sessions of `user` that the store has although `ends` cover them: a failover lost these. Returns how many
/// sessions there were. One that was opened since the end of all is none of them.
pub(super) async fn end_revived_sessions(ctx: &Context, user: UserId, ends: Vec<Revocation>) -> Result<u64, Error> {
    let mut count = 0;
    for session in ctx.ephemeral.sessions(user, ctx.now()).await? {
        let is_revived = ends.iter().any(|end| match end.target {
            Target::Session(id) => id == session.id,
            Target::User { before, .. } => session.opened_at <= before,
            Target::Token(_) | Target::ApiKey(_) | Target::Keyring | Target::GlobalNotBefore => false,
        });
        if is_revived {
            let min_before = ctx.node.revocations.first_session_after(user);
            count += end_sessions(ctx, user, SignOutScope::One(session.id), None, min_before).await?;
        }
    }
    Ok(count)
}
