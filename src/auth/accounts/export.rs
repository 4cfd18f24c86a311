//! Exports everything that is stored of a user, except what only Signet can read: hashes and sealed secrets.

use crate::auth::audit::{EventPage, EventRange, list_of_user};
use crate::auth::context::Context;
use crate::auth::rate_limit::{self, LimitedAction};
use crate::auth::sessions::list::{Session, list_sessions};
use crate::auth::{Error, mfa};
use crate::id::ProjectId;
use crate::store::accounts::{ApiKey, User};
use crate::store::ephemeral::EventScope;

/// The most API keys in an export, the newest first. Bounds its size: a user can create a hundred keys in an hour.
const MAX_API_KEYS: u32 = 1000;

/// The data of a user.
pub struct Export {
    /// The user.
    pub user: User,
    /// The number of unused recovery codes.
    pub recovery_codes_left: usize,
    /// Ids and names of the projects.
    pub projects: Vec<(ProjectId, String)>,
    /// The API keys, also those that were deactivated or have expired.
    pub api_keys: Vec<ApiKey>,
    /// The open sessions.
    pub sessions: Vec<Session>,
    /// The security events that concern the user, newest first, as the user may see them.
    pub activity: EventPage,
}

/// Reads the data of a user. Rate-limited, because the keys alone can have five megabytes, which are read and rendered
/// in one piece.
pub async fn export_user(ctx: &Context, user: User) -> Result<Export, Error> {
    rate_limit::check_user(ctx, LimitedAction::ExportAccount, user.id).await?;
    // The bound is that of each class. At least one: the stores take no limit of zero.
    let classes = EventScope::User(user.id).classes().len() as u32;
    let max_events = (classes * ctx.node.config.audit.events_per_user).max(1);
    Ok(Export {
        recovery_codes_left: mfa::recovery_codes_left(ctx, &user).await?,
        projects: ctx.accounts.projects(user.id).await?,
        api_keys: ctx.accounts.api_keys_of_user(user.id, MAX_API_KEYS).await?,
        sessions: list_sessions(ctx, user.id).await?,
        activity: list_of_user(ctx, user.id, EventRange::Newest, max_events).await?,
        user,
    })
}
