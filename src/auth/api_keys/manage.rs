//! API keys as their owners see to them: listed, made, deactivated, each in a project of the caller's own.
//!
//! Only a person makes and deactivates keys. Through a key one may look at those of the key's own project and no further: a key
//! that got into the wrong hands makes no others that outlive it, and none that may do more.

use std::time::Duration;

use super::{CreateApiKey, NewKey, create, deactivate};
use crate::auth::accounts::billing;
use crate::auth::accounts::projects::require_project_owner;
use crate::auth::context::Context;
use crate::auth::tokens::caller::Caller;
use crate::auth::{Error, rate_limit};
use crate::id::{ApiKeyId, ProjectId};
use crate::store::accounts::ApiKey;

/// Scopes that reach beyond what their owner may do as a person, unless that is a superuser.
const RESERVED: [&str; 2] = ["admin", billing::SCOPE];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct Order {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// After how many days it stops working.
    pub days: Option<u32>,
}

/// The keys of a project, the newest first: `limit` of them after leaving out `skip`; and how many there are.
pub async fn list_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    skip: u32,
    limit: u32,
) -> Result<(Vec<ApiKey>, u64), Error> {
    match caller.project() {
        Some(own) if own != project => return Err(Error::OtherProject),
        Some(_) => {}
        None => person(ctx, caller, project).await?,
    }
    Ok(ctx.accounts.api_keys(project, skip, limit).await?)
}

/// Makes a key. The whole of it is told this once. So many in a while: its row stays, and its end is remembered by every node.
pub async fn create_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    order: Order,
) -> Result<(ApiKey, NewKey), Error> {
    person(ctx, caller, project).await?;
    if order.scopes.iter().any(|scope| RESERVED.contains(&scope.as_str())) {
        caller.require_superuser(ctx).await?;
    }
    rate_limit::check_api_key_creation(ctx, caller.user).await?;
    let wanted = CreateApiKey {
        user: caller.user,
        project,
        name: order.name,
        scopes: order.scopes,
        expires_at: order.days.map(|days| ctx.now() + DAY * days),
    };
    create(ctx, wanted).await
}

/// Deactivates a key; again: the same answer.
pub async fn deactivate_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    key: ApiKeyId,
) -> Result<ApiKey, Error> {
    person(ctx, caller, project).await?;
    deactivate(ctx, project, key).await
}

/// Demands a person, and that the project is that person's.
async fn person(ctx: &Context, caller: &Caller, project: ProjectId) -> Result<(), Error> {
    caller.require_session()?;
    require_project_owner(ctx, caller.user, project).await
}
