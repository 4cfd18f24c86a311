//! Applies the rate limits of [`LimitedAction`]. An account has one counter, whatever the dialect, the spelling of the
//! address, or whether it is named by address or username.
//!
//! Limits fail closed. Without the store no session can be opened anyway, and without counters an attacker could tell a
//! right password (503) from a wrong one (401) as often as they like.

use super::Error;
use crate::auth::context::Context;
use crate::auth::identity::Login;
use crate::auth::request_context::RequestContext;
use crate::config::LimitedAction;
use crate::encoding::short_sha256;
use crate::id::UserId;
use crate::store::accounts::User;
use crate::store::ephemeral::{Allowance, Limit};

/// Who exhausted a limit, for the log line.
#[derive(Clone, Copy, Default)]
struct Origin<'a> {
    user: Option<UserId>,
    request_ctx: Option<RequestContext<'a>>,
}

/// Counts one sign-in from the client. Call it before [`check_account`], so that a client that has exhausted its own
/// limit cannot exhaust those of the accounts it names.
pub async fn check_client(ctx: &Context, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_address(ctx, LimitedAction::SignInAddress, request_ctx).await
}

/// Counts one sign-in to an account, or to a login that no account has: the answer must not reveal which.
pub async fn check_account(
    ctx: &Context,
    user: Option<UserId>,
    login: Option<&Login>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let subject = match (user, login) {
        (Some(user), _) => user.to_string(),
        // A digest, because an address is personal data.
        (None, Some(login)) => short_sha256(login.key().as_bytes(), 16),
        (None, None) => return Ok(()),
    };
    let origin = Origin { user, request_ctx: Some(request_ctx) };
    check(ctx, LimitedAction::SignInAccount, &subject, origin).await
}

/// Counts one sign-up from the client.
pub async fn check_sign_up(ctx: &Context, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_address(ctx, LimitedAction::SignUpAddress, request_ctx).await
}

/// Counts one mail, against the client that requests it and the person it goes to. `subject`: from
/// [`crate::auth::one_time::subject`], whether an account has the address or not.
pub async fn check_mail(ctx: &Context, subject: &str, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_address(ctx, LimitedAction::MailAddress, request_ctx).await?;
    let origin = Origin { request_ctx: Some(request_ctx), ..Origin::default() };
    check(ctx, LimitedAction::MailAccount, subject, origin).await
}

/// Counts one attempt of the client at a code, a link or a second factor.
pub async fn check_attempt(ctx: &Context, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_address(ctx, LimitedAction::CodeAddress, request_ctx).await
}

/// Counts one attempt at a user's second factor. `subject`: from `crate::auth::one_time::mfa_subject`.
pub async fn check_mfa(
    ctx: &Context,
    user: &User,
    subject: &str,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    check_attempt(ctx, request_ctx).await?;
    let origin = Origin { user: Some(user.id), request_ctx: Some(request_ctx) };
    check(ctx, LimitedAction::CodeAccount, subject, origin).await
}

/// Counts one access token that is revoked singly. `subject`: the token's `sub`.
pub async fn check_revocation(ctx: &Context, subject: &str) -> Result<(), Error> {
    check(ctx, LimitedAction::RevokeAccount, subject, Origin { user: UserId::parse(subject), request_ctx: None }).await
}

/// Counts one API key that a user creates.
pub async fn check_api_key_creation(ctx: &Context, user: UserId) -> Result<(), Error> {
    let origin = Origin { user: Some(user), request_ctx: None };
    check(ctx, LimitedAction::ApiKeyAccount, &user.to_string(), origin).await
}

async fn check_address(ctx: &Context, action: LimitedAction, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    let origin = Origin { request_ctx: Some(request_ctx), ..Origin::default() };
    check(ctx, action, &request_ctx.rate_limit_ip.to_string(), origin).await
}

async fn check(ctx: &Context, action: LimitedAction, subject: &str, origin: Origin<'_>) -> Result<(), Error> {
    let limits = &ctx.node.config.limits;
    if !limits.enabled {
        return Ok(());
    }
    let (key, rate) = (format!("{}:{subject}", action.key()), limits[action]);
    match ctx.ephemeral.take_permit(&key, Limit { burst: rate.burst, per: rate.per }, ctx.now()).await? {
        Allowance::Allowed => Ok(()),
        Allowance::Limited { retry_after } => {
            let user = origin.user.map(tracing::field::display);
            let client_ip = origin.request_ctx.map(|request_ctx| tracing::field::display(request_ctx.client_ip));
            let dialect = origin.request_ctx.map(|request_ctx| request_ctx.dialect);
            let (limit, reason, retry_after_ms) = (action.setting(), action.message(), retry_after.as_millis());
            tracing::info!(limit, reason, user, client_ip, dialect, retry_after_ms, "rate limit exceeded");
            Err(Error::RateLimited { retry_after })
        }
    }
}
