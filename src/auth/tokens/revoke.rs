//! Revoking a token of either kind (RFC 7009). A token that is not ours or no longer valid counts as revoked already.

use super::caller::Caller;
use super::verify::verify_access_token;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::{Denial, VerifyError};
use crate::auth::request_context::RequestContext;
use crate::auth::revocation::publish::publish_revocation;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::refresh::redeem_refresh_token;
use crate::auth::sessions::sign_out::sign_out;
use crate::auth::{Error, rate_limit};
use crate::config::RotationPolicy;
use crate::id::{SessionId, UserId};
use crate::store::ephemeral::{SessionConditions, SignOutScope, Target};
use crate::token::refresh::RefreshToken;

/// The scope that permits an API key to revoke tokens.
pub const REVOKE_SCOPE: &str = "revoke";

/// Revokes `token` for a client. Fails if the token is valid and the client may not manage it (RFC 7009, 2.1).
pub async fn revoke_for_client(
    ctx: &Context,
    client: &Caller,
    token: &str,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let owner = match RefreshToken::parse(token, &ctx.node.secrets) {
        Some(refresh) => Some(refresh.user),
        None => match verify_access_token(ctx, token) {
            Ok(verified) => verified.user,
            Err(VerifyError::Stale) => return Err(Error::Stale),
            Err(_) => return Ok(()),
        },
    };
    if !client.may_manage_tokens_of(ctx, owner).await? {
        return Err(Error::Forbidden(Denial::MissingPermission));
    }
    revoke(ctx, token, Origin::request_of(client.user, request_ctx)).await
}

/// Revokes `token`: the session of a refresh token, or a single access token.
pub async fn revoke(ctx: &Context, token: &str, origin: Origin) -> Result<(), Error> {
    if sign_out_token(ctx, token, origin.clone()).await? {
        return Ok(());
    }
    let verified = match verify_access_token(ctx, token) {
        Ok(verified) => verified,
        // The token may be valid, and would be accepted again once this node is no longer stale.
        Err(VerifyError::Stale) => return Err(Error::Stale),
        Err(_) => return Ok(()),
    };
    let target = match (verified.token_id, verified.session) {
        (Some(token), _) => Target::Token(token),
        (None, Some(session)) => Target::Session(session),
        (None, None) => return Ok(()),
    };
    // A client can obtain any number of access tokens. One that is revoked already does not get here.
    rate_limit::check_revocation(ctx, verified.user, &verified.subject, &origin).await?;
    let (ctx, user, expires_at) = (ctx.clone(), verified.user, verified.expires_at + ctx.node.issuer.leeway());
    run_to_completion(async move {
        publish_revocation(&ctx, target, expires_at).await?;
        audit::record(&ctx, Event::new(EventType::TokenRevoked, origin).user(user));
        Ok(())
    })
    .await
}

/// Ends the session of a refresh token, whether the token is current or rotated. `false` if it is no refresh token of
/// ours: then nothing happens.
pub async fn sign_out_token(ctx: &Context, token: &str, origin: Origin) -> Result<bool, Error> {
    let Some(refresh) = RefreshToken::parse(token, &ctx.node.secrets) else { return Ok(false) };
    end_session_of(ctx, refresh.user, refresh.session, origin).await?;
    Ok(true)
}

/// Ends a session that an authentic token of ours names, even if the store does not know it. A failover may have lost
/// its record while its access tokens are still valid, so the revocation is published nevertheless, within the limits
/// of tokens that are revoked individually. Idempotent.
pub async fn end_session_of(ctx: &Context, user: UserId, session: SessionId, origin: Origin) -> Result<(), Error> {
    let ended = sign_out(ctx, user, SignOutScope::One(session), origin.clone()).await?;
    let now = ctx.now();
    let opened_at = session.created_at().unwrap_or(now);
    if ended == 0 && !ctx.node.revocations.is_session_ended(user, session, opened_at) {
        // A client can keep the refresh tokens of any number of sessions that ended long ago.
        rate_limit::check_revocation(ctx, Some(user), &user.to_string(), &origin).await?;
        publish_revocation(ctx, Target::Session(session), now + ctx.node.retention.revocation_ttl()).await?;
    }
    Ok(())
}

/// Ends the session of a current refresh token. A rotated token ends its session too, as everywhere, but the call
/// fails.
pub async fn revoke_refresh_token(ctx: &Context, token: &str, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    let token = RefreshToken::parse(token, &ctx.node.secrets).ok_or(Error::InvalidRefreshToken)?;
    let session =
        redeem_refresh_token(ctx, token, RotationPolicy::Keep, SessionConditions::default(), request_ctx).await?;
    sign_out(ctx, session.user, SignOutScope::One(session.id), Origin::request(request_ctx)).await?;
    Ok(())
}
