//! Ending sessions: one, the others, all of a user's, everyone's.
//!
//! When any of these returns, no refresh succeeds any more and the revocation of the access tokens is written; this node
//! refuses them at once, the others as soon as they hear of it: within milliseconds, or whenever they hear again. Knows nothing of
//! who may do this.
//!
//! Of everyone's, refreshes learn no sooner than that either: no record tells of the floor, and each node compares with what it has
//! heard of it. What another still hands out is as old as its session, and is refused from then on.

use std::time::Duration;

use uuid::Uuid;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::revocation::durable::user_revocation;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::clock::{MAX_CLOCK_SKEW, Timestamp};
use crate::id::{SessionId, UserId};
use crate::store::ephemeral::{Revocation, Target};

pub use crate::store::ephemeral::SignOutScope;

const MILLI: Duration = Duration::from_millis(1);

/// How long the store is told again of what it could not hear: longer than a sign-in can take.
const GOING_ON: Duration = Duration::from_secs(600);

/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends a user's sessions and says how many there were.
pub async fn sign_out(ctx: &Context, user: UserId, which: SignOutScope) -> Result<u64, Error> {
    end(ctx, user, which, None, ctx.node.revocations.sessions_after(user)).await
}

/// Ends all of a user's sessions and every sign-in that is under way: the password or the standing of the user has changed, as
/// the row now says with `valid_after`. This node believes the row, whatever becomes of the other store, and goes on telling that one
/// where it refuses.
pub async fn sign_out_durably(ctx: &Context, user: UserId, valid_after: Timestamp) -> Result<u64, Error> {
    let revocations = &ctx.node.revocations;
    let least = revocations.sessions_after(user).max(valid_after);
    revocations.apply(&user_revocation(ctx, user, valid_after));
    revocations.expect_durable(user, valid_after);
    let ended = end(ctx, user, SignOutScope::All, Some(valid_after), least).await;
    match ended {
        Ok(_) => revocations.durable_applied(user, valid_after),
        Err(_) => _ = tokio::spawn(go_on(ctx.clone(), user, valid_after)),
    }
    ended
}

/// The row refuses what was opened before it changed. A sign-in that has read it before and is still hashing opens a session afterwards,
/// as soon as the store is back: until the store has heard, this node refuses it.
async fn go_on(ctx: Context, user: UserId, valid_after: Timestamp) {
    let running = || ctx.node.clock.monotonic();
    let until = running() + GOING_ON;
    while running() < until {
        tokio::time::sleep(PAUSE).await;
        if end_late(&ctx, user, valid_after).await.is_ok() {
            tracing::info!(%user, "sessions that could not be ended are over now");
            break;
        }
    }
    ctx.node.revocations.durable_applied(user, valid_after);
}

/// Ends what the row says is over, and nothing that was opened since with the new password: so not all, but one by one.
async fn end_late(ctx: &Context, user: UserId, valid_after: Timestamp) -> Result<(), Error> {
    let now = ctx.now();
    let until = now + ctx.node.revocation_ttl();
    let nobodys = SignOutScope::One(SessionId(Uuid::nil()));
    ctx.ephemeral.end_sessions(user, nobodys, Some(valid_after), until, now).await?;
    for session in ctx.ephemeral.sessions(user, now).await? {
        if session.opened_at <= valid_after {
            sign_out(ctx, user, SignOutScope::One(session.id)).await?;
        }
    }
    let target = Target::User { user, before: valid_after };
    Ok(ctx.ephemeral.revoke(&Revocation { target, expires_at: until }, now).await?)
}

/// Ends all sessions of a user whom somebody else names. For good: whoever does it does so for a reason, and a Redis that comes
/// back with the sessions of before must not undo it.
pub async fn sign_out_user_as_admin(ctx: &Context, user: UserId) -> Result<u64, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let user = ctx.accounts.end_sign_ins(user, ctx.now()).await?.ok_or(Error::NotFound)?;
        sign_out_durably(&ctx, user.id, user.sessions_valid_after).await
    })
    .await
}

/// Ends every session of everyone and makes every token invalid that was made until now.
pub async fn sign_out_everyone(ctx: &Context) -> Result<(), Error> {
    // What was made a moment ago by a clock that is ahead of this one was made before the answer, and is meant too. What is made
    // from now on is stamped with the floor; so, the last time, was what is to be ended now.
    let floor = (ctx.now() + MAX_CLOCK_SKEW).max(ctx.node.revocations.global_not_before() + MILLI);
    ctx.ephemeral.raise_global_not_before(floor).await?;
    ctx.node.revocations.raise_global_not_before(floor);
    Ok(())
}

/// `least`: what ends all reaches as far at the least. By this node's clock it may not reach what another has stamped, or this
/// one before it was set back, as younger than the ending before.
async fn end(
    ctx: &Context,
    user: UserId,
    which: SignOutScope,
    valid_after: Option<Timestamp>,
    least: Timestamp,
) -> Result<u64, Error> {
    let now = ctx.now();
    let until = now + ctx.node.revocation_ttl();
    let ephemeral = ctx.ephemeral.clone();
    // A store may need more than one step for it.
    let ended = run_to_completion(async move {
        let mut ended = ephemeral.end_sessions(user, which, valid_after, until, now).await?;
        for revocation in &mut ended.revocations {
            if let Target::User { before, .. } = &mut revocation.target
                && *before < least
            {
                *before = least;
                ephemeral.revoke(revocation, now).await?;
            }
        }
        Ok(ended)
    })
    .await?;
    // What the store ended and not what was asked for: an id in a request may be that of somebody else's session.
    ended.revocations.iter().for_each(|revocation| ctx.node.revocations.apply(revocation));
    Ok(ended.count)
}
