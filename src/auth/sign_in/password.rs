//! Signing in with a password.
//!
//! Nothing tells a known name from an unknown one: both take their turn at the limits and one hash of the same cost, and fail
//! with the same words and on the same beat. A disabled user is told so only with the right password.

use std::net::IpAddr;

use tokio::time::Instant;

use crate::auth::accounts::identity::Login;
use crate::auth::context::Context;
use crate::auth::mfa::{LoginStep, start_login};
use crate::auth::passwords::{Password, QueueSlot, Verdict};
use crate::auth::sessions::open::{RequestContext, TokenPair, open_session};
use crate::auth::sign_in::timing::delay_refusal;
use crate::auth::{Error, rate_limit};
use crate::store::accounts::{Find, User};

/// Recognises a user by name and password, and opens a session; `second` is the second factor, where it was given.
pub async fn sign_in(
    ctx: &Context,
    login: &str,
    password: &Password,
    second: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let user = check_password(ctx, login, password, request_ctx.rate_limit_ip).await?;
    open_session(ctx, &user, second, request_ctx).await
}

/// The same by two steps: where a second factor is due, the token of the second step is handed out.
pub async fn start_sign_in(
    ctx: &Context,
    login: &str,
    password: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<LoginStep, Error> {
    let user = check_password(ctx, login, password, request_ctx.rate_limit_ip).await?;
    start_login(ctx, &user, request_ctx).await
}

/// Recognises a user by name and password; the row is as it was when the password was read.
pub async fn check_password(
    ctx: &Context,
    login: &str,
    password: &Password,
    counted_by: IpAddr,
) -> Result<User, Error> {
    let begun = Instant::now();
    let login = Login::parse(login);
    rate_limit::check_client(ctx, counted_by).await?;
    // Before anything is known of the user, and before the account's share is touched: when there is no room, nobody learns
    // whose name it was, and nobody is kept out afterwards for having tried.
    let place = ctx.node.hasher.reserve_slot()?;
    let user = match &login {
        Some(Login::Email(email)) => ctx.accounts.user(Find::Email(email.as_str())).await?,
        Some(Login::Username(username)) => ctx.accounts.user(Find::UsernameKey(username.key())).await?,
        None => None,
    };
    let compared = compare(ctx, user, login.as_ref(), password, place).await;
    // Whatever the reason, the account's limit too: in every answer from here on is what the look-up took.
    if compared.is_err() {
        delay_refusal(begun).await;
    }
    compared
}

/// What comes after the look-up: `user` is whom the name was found to be, if anybody.
async fn compare(
    ctx: &Context,
    user: Option<User>,
    login: Option<&Login>,
    password: &Password,
    place: QueueSlot<'_>,
) -> Result<User, Error> {
    rate_limit::check_account(ctx, user.as_ref().map(|user| user.id), login).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
    match (place.verify(password, stored).await?, user) {
        (Verdict::Correct { upgrade }, Some(user)) => {
            if let (Some(new), Some(old)) = (upgrade, &user.password_hash) {
                // Whether it succeeds decides nothing: the old hash is as good as before.
                if let Err(error) = ctx.accounts.upgrade_hash(user.id, old, &new).await {
                    tracing::warn!(user = %user.id, %error, "a password hash could not be renewed");
                }
            }
            Ok(user)
        }
        (Verdict::Correct { .. }, None) | (Verdict::Wrong, _) => Err(Error::InvalidCredentials),
    }
}
