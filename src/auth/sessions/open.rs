//! The steps that every way in shares, so that no way in can forget one: whether the user may sign in at all, the second factor,
//! the session record, and the pair of tokens. Nothing else opens a session. Knows nothing of how the user was recognised.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::auth::context::Context;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::{Error, mfa};
use crate::clock::Timestamp;
use crate::config;
use crate::id::{SessionId, TokenId};
use crate::store::accounts::User;
use crate::store::ephemeral::{Opened, Session, SessionSnapshot};
use crate::token::access::{NewAccessToken, serialize_extra_claims};
use crate::token::refresh::RefreshToken;

/// By which door somebody comes: the dialect and its lifetimes, the address and the agent.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The dialect's name.
    pub dialect: &'static str,
    /// How long what it hands out lives.
    pub dialect_config: &'a config::Dialect,
    /// Where the request came from.
    pub client_ip: IpAddr,
    /// By what its sender is counted.
    pub rate_limit_ip: IpAddr,
    /// What sent it.
    pub user_agent: Option<&'a str>,
    /// In which languages its sender likes to read, as `Accept-Language` says it.
    pub language: Option<&'a str>,
    /// What its access tokens say beside.
    pub extra_claims: ExtraClaims,
}

/// What a dialect's access tokens say beside what all say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraClaims {
    /// Nothing.
    Nothing,
    /// `uid` and `token_type`, as the clients of `v1` read them.
    UidAndType,
}

/// What a sign-in or a refresh hands out. Without a Debug form: it is all secrets.
#[derive(Clone)]
pub struct TokenPair {
    /// The access token.
    pub access: String,
    /// How long it lives.
    pub access_lives: Duration,
    /// The refresh token.
    pub refresh: String,
    /// Until when it is good if it is not used before.
    pub refresh_until: Timestamp,
    /// The session.
    pub session: SessionSnapshot,
}

/// What access tokens say of their user.
#[derive(Serialize)]
struct Profile<'a> {
    email: &'a str,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    superuser: bool,
}

/// As much of a user agent as is worth keeping.
const AGENT: usize = 200;

/// Opens a session for a user who has been recognised, by the row as it was read then. `second` is what was given as second
/// factor; for a user who has none it says nothing.
pub async fn open_session(
    ctx: &Context,
    user: &User,
    second: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    authorize_login(ctx, user, second, request_ctx).await?.open(ctx, request_ctx).await
}

/// A user who has passed all that keeps people out: a session is opened for nobody else. Between the two is the moment to use up
/// what the user was recognised by, so that a wrong second factor leaves it as it was.
pub(in crate::auth) struct AuthorizedLogin<'a>(&'a User);

/// Lets a user who has been recognised pass, the second factor where there is one being used up.
pub(in crate::auth) async fn authorize_login<'a>(
    ctx: &Context,
    user: &'a User,
    second: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<AuthorizedLogin<'a>, Error> {
    check_login_allowed(user, request_ctx)?;
    if user.totp.is_some() {
        mfa::verify_code(ctx, user, second.ok_or(Error::MfaRequired)?, request_ctx.rate_limit_ip).await?;
    }
    Ok(AuthorizedLogin(user))
}

impl AuthorizedLogin<'_> {
    /// Opens the session.
    pub(in crate::auth) async fn open(
        self,
        ctx: &Context,
        request_ctx: RequestContext<'_>,
    ) -> Result<TokenPair, Error> {
        open(ctx, self.0, request_ctx).await
    }
}

async fn open(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<TokenPair, Error> {
    // As the store says it too, once it has heard of the change.
    if ctx.node.revocations.is_superseded(user.id, user.sessions_valid_after) {
        return Err(Error::InvalidCredentials);
    }
    let now = ctx.now();
    // After the last ending of the user's sessions, though that was in this very millisecond or by a clock that is ahead: it is not
    // concerned by that one, whether the row tells of it or a revocation does.
    let (row, heard) =
        (user.sessions_valid_after + Duration::from_millis(1), ctx.node.revocations.sessions_after(user.id));
    let opened_at = ctx.node.stamp(now).max(row).max(heard);
    let session = Session {
        id: SessionId::new(opened_at, &ctx.node.rng),
        user: user.id,
        counter: 0,
        opened_at,
        used_at: now,
        rotated_at: now,
        idle_timeout: request_ctx.dialect_config.idle,
        ends_at: now + request_ctx.dialect_config.absolute,
        dialect: request_ctx.dialect.to_owned(),
        client_ip: request_ctx.client_ip.to_string(),
        user_agent: request_ctx.user_agent.unwrap_or_default().chars().take(AGENT).collect(),
        profile: session_claims(user)?,
    };
    let (valid_after, until) = (user.sessions_valid_after, now + ctx.node.revocation_ttl());
    let (ephemeral, most) = (ctx.ephemeral.clone(), ctx.node.config.tokens.sessions_per_user);
    // It may have to end other sessions.
    let opening = run_to_completion(async move {
        let opened = ephemeral.open_session(&session, valid_after, most, until).await?;
        Ok((opened, session))
    });
    let (opened, session) = opening.await?;
    match opened {
        Opened::Opened { ended } => {
            ended.iter().for_each(|revocation| ctx.node.revocations.apply(revocation));
            issue_tokens(ctx, session.snapshot(), request_ctx, ctx.now())
        }
        // The password that was right when it was read is no longer.
        Opened::Superseded => Err(Error::InvalidCredentials),
    }
}

/// Whether a user who has been recognised may come in by this door at all.
pub(in crate::auth) fn check_login_allowed(user: &User, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    if user.disabled {
        Err(Error::AccountDisabled)
    } else if request_ctx.dialect_config.verified_only && !user.verified {
        Err(Error::EmailNotVerified)
    } else {
        Ok(())
    }
}

/// The claims that a user's tokens carry, as they are kept with the session.
pub fn session_claims(user: &User) -> Result<String, Error> {
    let profile = Profile {
        email: &user.email,
        email_verified: user.verified,
        preferred_username: user.username.as_deref(),
        roles: &user.roles,
        superuser: user.superuser,
    };
    serialize_extra_claims(&profile).map_err(|_| Error::Internal("a profile that does not serialise"))
}

/// The address that a session's tokens name.
pub fn session_email(session: &Session) -> Result<String, Error> {
    #[derive(serde::Deserialize)]
    struct Address {
        email: String,
    }
    let claims = format!("{{{}}}", session.profile.trim_start_matches(','));
    let read = serde_json::from_str::<Address>(&claims);
    read.map(|address| address.email).map_err(|_| Error::Internal("a profile that cannot be read"))
}

/// The tokens of a session as it stands: one signature, one MAC.
pub(in crate::auth) fn issue_tokens(
    ctx: &Context,
    session: SessionSnapshot,
    request_ctx: RequestContext<'_>,
    now: Timestamp,
) -> Result<TokenPair, Error> {
    let node = &ctx.node;
    let keys = node.keyring.keys();
    let key = keys.signer(now).ok_or(Error::Internal("no key to sign with"))?;
    // No access token outlives its session.
    let expires_at = (now + request_ctx.dialect_config.access).min(session.expires_at);
    let profile = match request_ctx.extra_claims {
        ExtraClaims::Nothing => Cow::Borrowed(session.profile.as_str()),
        ExtraClaims::UidAndType => {
            Cow::Owned(format!(r#"{},"uid":"{}","token_type":"access""#, session.profile, session.user))
        }
    };
    let mint = NewAccessToken {
        user: session.user,
        session: Some(session.id),
        api_key: None,
        token_id: TokenId::new(node.stamp(now), &node.rng),
        issued_at: now,
        expires_at,
        extra_claims: &profile,
    };
    Ok(TokenPair {
        access: node.issuer.mint(&mint, key),
        access_lives: expires_at.since(now),
        refresh: RefreshToken { user: session.user, session: session.id, counter: session.counter }.mint(&node.secrets),
        refresh_until: session.expires_at,
        session,
    })
}
