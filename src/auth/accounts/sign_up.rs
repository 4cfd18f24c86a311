//! Signs up: creates an account on the request of its owner, where registration is open.

use crate::auth::accounts::create::{CreateUser, create_and_record};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::rate_limit::LimitedAction;
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::store::accounts::User;

/// Creates an account whose password meets the policy of the dialect.
pub async fn sign_up(ctx: &Context, new_user: CreateUser, request_ctx: RequestContext<'_>) -> Result<User, Error> {
    if !ctx.node.config.accounts.open_registration {
        return Err(Error::RegistrationClosed);
    }
    rate_limit::check_client(ctx, LimitedAction::SignUpClient, request_ctx).await?;
    let origin = Origin::request(request_ctx);
    let record = move |ctx: &Context, user: &User| {
        audit::record(ctx, Event::of_user(EventType::UserRegistered, user.id, origin));
    };
    create_and_record(ctx, new_user, request_ctx, record).await
}
