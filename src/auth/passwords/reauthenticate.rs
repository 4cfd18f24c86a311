//! Re-authentication: a sensitive change needs the user's current password, so that a stolen access token is not enough
//! for it.

use crate::auth::context::Context;
use crate::auth::passwords::{Password, QueueSlot, Verdict};
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::store::accounts::{PasswordHash, User};

/// Requires the current password of a user who has one. An attempt counts like a sign-in, so that a stolen token does
/// not allow faster guessing.
pub(in crate::auth) async fn reauthenticate(
    ctx: &Context,
    user: &User,
    password: Option<&Password>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let Some(stored) = &user.password_hash else { return Ok(()) };
    let (password, slot) = reserve_attempt(ctx, user, password, request_ctx).await?;
    match slot.verify(password, Some(stored)).await? {
        Verdict::Correct { .. } => Ok(()),
        Verdict::Wrong => Err(wrong_password(user, request_ctx)),
    }
}

/// Does the same and hashes the new password, in one slot of the queue: the request cannot be rejected between the two.
pub(in crate::auth) async fn reauthenticate_and_hash(
    ctx: &Context,
    user: &User,
    password: Option<&Password>,
    new: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<PasswordHash, Error> {
    let Some(stored) = &user.password_hash else { return Ok(ctx.node.hasher.hash(new).await?) };
    let (password, slot) = reserve_attempt(ctx, user, password, request_ctx).await?;
    slot.verify_and_hash(password, stored, new).await?.ok_or_else(|| wrong_password(user, request_ctx))
}

async fn reserve_attempt<'a, 'p>(
    ctx: &'a Context,
    user: &User,
    password: Option<&'p Password>,
    request_ctx: RequestContext<'_>,
) -> Result<(&'p Password, QueueSlot<'a>), Error> {
    let password = password.ok_or(Error::WrongCurrentPassword)?;
    rate_limit::check_client(ctx, request_ctx).await?;
    let slot = ctx.node.hasher.reserve_slot()?;
    rate_limit::check_account(ctx, Some(user.id), None, request_ctx).await?;
    Ok((password, slot))
}

fn wrong_password(user: &User, request_ctx: RequestContext<'_>) -> Error {
    let (user, client_ip, dialect) = (user.id, request_ctx.client_ip, request_ctx.dialect);
    tracing::info!(%user, %client_ip, dialect, reason = "wrong password", "re-authentication failed");
    Error::WrongCurrentPassword
}
