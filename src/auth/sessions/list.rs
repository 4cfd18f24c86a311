//! A user's sessions, to be looked at.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;

pub use crate::store::ephemeral::Session;

/// The sessions of `user` that are not over, the newest first.
pub async fn list_sessions(ctx: &Context, user: UserId) -> Result<Vec<Session>, Error> {
    let mut sessions = ctx.ephemeral.sessions(user, ctx.now()).await?;
    sessions.retain(|session| !ctx.node.revocations.is_session_ended(session.user, session.id, session.opened_at));
    Ok(sessions)
}
