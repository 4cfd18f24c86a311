//! API keys as their owners manage them: each belongs to a project of the caller's own.
//!
//! Only a user session creates and deactivates keys. With an API key, a caller can only list the keys of that key's
//! project: a stolen key must not create others that outlive it or may do more.

use std::time::Duration;

use super::{CreateApiKey, create, deactivate};
use crate::auth::accounts::billing;
use crate::auth::accounts::projects::require_project_owner;
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::tokens::caller::Caller;
use crate::auth::{Error, rate_limit};
use crate::id::{ApiKeyId, ProjectId};
use crate::store::accounts::ApiKey;
use crate::token::api_key::NewApiKey;

/// Scopes that allow more than their owner's session does. Only superusers may create keys with them.
const RESERVED_SCOPES: [&str; 2] = ["admin", billing::SCOPE];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The input to [`create_own`].
#[derive(Clone, Debug)]
pub struct ApiKeyRequest {
    /// A name for people.
    pub name: String,
    /// The scopes.
    pub scopes: Vec<String>,
    /// After how many days the key expires.
    pub expires_in_days: Option<u32>,
}

/// Lists a project's keys, newest first: `limit` of them after the first `skip`, and how many there are.
pub async fn list_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    skip: u32,
    limit: u32,
) -> Result<(Vec<ApiKey>, u64), Error> {
    match caller.project() {
        Some(own) if own != project => return Err(Error::Forbidden(Denial::OtherProject)),
        Some(_) => {}
        None => require_owner(ctx, caller, project).await?,
    }
    Ok(ctx.accounts.api_keys(project, skip, limit).await?)
}

/// Creates a key; only this call returns the whole key. Rate-limited, because the row stays and every node keeps the
/// key's revocation.
pub async fn create_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    request: ApiKeyRequest,
) -> Result<(ApiKey, NewApiKey), Error> {
    require_owner(ctx, caller, project).await?;
    if request.scopes.iter().any(|scope| RESERVED_SCOPES.contains(&scope.as_str())) {
        caller.require_superuser(ctx).await?;
    }
    rate_limit::check_api_key_creation(ctx, caller.user).await?;
    let new_key = CreateApiKey {
        user: caller.user,
        project,
        name: request.name,
        scopes: request.scopes,
        expires_at: request.expires_in_days.map(|days| ctx.now() + DAY * days),
    };
    create(ctx, new_key).await
}

/// Deactivates a key. Idempotent.
pub async fn deactivate_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    key: ApiKeyId,
) -> Result<ApiKey, Error> {
    require_owner(ctx, caller, project).await?;
    deactivate(ctx, project, key).await
}

/// Requires a user session, and that the project is the user's.
async fn require_owner(ctx: &Context, caller: &Caller, project: ProjectId) -> Result<(), Error> {
    caller.require_session()?;
    require_project_owner(ctx, caller.user, project).await
}
