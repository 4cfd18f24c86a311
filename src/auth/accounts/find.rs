//! Looks up users.

use crate::auth::context::Context;
use crate::auth::identity::{LoginName, other_keys};
use crate::auth::sessions::list::list_sessions;
use crate::auth::{Error, mfa};
use crate::id::{ProjectId, UserId};
use crate::store;
use crate::store::accounts::{ApiKey, Find, User};

/// Users per page.
const PAGE: u32 = 20;

/// A page of all users in order of creation; the first page is number 0.
pub async fn list_users(ctx: &Context, page: u64) -> Result<Vec<User>, Error> {
    Ok(ctx.accounts.users_page(page.saturating_mul(PAGE.into()), PAGE).await?)
}

/// The most API keys that [`describe_user`] returns.
const MAX_API_KEYS: u32 = 100;

/// A user, and what belongs to it.
pub struct UserDetails {
    /// The user.
    pub user: User,
    /// The number of unused recovery codes.
    pub recovery_codes_left: usize,
    /// The number of open sessions; `None` while their store does not answer.
    pub sessions_open: Option<usize>,
    /// Ids and names of the projects, the personal one first.
    pub projects: Vec<(ProjectId, String)>,
    /// The newest API keys.
    pub api_keys: Vec<ApiKey>,
}

/// One user, and what belongs to it. An outage of the store of sessions hides only their number: an administrator needs
/// the rest during an outage too.
pub async fn describe_user(ctx: &Context, user: UserId) -> Result<UserDetails, Error> {
    let user = find_user(ctx, user).await?;
    Ok(UserDetails {
        recovery_codes_left: mfa::recovery_codes_left(ctx, &user).await?,
        sessions_open: list_sessions(ctx, user.id).await.ok().map(|sessions| sessions.len()),
        projects: ctx.accounts.projects(user.id).await?,
        api_keys: ctx.accounts.api_keys_of_user(user.id, MAX_API_KEYS).await?,
        user,
    })
}

/// The user whose id, address or username the text is.
pub async fn find_by_text(ctx: &Context, text: &str) -> store::Result<Option<User>> {
    match (UserId::parse(text), LoginName::parse(text)) {
        (Some(id), _) => ctx.accounts.user(Find::Id(id)).await,
        (None, Some(login)) => find_by_login(ctx, &login).await,
        (None, None) => Ok(None),
    }
}

/// The user with this login name. If usernames of two users are spellings of one name, each has its own spelling.
pub async fn find_by_login(ctx: &Context, login: &LoginName) -> store::Result<Option<User>> {
    match login {
        LoginName::Email(email) => ctx.accounts.user(Find::Email(email.as_str())).await,
        LoginName::Username(username) => {
            let user = ctx.accounts.user(Find::UsernameKey(username.key())).await?;
            // In any case, so that the duration does not tell whether there is a user.
            let other = find_by_other_spelling(ctx, username.key()).await?;
            Ok(user.or(other))
        }
    }
}

/// The user whose username is another spelling of the name with this key. Takes a query for each.
pub(super) async fn find_by_other_spelling(ctx: &Context, key: &str) -> store::Result<Option<User>> {
    let mut found = None;
    for other in other_keys(key) {
        let user = ctx.accounts.user(Find::UsernameKey(&other)).await?;
        found = found.or(user);
    }
    Ok(found)
}

/// One user.
pub async fn find_user(ctx: &Context, user: UserId) -> Result<User, Error> {
    ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)
}
