//! Looking at other users: by page, or one.

use crate::auth::Failure;
use crate::auth::context::App;
use crate::id::UserId;
use crate::store::accounts::{Find, User};

/// How many users a page has.
const PAGE: u32 = 20;

/// A page of all users in the order in which they were made; the first is number 0.
pub async fn page_of_users(app: &App, page: u64) -> Result<Vec<User>, Failure> {
    Ok(app.accounts.users_page(page.saturating_mul(PAGE.into()), PAGE).await?)
}

/// One user.
pub async fn find_user(app: &App, user: UserId) -> Result<User, Failure> {
    app.accounts.user(Find::Id(user)).await?.ok_or(Failure::Absent)
}
