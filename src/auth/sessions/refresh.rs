//! Exchanges a refresh token for new tokens.
//!
//! This is a hot path. Its budget: one MAC to parse the token, which rejects garbage; one round trip to the store,
//! which rotates and detects reuse in one step; one look-up in memory; one signature and one MAC. It does not read the
//! accounts: whatever revokes a user's sessions ends them in the ephemeral store, and sessions that a failover of that
//! store may have brought back are known from [`crate::auth::revocation::durable`].

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::auth::revocation::sessions::end_revived_session;
use crate::auth::sessions::tokens::{TokenPair, issue_tokens};
use crate::id::UserId;
use crate::store::ephemeral::{Revocation, RotateRequest, Rotation, Target};
use crate::token::refresh::RefreshToken;

/// Whether a refresh replaces the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationPolicy {
    /// A successor replaces it.
    Rotate,
    /// It stays valid, with its expiry unchanged.
    Keep,
}

/// Exchanges `token`. With `owner`, the token of another user is invalid.
pub async fn refresh(
    ctx: &Context,
    token: &str,
    owner: Option<UserId>,
    policy: RotationPolicy,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let node = &ctx.node;
    let token = RefreshToken::parse(token, &node.secrets).ok_or(Error::InvalidRefreshToken)?;
    if owner.is_some_and(|owner| owner != token.user) {
        return Err(Error::InvalidRefreshToken);
    }
    let now = ctx.now();
    let request = RotateRequest {
        user: token.user,
        session: token.session,
        counter: token.counter,
        rotate: policy == RotationPolicy::Rotate,
        grace: node.config.tokens.grace,
        not_before: node.revocations.global_not_before(),
        revocation_expires_at: now + node.retention.revocation_ttl(),
    };
    match ctx.ephemeral.rotate_refresh_token(request, now).await? {
        Rotation::Rotated(session) | Rotation::Replayed(session) => {
            let ended = node.revocations.is_session_ended(session.user, session.id, session.opened_at);
            if ended && end_revived_session(ctx, session.user, session.id).await? {
                return Err(Error::InvalidRefreshToken);
            }
            issue_tokens(ctx, session, request_ctx, now)
        }
        Rotation::Reused => {
            let (user, session) = (token.user, token.session);
            let (client_ip, dialect) = (request_ctx.client_ip, request_ctx.dialect);
            tracing::info!(%user, %session, %client_ip, dialect, "refresh token reused; session revoked");
            let target = Target::Session(session);
            node.revocations.apply(&Revocation { target, expires_at: request.revocation_expires_at });
            Err(Error::RefreshTokenReused)
        }
        Rotation::NotFound => Err(Error::InvalidRefreshToken),
    }
}
