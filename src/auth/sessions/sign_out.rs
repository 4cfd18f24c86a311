//! Signs out: one session, the user's other sessions, all of a user's, or everyone.
//!
//! The guarantees are those of `crate::auth::revocation::sessions`. Other nodes apply a revocation within milliseconds,
//! or once they are no longer cut off. Everything runs to completion, so that each sign-out is recorded even if the
//! client disconnects. Knows nothing of who may sign out whom.
//!
//! A global sign-out is not in session records, so another node's refresh sees it only once that node has the new
//! `global_not_before`. Tokens that it issues meanwhile are as old as their session, and are refused from then on.

use std::time::Duration;

use uuid::Uuid;

use crate::auth::Error;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::retention::next_global_not_before;
use crate::auth::revocation::durable::user_revocation;
use crate::auth::revocation::sessions::end_sessions;
use crate::auth::run_to_completion::run_to_completion;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::ephemeral::{Revocation, Target};

pub use crate::store::ephemeral::SignOutScope;

/// How long a node retries a revocation that the store did not accept: longer than a sign-in can take.
const RETRY_FOR: Duration = Duration::from_secs(600);

/// Pause between two retries.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Ends sessions of a user and returns how many there were.
pub async fn sign_out(ctx: &Context, user: UserId, scope: SignOutScope, origin: Origin) -> Result<u64, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let min_before = ctx.node.revocations.first_session_after(user);
        let ended = end_sessions(&ctx, user, scope, None, min_before).await?;
        if ended > 0 {
            let event = Event::of_user(EventType::SessionsEnded, user, origin).detail("count", ended);
            let event = match scope {
                SignOutScope::One(session) => event.session(session).detail("scope", "one"),
                SignOutScope::Others(_) => event.detail("scope", "others"),
                SignOutScope::All => event.detail("scope", "all"),
            };
            audit::record(&ctx, event);
        }
        Ok(ended)
    })
    .await
}

/// Ends all sessions of a user and every sign-in in progress, because the row's `sessions_valid_after` has risen to
/// `valid_after`: the password or the rights of the user have changed. This node trusts the row whatever the ephemeral
/// store answers, and retries in the background if the store does not accept the revocation.
pub async fn sign_out_durably(ctx: &Context, user: UserId, valid_after: Timestamp) -> Result<u64, Error> {
    let revocations = &ctx.node.revocations;
    let min_before = revocations.first_session_after(user).max(valid_after);
    revocations.apply(&user_revocation(ctx, user, valid_after));
    revocations.add_pending_durable(user, valid_after);
    let ended = end_sessions(ctx, user, SignOutScope::All, Some(valid_after), min_before).await;
    match ended {
        Ok(_) => revocations.remove_pending_durable(user, valid_after),
        Err(_) => _ = tokio::spawn(retry_sign_out(ctx.clone(), user, valid_after)),
    }
    ended
}

/// Repeats ending the sessions until the store accepts it. A sign-in that read the row before the change and is still
/// hashing could open its session as soon as the store is back. This node refuses that session until the store has the
/// revocation.
async fn retry_sign_out(ctx: Context, user: UserId, valid_after: Timestamp) {
    let give_up_at = ctx.node.clock.monotonic() + RETRY_FOR;
    while ctx.node.clock.monotonic() < give_up_at {
        tokio::time::sleep(RETRY_INTERVAL).await;
        if end_sessions_before(&ctx, user, valid_after).await.is_ok() {
            tracing::info!(%user, "sessions ended after the store was unavailable");
            break;
        }
    }
    ctx.node.revocations.remove_pending_durable(user, valid_after);
}

/// Ends the sessions opened up to `valid_after`, one by one, and none that was opened since with the new password.
async fn end_sessions_before(ctx: &Context, user: UserId, valid_after: Timestamp) -> Result<(), Error> {
    let now = ctx.now();
    let expires_at = now + ctx.node.retention.revocation_ttl();
    // Ends no session, but stores `valid_after`, which stops the sign-ins in progress.
    let no_session = SignOutScope::One(SessionId(Uuid::nil()));
    ctx.ephemeral.end_sessions(user, no_session, Some(valid_after), expires_at, now).await?;
    for session in ctx.ephemeral.sessions(user, now).await? {
        if session.opened_at <= valid_after {
            let min_before = ctx.node.revocations.first_session_after(user);
            end_sessions(ctx, user, SignOutScope::One(session.id), None, min_before).await?;
        }
    }
    let target = Target::User { user, before: valid_after };
    Ok(ctx.ephemeral.revoke(&Revocation { target, expires_at }, now).await?)
}

/// Ends all sessions of another user. Durable: a Redis that is restored from an earlier state must not bring the
/// sessions back.
pub async fn sign_out_user_as_admin(ctx: &Context, user: UserId, origin: Origin) -> Result<u64, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let user = ctx.accounts.end_sign_ins(user, ctx.now()).await?.ok_or(Error::NotFound)?;
        audit::record(&ctx, Event::of_user(EventType::UserSignedOut, user.id, origin));
        sign_out_durably(&ctx, user.id, user.sessions_valid_after).await
    })
    .await
}

/// Ends all sessions of all users and revokes every token issued until now.
pub async fn sign_out_everyone(ctx: &Context, origin: Origin) -> Result<(), Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let not_before = next_global_not_before(ctx.now(), ctx.node.revocations.global_not_before());
        ctx.ephemeral.raise_global_not_before(not_before).await?;
        ctx.node.revocations.raise_global_not_before(not_before);
        let event = Event::new(EventType::EveryoneSignedOut, origin);
        audit::record(&ctx, event.detail("not_before_ms", not_before.millis()));
        Ok(())
    })
    .await
}
