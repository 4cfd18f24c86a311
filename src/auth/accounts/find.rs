//! Looking at other users: by page, or one.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store::accounts::{Find, User};

/// How many users a page has.
const PAGE: u32 = 20;

/// A page of all users in the order in which they were made; the first is number 0.
pub async fn list_users(ctx: &Context, page: u64) -> Result<Vec<User>, Error> {
    Ok(ctx.accounts.users_page(page.saturating_mul(PAGE.into()), PAGE).await?)
}

/// One user.
pub async fn find_user(ctx: &Context, user: UserId) -> Result<User, Error> {
    ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)
}
