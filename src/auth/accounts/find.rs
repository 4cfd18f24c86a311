//! Looks up users.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store::accounts::{Find, User};

/// Users per page.
const PAGE: u32 = 20;

/// A page of all users in order of creation; the first page is number 0.
pub async fn list_users(ctx: &Context, page: u64) -> Result<Vec<User>, Error> {
    Ok(ctx.accounts.users_page(page.saturating_mul(PAGE.into()), PAGE).await?)
}

/// One user.
pub async fn find_user(ctx: &Context, user: UserId) -> Result<User, Error> {
    ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)
}
