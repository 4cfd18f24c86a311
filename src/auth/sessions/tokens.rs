//! Issues the access token and the refresh token of a session.

use std::time::Duration;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::request_context::{ExtraClaims, RequestContext};
use crate::auth::sessions::claims::claims_for;
use crate::clock::Timestamp;
use crate::config::{Audience, SigningAlgorithm};
use crate::id::TokenId;
use crate::store::ephemeral::SessionSnapshot;
use crate::token::access::{IssuedFrom, NewAccessToken};
use crate::token::refresh::RefreshToken;

/// The tokens that a sign-in or a refresh returns. Not `Debug`, because both are secrets.
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

impl TokenPair {
    /// Seconds until the refresh token expires, rounded up.
    pub fn refresh_expires_in(&self, now: Timestamp) -> u64 {
        self.refresh_expires_at.since(now).as_millis().div_ceil(1000) as u64
    }
}

/// Issues the tokens of a session. Costs one signature and one MAC.
pub(in crate::auth) fn issue_tokens(
    ctx: &Context,
    session: SessionSnapshot,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let more_claims = match request_ctx.extra_claims {
        ExtraClaims::None => String::new(),
        ExtraClaims::UidAndType => format!(r#","uid":"{}","token_type":"access""#, session.user),
    };
    let now = ctx.now();
    let access_token = SessionAccessToken {
        session: &session,
        audience: request_ctx.audience,
        more_claims: &more_claims,
        issued_at: now,
        expires_at: now + request_ctx.access_lifetime(),
    };
    let (access_token, access_expires_in) = mint_access_token(ctx, &access_token)?;
    let refresh_token = RefreshToken { user: session.user, session: session.id, counter: session.counter };
    Ok(TokenPair {
        access_token,
        access_expires_in,
        refresh_token: refresh_token.mint(&ctx.node.secrets),
        refresh_expires_at: session.expires_at,
        session,
    })
}

/// An access token of a session to mint.
pub(in crate::auth) struct SessionAccessToken<'a> {
    /// The session.
    pub(in crate::auth) session: &'a SessionSnapshot,
    /// The audience; `None`: `tokens.audience`.
    pub(in crate::auth) audience: Option<&'a Audience>,
    /// More claims than those of the session, as `serialize_extra_claims` writes them.
    pub(in crate::auth) more_claims: &'a str,
    /// `iat`.
    pub(in crate::auth) issued_at: Timestamp,
    /// `exp`, unless the session expires before.
    pub(in crate::auth) expires_at: Timestamp,
}

/// Mints an access token of a session, and returns its lifetime with it. Costs one signature.
pub(in crate::auth) fn mint_access_token(
    ctx: &Context,
    new: &SessionAccessToken<'_>,
) -> Result<(String, Duration), Error> {
    let node = &ctx.node;
    let &SessionAccessToken { session, audience, more_claims, issued_at: now, expires_at } = new;
    let keys = node.keyring.keys();
    let algorithm = audience.map_or(SigningAlgorithm::EdDsa, |audience| audience.algorithm);
    let key = keys.signing_key(algorithm, now).ok_or(Error::Internal("no signing key is active"))?;
    let mut claims = claims_for(session, audience, &node.config.tokens)?;
    if !more_claims.is_empty() {
        claims.to_mut().push_str(more_claims);
    }
    // An access token must not outlive its session.
    let expires_at = expires_at.min(session.expires_at);
    let token = NewAccessToken {
        user: session.user,
        audience: audience.map(|audience| audience.name.as_str()),
        issued_from: IssuedFrom::Session { id: session.id, auth_time: session.auth_time },
        token_id: TokenId::new(node.issue_time(now), &node.rng),
        issued_at: now,
        expires_at,
        extra_claims: &claims,
    };
    Ok((node.issuer.mint(&token, key)?, expires_at.since(now)))
}
