//! Reads the open sessions of a user.

use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::id::{SessionId, UserId};

pub use crate::store::ephemeral::Session;

/// The open sessions of `user`, newest first.
pub async fn list_sessions(ctx: &Context, user: UserId) -> Result<Vec<Session>, Error> {
    let mut sessions = ctx.ephemeral.sessions(user, ctx.now()).await?;
    sessions.retain(|session| !is_ended(ctx, session));
    Ok(sessions)
}

/// The open sessions of the caller, newest first. Rate-limited, because there can be a hundred
/// (`tokens.sessions_per_user`), each of which the store reads.
pub async fn list_own_sessions(
    ctx: &Context,
    user: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<Vec<Session>, Error> {
    rate_limit::check_costly(ctx, user, request_ctx).await?;
    list_sessions(ctx, user).await
}

/// A session of `user`, if it is open.
pub(in crate::auth) async fn find_session(
    ctx: &Context,
    user: UserId,
    session: SessionId,
) -> Result<Option<Session>, Error> {
    Ok(ctx.ephemeral.session(user, session, ctx.now()).await?.filter(|session| !is_ended(ctx, session)))
}

/// Returns true if this node knows that a session was ended that the store still has.
fn is_ended(ctx: &Context, session: &Session) -> bool {
    ctx.node.revocations.is_session_ended(session.user, session.id, session.opened_at)
}
