//! A user's sessions, to be looked at.

use crate::auth::Failure;
use crate::auth::context::App;
use crate::id::UserId;

pub use crate::store::ephemeral::Session;

/// The sessions of `user` that are not over, the newest first.
pub async fn sessions(app: &App, user: UserId) -> Result<Vec<Session>, Failure> {
    let mut sessions = app.ephemeral.sessions(user, app.now()).await?;
    sessions.retain(|session| !app.node.revocations.ended(session.user, session.id, session.opened_at));
    Ok(sessions)
}
