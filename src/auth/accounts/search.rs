//! Searches users for an administrator.

use super::find::find_by_text;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::identity::MAX_EMAIL;
use crate::store::accounts::{User, UserPage, UserSearch};

pub use crate::store::accounts::UserStatus;

/// The longest text to search for, in characters: as long as an address can be.
pub const MAX_TEXT: usize = MAX_EMAIL;

/// The most statements of one request, each of which reads a bounded number of rows. A request that finds too few users
/// with them returns those, and where to continue.
const MAX_STATEMENTS: usize = 5;

/// A search for users.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// A whole id, or a part of an address, username or full name. The case of letters does not matter, except that of
    /// letters beyond ASCII in a full name. Empty for all users.
    pub text: &'a str,
    /// Only the users of this state.
    pub status: Option<UserStatus>,
    /// The [`UserPage::next`] of the page before.
    pub before: Option<i64>,
    /// The most users to return.
    pub limit: u32,
}

/// A page of users, the newest first. The user whose id, address or username is exactly the text comes before all
/// others, on the first page.
pub async fn search_users(ctx: &Context, query: Query<'_>) -> Result<UserPage, Error> {
    let text = query.text.trim();
    let exact = find_by_text(ctx, text).await?.filter(|user| has_status(user, query.status));
    let mut users: Vec<User> = exact.iter().filter(|_| query.before.is_none()).cloned().collect();
    let mut search = UserSearch {
        text: Some(text.to_owned()).filter(|text| !text.is_empty()),
        status: query.status,
        before: query.before,
        limit: query.limit,
    };
    for _ in 0..MAX_STATEMENTS {
        search.limit = query.limit.saturating_sub(users.len() as u32);
        if search.limit == 0 {
            return Ok(UserPage { users, next: search.before.or(Some(i64::MAX)) });
        }
        let page = ctx.accounts.search_users(&search).await?;
        let is_exact = |user: &User| exact.as_ref().is_some_and(|exact| exact.id == user.id);
        users.extend(page.users.into_iter().filter(|user| !is_exact(user)));
        search.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    Ok(UserPage { users, next: search.before })
}

fn has_status(user: &User, status: Option<UserStatus>) -> bool {
    match status {
        None => true,
        Some(UserStatus::Active) => !user.disabled,
        Some(UserStatus::Disabled) => user.disabled,
        Some(UserStatus::Unverified) => !user.verified,
    }
}
