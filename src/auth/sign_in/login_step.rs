//! Signing in by two requests: a user with a second factor first gets an MFA token, which is accepted only by the
//! second request, together with the code.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::open_session::{authorize_login, check_login_allowed, login_refusal, open_session_by};
use super::record_refusal;
use super::single_use::used_up;
use crate::auth::audit::SignInMethod;
use crate::auth::context::Context;
use crate::auth::one_time::{CheckedSecret, mfa_subject};
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::tokens::verify::{TokenError, VerifyError};
use crate::auth::{Error, action_token, rate_limit};
use crate::id::UserId;
use crate::store::accounts::{Find, User};
use crate::token::action::ActionKind;

/// Lifetime of an MFA token.
const MFA_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Result of the first request.
pub enum LoginStep {
    /// The user is signed in.
    Complete(Box<TokenPair>),
    /// The user has a second factor; the MFA token for [`complete_login`].
    MfaRequired(String),
}

/// Claims of an MFA token.
#[derive(Serialize, Deserialize)]
struct MfaClaims {
    user: UserId,
    /// The row's `sessions_valid_after` at the first request: a later change of the password voids the token.
    valid_after: i64,
    /// The method by which the user was recognized at the first request. Tokens of older nodes lack it.
    #[serde(default)]
    method: Option<SignInMethod>,
}

/// Opens a session for a recognized user, or issues an MFA token if the user has a second factor.
pub async fn start_login(
    ctx: &Context,
    user: &User,
    method: SignInMethod,
    request_ctx: RequestContext<'_>,
) -> Result<LoginStep, Error> {
    start_login_with(ctx, user, method, None, request_ctx).await
}

/// Like [`start_login`], and uses up the mailed code or link by which the user was recognized.
pub(super) async fn start_login_with(
    ctx: &Context,
    user: &User,
    method: SignInMethod,
    secret: Option<CheckedSecret>,
    request_ctx: RequestContext<'_>,
) -> Result<LoginStep, Error> {
    if user.totp.is_none() {
        let login = authorize_login(ctx, user, None, Some(method), request_ctx).await?.with_secret(secret);
        return Ok(LoginStep::Complete(Box::new(login.open(ctx, request_ctx).await?)));
    }
    check_login_allowed(ctx, user, Some(method), request_ctx)?;
    let claims = MfaClaims { user: user.id, valid_after: user.sessions_valid_after.millis(), method: Some(method) };
    let token = action_token::create(ctx, ActionKind::SecondFactor, claims, MFA_TOKEN_LIFETIME)?;
    if let Some(secret) = secret
        && secret.hold(ctx).await?.is_none()
    {
        record_refusal(ctx, Some(method), request_ctx, Some(user.id), "code or link used by another request");
        return Err(used_up(Some(method)));
    }
    Ok(LoginStep::MfaRequired(token.text))
}

/// Opens a session for the user of an MFA token, if the code of the second factor is right.
///
/// Every attempt is counted, also one for which no code is compared. Otherwise anyone could cause any number of events
/// with an invalid token, and open any number of sessions with a valid one, after turning the second factor off.
pub async fn complete_login(
    ctx: &Context,
    token: &str,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let Some(token) = action_token::verify::<MfaClaims>(ctx, ActionKind::SecondFactor, token) else {
        rate_limit::check_attempt(ctx, request_ctx).await?;
        record_refusal(ctx, None, request_ctx, None, "invalid or expired MFA token");
        return Err(VerifyError::Token(TokenError::Malformed).into());
    };
    let claims = token.claims;
    let user = ctx.accounts.user(Find::Id(claims.user)).await?;
    let Some(user) = user.filter(|user| user.sessions_valid_after.millis() == claims.valid_after) else {
        rate_limit::check_attempt(ctx, request_ctx).await?;
        record_refusal(ctx, claims.method, request_ctx, Some(claims.user), "MFA token revoked");
        return Err(VerifyError::Revoked.into());
    };
    if user.totp.is_none() || login_refusal(&user, request_ctx).is_some() {
        let _counted = rate_limit::check_mfa(ctx, &user, &mfa_subject(&user.email), request_ctx).await?;
    }
    open_session_by(ctx, &user, Some(code), claims.method, request_ctx).await
}
