//! Making an account of one's own, where registration is open.

use crate::auth::accounts::create::{Wanted, create_user};
use crate::auth::context::Context;
use crate::auth::passwords::Policy;
use crate::auth::sessions::open::Door;
use crate::auth::{Failure, rate_limit};
use crate::store::accounts::User;

/// Makes an account, whose password meets the rules of the door it is made at.
pub async fn sign_up(ctx: &Context, wanted: Wanted, door: Door<'_>) -> Result<User, Failure> {
    if !ctx.node.config.accounts.open_registration {
        return Err(Failure::RegistrationClosed);
    }
    rate_limit::of_sign_ups(ctx, door.counted_by).await?;
    create_user(ctx, wanted, Policy::of(door.lives, &ctx.node.config.passwords)).await
}
