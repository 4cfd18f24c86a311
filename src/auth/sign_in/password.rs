//! Signing in with a password.
//!
//! Nothing tells a known name from an unknown one: both take their turn at the limits and one hash of the same cost, and fail
//! with the same words and on the same beat. A disabled user is told so only with the right password.

use std::net::IpAddr;

use tokio::time::Instant;

use crate::auth::accounts::identity::Login;
use crate::auth::context::Context;
use crate::auth::mfa::{Entry, enter};
use crate::auth::passwords::{Password, Place, Verdict};
use crate::auth::sessions::open::{Door, Pair, open_session};
use crate::auth::sign_in::timing::refuse_evenly;
use crate::auth::{Failure, rate_limit};
use crate::store::accounts::{Find, User};

/// Recognises a user by name and password, and opens a session; `second` is the second factor, where it was given.
pub async fn sign_in(
    ctx: &Context,
    login: &str,
    password: &Password,
    second: Option<&str>,
    door: Door<'_>,
) -> Result<Pair, Failure> {
    let user = recognise(ctx, login, password, door.counted_by).await?;
    open_session(ctx, &user, second, door).await
}

/// The same by two steps: where a second factor is due, the token of the second step is handed out.
pub async fn sign_in_by_steps(ctx: &Context, login: &str, password: &Password, door: Door<'_>) -> Result<Entry, Failure> {
    let user = recognise(ctx, login, password, door.counted_by).await?;
    enter(ctx, &user, door).await
}

/// Recognises a user by name and password; the row is as it was when the password was read.
pub async fn recognise(ctx: &Context, login: &str, password: &Password, counted_by: IpAddr) -> Result<User, Failure> {
    let begun = Instant::now();
    let login = Login::read(login);
    rate_limit::of_address(ctx, counted_by).await?;
    // Before anything is known of the user, and before the account's share is touched: when there is no room, nobody learns
    // whose name it was, and nobody is kept out afterwards for having tried.
    let place = ctx.node.hasher.place()?;
    let user = match &login {
        Some(Login::Email(email)) => ctx.accounts.user(Find::Email(email.as_str())).await?,
        Some(Login::Username(username)) => ctx.accounts.user(Find::UsernameKey(username.key())).await?,
        None => None,
    };
    let compared = compare(ctx, user, login.as_ref(), password, place).await;
    // Whatever the reason, the account's limit too: in every answer from here on is what the look-up took.
    if compared.is_err() {
        refuse_evenly(begun).await;
    }
    compared
}

/// What comes after the look-up: `user` is whom the name was found to be, if anybody.
async fn compare(
    ctx: &Context,
    user: Option<User>,
    login: Option<&Login>,
    password: &Password,
    place: Place<'_>,
) -> Result<User, Failure> {
    rate_limit::of_account(ctx, user.as_ref().map(|user| user.id), login).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
    match (place.verify(password, stored).await?, user) {
        (Verdict::Right { upgrade }, Some(user)) => {
            if let (Some(new), Some(old)) = (upgrade, &user.password_hash) {
                // Whether it succeeds decides nothing: the old hash is as good as before.
                if let Err(error) = ctx.accounts.rehash(user.id, old, &new).await {
                    tracing::warn!(user = %user.id, %error, "a password hash could not be renewed");
                }
            }
            Ok(user)
        }
        (Verdict::Right { .. }, None) | (Verdict::Wrong, _) => Err(Failure::WrongPassword),
    }
}
