//! Exchanging a refresh token for new tokens.
//!
//! The hot path. Budget: one MAC to read the token (garbage stops here), one round trip to the store, which rotates and
//! detects reuse in one step, then one look-up in memory, one signature and one MAC. Postgres is not asked: whatever ends a user's
//! sessions ends them in the store, and what a failover of the store may have brought back is known from [`crate::auth::revocation::durable`].

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::revocation::durable::delete_revived_session;
use crate::auth::sessions::open::{RequestContext, TokenPair, issue_tokens};
use crate::id::UserId;
use crate::store::ephemeral::{Revocation, RotateRequest, Rotation, SessionSnapshot, Target};
use crate::token::refresh::RefreshToken;

/// What becomes of the token that is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationPolicy {
    /// A successor takes its place.
    Rotate,
    /// It stays in force, and its lifetime stays as it was.
    Keep,
}

/// Exchanges `token`. Where the dialect says whose it must be, another user's is not in force.
pub async fn refresh(
    ctx: &Context,
    token: &str,
    owner: Option<UserId>,
    then: RotationPolicy,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let node = &ctx.node;
    let Some(read) = RefreshToken::parse(token, &node.secrets) else { return Err(Error::InvalidRefreshToken) };
    if owner.is_some_and(|owner| owner != read.user) {
        return Err(Error::InvalidRefreshToken);
    }
    let now = ctx.now();
    let presented = RotateRequest {
        user: read.user,
        session: read.session,
        counter: read.counter,
        rotate: then == RotationPolicy::Rotate,
        grace: node.config.tokens.grace,
        not_before: node.revocations.global_not_before(),
        revocation_expires_at: now + node.revocation_ttl(),
    };
    match ctx.ephemeral.rotate_refresh_token(presented, now).await? {
        Rotation::Rotated(session) | Rotation::Replayed(session) => {
            let ended = node.revocations.is_session_ended(session.user, session.id, session.opened_at);
            if ended && is_there_again(ctx, &session).await? {
                return Err(Error::InvalidRefreshToken);
            }
            issue_tokens(ctx, session, request_ctx, now)
        }
        Rotation::Reused => {
            tracing::warn!(user = %read.user, session = %read.session, address = %request_ctx.client_ip, "refresh token reused");
            let target = Target::Session(read.session);
            node.revocations.apply(&Revocation { target, expires_at: presented.revocation_expires_at });
            Err(Error::RefreshTokenReused)
        }
        Rotation::NotFound => Err(Error::InvalidRefreshToken),
    }
}

/// Whether a session that was ended is there all the same, because the store has lost its end; ends it once more. If not, it
/// was ended since this refresh, which is answered as it was won: of what it hands out nothing is good any more, and who rotated
/// first of many is told so even where the others have been taken for thieves by then.
async fn is_there_again(ctx: &Context, session: &SessionSnapshot) -> Result<bool, Error> {
    let there = ctx.ephemeral.session(session.user, session.id, ctx.now()).await?.is_some();
    if there {
        delete_revived_session(ctx, session.user, session.id).await;
    }
    Ok(there)
}
