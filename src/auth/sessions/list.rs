//! Lists the sessions of a user.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;

pub use crate::store::ephemeral::Session;

/// The open sessions of `user`, newest first.
pub async fn list_sessions(ctx: &Context, user: UserId) -> Result<Vec<Session>, Error> {
    let mut sessions = ctx.ephemeral.sessions(user, ctx.now()).await?;
    sessions.retain(|session| !ctx.node.revocations.is_session_ended(session.user, session.id, session.opened_at));
    Ok(sessions)
}
