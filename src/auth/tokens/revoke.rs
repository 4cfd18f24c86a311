//! Revoking a token of either kind (RFC 7009). A token that is not ours or no longer good is as revoked as it can be.

use super::verify::{VerifyError, verify_access_token};
use crate::auth::context::Context;
use crate::auth::sessions::open::RequestContext;
use crate::auth::sessions::refresh::{RotationPolicy, refresh};
use crate::auth::sessions::sign_out::sign_out;
use crate::auth::{Error, rate_limit};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::ephemeral::{Revocation, SignOutScope, Target};
use crate::token::refresh::Refresh;

/// Revokes `token`: the session of a refresh token, the token alone of an access token.
pub async fn revoke(ctx: &Context, token: &str) -> Result<(), Error> {
    if sign_out_token(ctx, token).await? {
        return Ok(());
    }
    let verified = match verify_access_token(ctx, token) {
        Ok(verified) => verified,
        // Not the token's fault: it may be good, and would be good again once this node has caught up.
        Err(VerifyError::Behind) => return Err(Error::Behind),
        Err(_) => return Ok(()),
    };
    let target = match (verified.token, verified.session) {
        (Some(token), _) => Target::Token(token),
        (None, Some(session)) => Target::Session(session),
        (None, None) => return Ok(()),
    };
    // Nothing else bounds them: tokens are had for the asking, and each that is revoked is remembered by all. One that was revoked
    // before did not get here.
    rate_limit::check_revocation(ctx, &verified.subject).await?;
    publish(ctx, target, verified.expires_at + ctx.node.issuer.leeway()).await
}

/// Ends the session of a refresh token, in force or not; false: the token is no refresh token of ours, and nothing was done.
pub async fn sign_out_token(ctx: &Context, token: &str) -> Result<bool, Error> {
    let Some(refresh) = Refresh::read(token, &ctx.node.secrets) else { return Ok(false) };
    end_session_of(ctx, refresh.user, refresh.session).await?;
    Ok(true)
}

/// Ends a session that a token of ours names: it was there, whatever the store knows of it. Where a failover has lost its record, its
/// access tokens are good all the same, so all nodes are told all the same that it is over. Once: who asks again finds it told.
pub async fn end_session_of(ctx: &Context, user: UserId, session: SessionId) -> Result<(), Error> {
    let ended = sign_out(ctx, user, SignOutScope::One(session)).await?;
    let now = ctx.now();
    let opened_at = session.made_at().unwrap_or(now);
    if ended == 0 && !ctx.node.revocations.is_session_ended(user, session, opened_at) {
        publish(ctx, Target::Session(session), now + ctx.node.revocation_ttl()).await?;
    }
    Ok(())
}

/// Ends the session of a refresh token that is in force. One that was rotated ends it too, as it does everywhere, but is told that
/// it was none.
pub async fn revoke_refresh_token(ctx: &Context, token: &str, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    let pair = refresh(ctx, token, None, RotationPolicy::Keep, request_ctx).await?;
    sign_out(ctx, pair.session.user, SignOutScope::One(pair.session.id)).await?;
    Ok(())
}

/// Lets nobody believe `target` any more: when this returns it is written, and this node refuses it already. What is over for good is not
/// written again: whoever asks for it once more makes nothing grow.
pub(in crate::auth) async fn publish(ctx: &Context, target: Target, until: Timestamp) -> Result<(), Error> {
    let revocation = Revocation { target, until };
    if ctx.node.revocations.contains(&revocation.target) {
        return Ok(());
    }
    ctx.ephemeral.revoke(&revocation, ctx.now()).await?;
    ctx.node.revocations.apply(&revocation);
    Ok(())
}
