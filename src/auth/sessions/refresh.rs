//! Exchanges a refresh token for new tokens.
//!
//! This is a hot path. Its budget: one MAC to parse the token, which rejects garbage; one round trip to the store,
//! which rotates and detects reuse in one step; one lookup in memory; one signature and one MAC. It does not read the
//! accounts: whatever revokes a user's sessions ends them in the ephemeral store, and sessions that a failover of that
//! store may have brought back are known from [`crate::auth::revocation::durable`].

use crate::auth::Error;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::auth::revocation::sessions::{apply_ends, end_revived_session};
use crate::auth::sessions::claims::EMAIL_VERIFIED;
use crate::auth::sessions::tokens::{TokenPair, issue_tokens};
use crate::config::{Api, Dialect, RotationPolicy};
use crate::id::UserId;
use crate::store::ephemeral::{
    OpenedIn, RequiredText, Revocation, RotateRequest, Rotation, SessionConditions, SessionSnapshot, Target,
};
use crate::token::refresh::RefreshToken;

/// Exchanges `token` by the rules of the dialect. With `owner`, the token of another user is invalid.
pub async fn refresh(
    ctx: &Context,
    token: &str,
    owner: Option<UserId>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let token = RefreshToken::parse(token, &ctx.node.secrets).ok_or(Error::InvalidRefreshToken)?;
    if owner.is_some_and(|owner| owner != token.user) {
        return Err(Error::InvalidRefreshToken);
    }
    let dialect = request_ctx.dialect_config;
    let conditions = conditions(&ctx.node.config.api, dialect);
    let session = redeem_refresh_token(ctx, token, dialect.rotation, conditions, request_ctx).await?;
    issue_tokens(ctx, session, request_ctx)
}

/// The conditions on sessions whose tokens are refreshed in `dialect`. An address must be verified if this dialect or
/// the one that opened the session requires it: refreshing elsewhere is no way around a setting.
fn conditions(api: &Api, dialect: &Dialect) -> SessionConditions {
    let opened_in = |matches: fn(&Dialect) -> bool| {
        OpenedIn::OneOf(api.all().map(|(name, dialect)| matches(dialect).then_some(name)))
    };
    let verified_only = if dialect.verified_only { OpenedIn::Any } else { opened_in(|other| other.verified_only) };
    SessionConditions {
        opened_in: match dialect.rotation {
            RotationPolicy::Rotate => OpenedIn::Any,
            RotationPolicy::Keep => opened_in(keeps),
        },
        required: Some(RequiredText { text: EMAIL_VERIFIED, of: verified_only }),
    }
}

fn keeps(dialect: &Dialect) -> bool {
    dialect.rotation == RotationPolicy::Keep
}

/// Returns true if refresh tokens of a session that was opened in the dialect `opened_in` are accepted in `dialect`.
pub(in crate::auth) fn is_accepted(api: &Api, dialect: &Dialect, opened_in: &str) -> bool {
    conditions(api, dialect).opened_in.contains(opened_in)
}

/// Presents a refresh token to the store and returns its session, if the token is current.
pub(in crate::auth) async fn redeem_refresh_token(
    ctx: &Context,
    token: RefreshToken,
    policy: RotationPolicy,
    conditions: SessionConditions,
    request_ctx: RequestContext<'_>,
) -> Result<SessionSnapshot, Error> {
    let (node, now) = (&ctx.node, ctx.now());
    let request = RotateRequest {
        user: token.user,
        session: token.session,
        counter: token.counter,
        rotate: policy == RotationPolicy::Rotate,
        grace: node.config.tokens.grace,
        not_before: node.revocations.global_not_before(),
        revocation_expires_at: now + node.retention.revocation_ttl(),
        conditions,
    };
    match ctx.ephemeral.rotate_refresh_token(request, now).await? {
        Rotation::Rotated(session) | Rotation::Replayed(session) => {
            let ended = node.revocations.is_session_ended(session.user, session.id, session.opened_at);
            if ended && end_revived_session(ctx, session.user, session.id).await? {
                return Err(Error::InvalidRefreshToken);
            }
            Ok(session)
        }
        Rotation::Reused => {
            let (user, session) = (token.user, token.session);
            let event = Event::of_user(EventType::RefreshReused, user, Origin::request(request_ctx));
            audit::record(ctx, event.session(session));
            let target = Target::Session(session);
            apply_ends(ctx, user, &[Revocation { target, expires_at: request.revocation_expires_at }]);
            Err(Error::RefreshTokenReused)
        }
        Rotation::RequirementUnmet => Err(Error::EmailNotVerified),
        Rotation::NotFound => Err(Error::InvalidRefreshToken),
    }
}
