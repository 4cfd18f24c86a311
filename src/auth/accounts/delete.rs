//! Deleting a user: projects, keys and sessions go with it.

use crate::auth::Error;
use crate::auth::accounts::disable::set_disabled;
use crate::auth::accounts::permissions::can_manage;
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::id::UserId;
use crate::store::accounts::{Find, User};

/// Deletes a user. It is disabled first: whoever reads the row in between, for a sign-in or an API key, reads that it is of
/// no use, so nothing is opened or remembered for somebody who is about to be gone. Should a step fail, doing it again goes on
/// from there; once the row is gone, nothing is left to do.
pub async fn delete_user(ctx: &Context, user: UserId) -> Result<(), Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        set_disabled(&ctx, user, true).await?;
        let now = ctx.now();
        let gone = ctx.accounts.delete_user(user, now, now - ctx.node.durable_revocation_ttl()).await?;
        if gone { Ok(()) } else { Err(Error::NotFound) }
    })
    .await
}

/// Deletes `user`, who asks for it.
pub async fn delete_self(ctx: &Context, user: &User) -> Result<(), Error> {
    if user.superuser { Err(Error::Forbidden(Denial::CannotDeleteSelf)) } else { delete_user(ctx, user.id).await }
}

/// Deletes `id`, as `by` asks, who sees to users.
pub async fn delete_user_as_admin(ctx: &Context, by: &User, id: UserId) -> Result<(), Error> {
    let user = ctx.accounts.user(Find::Id(id)).await?.ok_or(Error::NotFound)?;
    can_manage(by, &user)?;
    if user.id == by.id { delete_self(ctx, by).await } else { delete_user(ctx, user.id).await }
}
