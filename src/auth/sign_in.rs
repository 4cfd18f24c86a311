//! Signing in with a password.
//!
//! Nothing tells a known name from an unknown one: both take their turn at the limits and one hash of the same cost, and fail
//! with the same words and on the same beat. A disabled user is told so only with the right password.

use std::net::IpAddr;

use tokio::time::Instant;

use super::evenly::refuse_evenly;
use super::open_session::{Door, Pair, open_session};
use super::password::{Password, Verdict};
use super::second_factor::{Entry, enter};
use super::{Failure, identity::Login, limit};
use crate::app::App;
use crate::store::accounts::{Find, User};

/// Recognises a user by name and password, and opens a session; `second` is the second factor, where it was given.
pub async fn sign_in(
    app: &App,
    login: &str,
    password: &Password,
    second: Option<&str>,
    door: Door<'_>,
) -> Result<Pair, Failure> {
    let user = recognise(app, login, password, door.counted_by).await?;
    open_session(app, &user, second, door).await
}

/// The same by two steps: where a second factor is due, the token of the second step is handed out.
pub async fn sign_in_by_steps(app: &App, login: &str, password: &Password, door: Door<'_>) -> Result<Entry, Failure> {
    let user = recognise(app, login, password, door.counted_by).await?;
    enter(app, &user, door).await
}

/// Recognises a user by name and password; the row is as it was when the password was read.
pub async fn recognise(app: &App, login: &str, password: &Password, counted_by: IpAddr) -> Result<User, Failure> {
    let begun = Instant::now();
    let login = Login::read(login);
    limit::of_address(app, counted_by).await?;
    // Before anything is known of the user, and before the account's share is touched: when there is no room, nobody learns
    // whose name it was, and nobody is kept out afterwards for having tried.
    let place = app.node.hasher.place()?;
    let user = match &login {
        Some(Login::Email(email)) => app.accounts.user(Find::Email(email.as_str())).await?,
        Some(Login::Username(username)) => app.accounts.user(Find::UsernameKey(username.key())).await?,
        None => None,
    };
    limit::of_account(app, user.as_ref().map(|user| user.id), login.as_ref()).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let Ok(verdict) = place.verify(password, stored).await else {
        refuse_evenly(begun).await;
        return Err(Failure::Busy);
    };
    match (verdict, user) {
        (Verdict::Right { upgrade }, Some(user)) => {
            if let (Some(new), Some(old)) = (upgrade, &user.password_hash) {
                // Whether it succeeds decides nothing: the old hash is as good as before.
                if let Err(error) = app.accounts.rehash(user.id, old, &new).await {
                    tracing::warn!(user = %user.id, %error, "a password hash could not be renewed");
                }
            }
            Ok(user)
        }
        (Verdict::Right { .. }, None) | (Verdict::Wrong, _) => {
            refuse_evenly(begun).await;
            Err(Failure::WrongPassword)
        }
    }
}
