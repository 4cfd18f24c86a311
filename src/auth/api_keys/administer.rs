//! API keys of all users, as administrators list and deactivate them.

use super::deactivate;
use crate::auth::Error;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::ApiKeyId;
use crate::store::accounts::{ApiKey, User};

pub use crate::store::accounts::ApiKeyOrder;

/// A page of API keys, each with its owner.
pub struct ApiKeyPage {
    /// The keys, in the order that was asked for.
    pub keys: Vec<(ApiKey, User)>,
    /// The place after which the next page begins; `None` on the last one.
    pub next: Option<(Timestamp, ApiKeyId)>,
}

/// Lists the API keys of all users after a place in an order.
pub async fn list_all(
    ctx: &Context,
    order: ApiKeyOrder,
    after: Option<(Timestamp, ApiKeyId)>,
    limit: u32,
) -> Result<ApiKeyPage, Error> {
    let keys = ctx.accounts.all_api_keys(order, after, limit).await?;
    let next = keys.last().filter(|_| keys.len() >= limit as usize).map(|(key, _)| order.place(key));
    Ok(ApiKeyPage { keys, next })
}

/// Deactivates a key, whoever owns it. Idempotent.
pub async fn deactivate_as_admin(ctx: &Context, key: ApiKeyId, origin: Origin) -> Result<ApiKey, Error> {
    let (row, _) = ctx.accounts.api_key_by_id(key).await?.ok_or(Error::NotFound)?;
    deactivate(ctx, row.project, key, origin).await
}
