//! Making an account of one's own, where registration is open.

use crate::auth::accounts::create::{CreateUser, create_user};
use crate::auth::context::Context;
use crate::auth::passwords::Policy;
use crate::auth::sessions::open::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::store::accounts::User;

/// Makes an account, whose password meets the rules of the door it is made at.
pub async fn sign_up(ctx: &Context, wanted: CreateUser, request_ctx: RequestContext<'_>) -> Result<User, Error> {
    if !ctx.node.config.accounts.open_registration {
        return Err(Error::RegistrationClosed);
    }
    rate_limit::check_sign_up(ctx, request_ctx.rate_limit_ip).await?;
    create_user(ctx, wanted, Policy::of(request_ctx.dialect_config, &ctx.node.config.passwords)).await
}
