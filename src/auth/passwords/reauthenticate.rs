//! Re-authentication: a sensitive change needs the user's current password, or a recent sign-in where the user has
//! none, so that a stolen access token is not enough for it.
//!
//! A sign-in is recent for `tokens.recent_sign_in`. A stolen access token suffices for at most that long after the
//! sign-in. A stolen refresh token suffices no longer, because refreshing does not change the `auth_time`.

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::passwords::{Password, QueueSlot, Verdict};
use crate::auth::rate_limit::AttemptPermit;
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::clock::{MAX_CLOCK_SKEW, Timestamp};
use crate::store::accounts::{PasswordHash, User};

/// Proof, besides an access token, that the caller is the user.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityProof<'a> {
    /// The current password, if the request contains one.
    pub password: Option<&'a Password>,
    /// When the user authenticated, as the access token says.
    pub auth_time: Option<Timestamp>,
}

/// Requires the current password of a user who has one, and a recent sign-in of a user who has none. Attempts have a
/// counter of their own: strangers cannot exhaust it, and a stolen token does not allow faster guessing than a login.
pub(in crate::auth) async fn reauthenticate(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let Some(stored) = &user.password_hash else { return require_recent_sign_in(ctx, user, proof, request_ctx) };
    let Attempt { password, slot, permit } = reserve_attempt(ctx, user, proof.password, request_ctx).await?;
    match slot.verify(password, Some(stored)).await? {
        Verdict::Correct { .. } => Ok(()),
        Verdict::Wrong => Err(wrong_password(ctx, user, permit, request_ctx)),
    }
}

/// Like [`reauthenticate`], and hashes the new password in the same slot of the queue: the request cannot be rejected
/// between the two.
pub(in crate::auth) async fn reauthenticate_and_hash(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    new: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<PasswordHash, Error> {
    let Some(stored) = &user.password_hash else {
        return hash_after_recent_sign_in(ctx, user, proof, new, request_ctx).await;
    };
    let Attempt { password, slot, permit } = reserve_attempt(ctx, user, proof.password, request_ctx).await?;
    slot.verify_and_hash(password, stored, new).await?.ok_or_else(|| wrong_password(ctx, user, permit, request_ctx))
}

/// Requires the current password if the request contains one, and a recent sign-in otherwise: for calls of published
/// APIs that have no field for the password.
pub(in crate::auth) async fn require_password_or_recent_sign_in(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    match proof.password {
        Some(_) => reauthenticate(ctx, user, proof, request_ctx).await,
        None => require_recent_sign_in(ctx, user, proof, request_ctx),
    }
}

/// Like [`require_password_or_recent_sign_in`], and hashes the new password as [`reauthenticate_and_hash`] does.
pub(in crate::auth) async fn require_password_or_recent_sign_in_and_hash(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    new: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<PasswordHash, Error> {
    match proof.password {
        Some(_) => reauthenticate_and_hash(ctx, user, proof, new, request_ctx).await,
        None => hash_after_recent_sign_in(ctx, user, proof, new, request_ctx).await,
    }
}

/// Counts the hash as an attempt at the current password, because the change may be refused after it, and be repeated
/// any number of times.
async fn hash_after_recent_sign_in(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    new: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<PasswordHash, Error> {
    require_recent_sign_in(ctx, user, proof, request_ctx)?;
    let (slot, _counted) = reserve_slot(ctx, user, request_ctx).await?;
    Ok(slot.hash(new).await?)
}

fn require_recent_sign_in(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    if is_recent(ctx, proof.auth_time) {
        return Ok(());
    }
    record_refusal(ctx, user, "no recent sign-in", request_ctx);
    Err(Error::RecentSignInRequired)
}

/// Returns true if the user authenticated at `auth_time` and less than `tokens.recent_sign_in` ago. A time that is in
/// the future by more than the clock skew comes from a wrong clock, and does not show how long ago the sign-in was.
pub(in crate::auth) fn is_recent(ctx: &Context, auth_time: Option<Timestamp>) -> bool {
    let (now, longest) = (ctx.now(), ctx.node.config.tokens.recent_sign_in);
    auth_time.is_some_and(|at| now.since(at) <= longest && at.since(now) <= MAX_CLOCK_SKEW)
}

/// An attempt that was counted, so that its password may be compared.
struct Attempt<'a, 'p> {
    password: &'p Password,
    slot: QueueSlot<'a>,
    permit: AttemptPermit,
}

async fn reserve_attempt<'a, 'p>(
    ctx: &'a Context,
    user: &User,
    password: Option<&'p Password>,
    request_ctx: RequestContext<'_>,
) -> Result<Attempt<'a, 'p>, Error> {
    let password = password.ok_or(Error::WrongCurrentPassword)?;
    let (slot, permit) = reserve_slot(ctx, user, request_ctx).await?;
    Ok(Attempt { password, slot, permit })
}

/// Counts an attempt and reserves a slot in the queue for it.
async fn reserve_slot<'a>(
    ctx: &'a Context,
    user: &User,
    request_ctx: RequestContext<'_>,
) -> Result<(QueueSlot<'a>, AttemptPermit), Error> {
    rate_limit::check_sign_in(ctx, request_ctx).await?;
    let slot = ctx.node.hasher.acquire_slot(Some(request_ctx.rate_limit_ip)).await?;
    let permit = rate_limit::check_reauthentication(ctx, user.id, request_ctx).await?;
    Ok((slot, permit))
}

fn wrong_password(ctx: &Context, user: &User, permit: AttemptPermit, request_ctx: RequestContext<'_>) -> Error {
    record_refusal(ctx, user, "wrong password", request_ctx);
    permit.refusal(Error::WrongCurrentPassword)
}

fn record_refusal(ctx: &Context, user: &User, reason: &'static str, request_ctx: RequestContext<'_>) {
    let event = Event::of_user(EventType::ReauthenticationRefused, user.id, Origin::request(request_ctx));
    audit::record(ctx, event.reason(reason));
}
