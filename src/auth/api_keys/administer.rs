//! API keys of all users, as administrators list and deactivate them.

use super::{deactivate, deactivate_and_record};
use crate::auth::Error;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::ApiKeyId;
use crate::store::accounts::{ApiKey, User};

pub use crate::store::accounts::ApiKeyOrder;

/// A page of API keys, each with its owner.
pub struct ApiKeyPage {
    /// The keys, in the requested order.
    pub keys: Vec<(ApiKey, User)>,
    /// The position after which the next page begins; `None` on the last one.
    pub next: Option<(Timestamp, ApiKeyId)>,
}

/// Lists the API keys of all users after a position in an order.
pub async fn list_all(
    ctx: &Context,
    order: ApiKeyOrder,
    after: Option<(Timestamp, ApiKeyId)>,
    limit: u32,
) -> Result<ApiKeyPage, Error> {
    let keys = ctx.accounts.all_api_keys(order, after, limit).await?;
    let next = keys.last().filter(|_| keys.len() >= limit as usize).map(|(key, _)| order.position(key));
    Ok(ApiKeyPage { keys, next })
}

/// Keys read at a time by [`deactivate_all`].
const PAGE: u32 = 500;

/// Deactivates every key of every user, as [`deactivate`] does, and returns how many were active. May miss keys that
/// are created meanwhile.
///
/// One event with their number is in the list of the fleet. Each key has an event for its owner, the log and the
/// webhook. `store_events` is awaited before each page of keys, to make room for its events: the queue holds some pages,
/// and those that find it full are lost.
pub async fn deactivate_all(ctx: &Context, origin: Origin, store_events: impl AsyncFn()) -> Result<u64, Error> {
    let mut count = 0;
    let result = deactivate_each(ctx, &origin, store_events, &mut count).await;
    // After a failure too: those that were deactivated before stay so.
    if count > 0 {
        audit::record(ctx, Event::new(EventType::AllApiKeysDeactivated, origin).detail("count", count));
    }
    result.map(|()| count)
}

/// Adds the number of keys to `count`, also if it fails in between.
async fn deactivate_each(
    ctx: &Context,
    origin: &Origin,
    store_events: impl AsyncFn(),
    count: &mut u64,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        store_events().await;
        let page = list_all(ctx, ApiKeyOrder::Created, after, PAGE).await?;
        for (key, _) in page.keys.iter().filter(|(key, _)| key.deactivated_at.is_none()) {
            let deactivated = match deactivate_and_record(ctx, key.project, key.id, origin.clone(), true).await {
                Ok(deactivated) => deactivated,
                // Its owner or project was deleted meanwhile.
                Err(Error::NotFound) => continue,
                Err(error) => return Err(error),
            };
            // Also if the revocation is not published: the row says so already, and a repetition passes over the key.
            *count += u64::from(deactivated.was_active);
            if let Some(error) = deactivated.publish_error {
                return Err(error);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Deactivates a key, whoever owns it. Idempotent.
pub async fn deactivate_as_admin(ctx: &Context, key: ApiKeyId, origin: Origin) -> Result<ApiKey, Error> {
    let (row, _) = ctx.accounts.api_key_by_id(key).await?.ok_or(Error::NotFound)?;
    deactivate(ctx, row.project, key, origin).await
}
