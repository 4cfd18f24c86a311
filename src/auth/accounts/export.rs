//! Everything that is stored of a user, except what only Signet can read: hashes and sealed secrets.

use crate::auth::context::Context;
use crate::auth::sessions::list::{Session, list_sessions};
use crate::auth::{Error, mfa};
use crate::id::ProjectId;
use crate::store::accounts::{ApiKey, User};

/// API keys in an export: the newest, so that its size has a bound. A user can create a hundred in an hour.
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
}

/// Reads the data of a user.
pub async fn export_user(ctx: &Context, user: User) -> Result<Export, Error> {
    Ok(Export {
        recovery_codes_left: mfa::recovery_codes_left(ctx, &user).await?,
        projects: ctx.accounts.projects(user.id).await?,
        api_keys: ctx.accounts.api_keys_of_user(user.id, MAX_API_KEYS).await?,
        sessions: list_sessions(ctx, user.id).await?,
        user,
    })
}
