//! Whether who changes something of a user's knows the user's password: a stolen access token is not enough.

use std::net::IpAddr;

use crate::auth::context::Context;
use crate::auth::passwords::{Password, QueueSlot, Verdict};
use crate::auth::{Error, rate_limit};
use crate::store::accounts::{PasswordHash, User};

/// Demands the password of a user who has one. A try counts as a sign-in does: who has a token may not guess faster.
pub(in crate::auth) async fn original(
    ctx: &Context,
    user: &User,
    given: Option<&Password>,
    counted_by: IpAddr,
) -> Result<(), Error> {
    let Some(stored) = &user.password_hash else { return Ok(()) };
    let (given, place) = counted(ctx, user, given, counted_by).await?;
    match place.verify(given, Some(stored)).await? {
        Verdict::Right { .. } => Ok(()),
        Verdict::Wrong => Err(Error::WrongCurrentPassword),
    }
}

/// The same, and hashes the one that is to take its place: both have one place in the queue, so that nobody is turned away between
/// them.
pub(in crate::auth) async fn replaced(
    ctx: &Context,
    user: &User,
    given: Option<&Password>,
    new: &Password,
    counted_by: IpAddr,
) -> Result<PasswordHash, Error> {
    let Some(stored) = &user.password_hash else { return Ok(ctx.node.hasher.hash(new).await?) };
    let (given, place) = counted(ctx, user, given, counted_by).await?;
    place.replace(given, stored, new).await?.ok_or(Error::WrongCurrentPassword)
}

async fn counted<'a, 'p>(
    ctx: &'a Context,
    user: &User,
    given: Option<&'p Password>,
    counted_by: IpAddr,
) -> Result<(&'p Password, QueueSlot<'a>), Error> {
    let given = given.ok_or(Error::WrongCurrentPassword)?;
    rate_limit::check_client(ctx, counted_by).await?;
    let place = ctx.node.hasher.place()?;
    rate_limit::check_account(ctx, Some(user.id), None).await?;
    Ok((given, place))
}
