//! Issues the access token and the refresh token of a session.

use std::borrow::Cow;
use std::time::Duration;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::request_context::{ExtraClaims, RequestContext};
use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::store::ephemeral::SessionSnapshot;
use crate::token::access::NewAccessToken;
use crate::token::refresh::RefreshToken;

/// What a sign-in or a refresh returns. Not `Debug`, because both tokens are secrets.
#[derive(Clone)]
pub struct TokenPair {
    /// The access token.
    pub access_token: String,
    /// Lifetime of the access token.
    pub access_expires_in: Duration,
    /// The refresh token.
    pub refresh_token: String,
    /// Expiry of the refresh token if it is not used before.
    pub refresh_expires_at: Timestamp,
    /// The session of both.
    pub session: SessionSnapshot,
}

/// Issues the tokens of a session. Costs one signature and one MAC.
pub(in crate::auth) fn issue_tokens(
    ctx: &Context,
    session: SessionSnapshot,
    request_ctx: RequestContext<'_>,
    now: Timestamp,
) -> Result<TokenPair, Error> {
    let node = &ctx.node;
    let keys = node.keyring.keys();
    let key = keys.signer(now).ok_or(Error::Internal("no signing key is active"))?;
    // An access token must not outlive its session.
    let expires_at = (now + request_ctx.dialect_config.access).min(session.expires_at);
    let claims = match request_ctx.extra_claims {
        ExtraClaims::None => Cow::Borrowed(session.claims.as_str()),
        ExtraClaims::UidAndType => {
            Cow::Owned(format!(r#"{},"uid":"{}","token_type":"access""#, session.claims, session.user))
        }
    };
    let access_token = NewAccessToken {
        user: session.user,
        session: Some(session.id),
        api_key: None,
        auth_time: Some(session.auth_time),
        token_id: TokenId::new(node.issue_time(now), &node.rng),
        issued_at: now,
        expires_at,
        extra_claims: &claims,
    };
    let refresh_token = RefreshToken { user: session.user, session: session.id, counter: session.counter };
    Ok(TokenPair {
        access_token: node.issuer.mint(&access_token, key),
        access_expires_in: expires_at.since(now),
        refresh_token: refresh_token.mint(&node.secrets),
        refresh_expires_at: session.expires_at,
        session,
    })
}
