//! Lists the security events of the caller's own account.

use crate::auth::audit::{EventPage, EventRange, list_of_user};
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::id::UserId;

/// The events that concern the caller. Rate-limited, because they can be a hundred, each of which is parsed.
pub async fn list_activity(
    ctx: &Context,
    user: UserId,
    range: EventRange,
    limit: u32,
    request_ctx: RequestContext<'_>,
) -> Result<EventPage, Error> {
    rate_limit::check_costly(ctx, user, request_ctx).await?;
    list_of_user(ctx, user, range, limit).await
}
