//! Whether who changes something of a user's knows the user's password: a stolen access token is not enough.

use std::net::IpAddr;

use super::password::{Password, Verdict};
use super::{Failure, limit};
use crate::app::App;
use crate::store::accounts::User;

/// Demands the password of a user who has one. A try counts as a sign-in does: who has a token may not guess faster.
pub(super) async fn original(
    app: &App,
    user: &User,
    given: Option<&Password>,
    counted_by: IpAddr,
) -> Result<(), Failure> {
    let Some(stored) = &user.password_hash else { return Ok(()) };
    let given = given.ok_or(Failure::WrongOriginal)?;
    limit::of_address(app, counted_by).await?;
    let place = app.node.hasher.place()?;
    limit::of_account(app, Some(user.id), None).await?;
    match place.verify(given, Some(stored)).await? {
        Verdict::Right { .. } => Ok(()),
        Verdict::Wrong => Err(Failure::WrongOriginal),
    }
}
