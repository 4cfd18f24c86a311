//! Signing in with a password.
//!
//! A known login cannot be told from an unknown one: both count against the same limits, cost one hash of the same
//! parameters, and fail with the same error after the same time, at the next step of `passwords.refusal_step`. To hide
//! that an imported hash has other parameters, the step must be longer than a check of it. Only the right password
//! reveals that an account is disabled.
//!
//! A sign-in takes three round trips to the ephemeral store: the limit of the client, that of the account, and the
//! session. Once the account's counter is exhausted, a fourth checks whether the client's network is a known one of the
//! account.

use tokio::time::Instant;

use super::login_step::{LoginStep, start_login};
use super::open_session::open_session;
use super::record_refusal;
use crate::auth::accounts::find::find_by_login;
use crate::auth::audit::SignInMethod;
use crate::auth::context::Context;
use crate::auth::identity::LoginName;
use crate::auth::passwords::{Password, QueueSlot, Verdict};
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::timing::{delay_limited, delay_refusal};
use crate::auth::{Error, rate_limit};
use crate::store::accounts::User;

/// Signs in with a login name, a password and, for a user with a second factor, its code.
pub async fn sign_in(
    ctx: &Context,
    login: &str,
    password: &Password,
    mfa_code: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let user = check_password(ctx, login, password, request_ctx).await?;
    open_session(ctx, &user, mfa_code, request_ctx).await
}

/// Signs in by two requests: a user with a second factor gets an MFA token first.
pub async fn start_sign_in(
    ctx: &Context,
    login: &str,
    password: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<LoginStep, Error> {
    let user = check_password(ctx, login, password, request_ctx).await?;
    start_login(ctx, &user, SignInMethod::Password, request_ctx).await
}

/// Recognizes a user by login name and password. Returns the row as it was when the password was checked.
pub async fn check_password(
    ctx: &Context,
    login: &str,
    password: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let start = Instant::now();
    let login = LoginName::parse(login);
    rate_limit::check_sign_in(ctx, request_ctx).await?;
    // Before the user is looked up and before the account's limit is counted: if the queue is full, the response
    // reveals nothing about the login, and the attempt does not count against the account.
    let slot = ctx.node.hasher.acquire_slot(Some(request_ctx.rate_limit_ip)).await?;
    let user = match &login {
        Some(login) => find_by_login(ctx, login).await?,
        None => None,
    };
    let checked = count_and_compare(ctx, user, login.as_ref(), password, slot, request_ctx).await;
    // For every error, because every response takes the duration of the lookup.
    match &checked {
        Ok(_) => {}
        Err(Error::RateLimited { .. }) => delay_limited(start).await,
        Err(_) => delay_refusal(start, ctx.node.config.passwords.refusal_step).await,
    }
    checked
}

/// Counts the attempt against the account's limit and compares the password. `user` is the result of the lookup.
async fn count_and_compare(
    ctx: &Context,
    user: Option<User>,
    login: Option<&LoginName>,
    password: &Password,
    slot: QueueSlot<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let permit = rate_limit::check_account(ctx, user.as_ref().map(|user| user.id), login, request_ctx).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
    match (slot.verify(password, stored).await?, user) {
        (Verdict::Correct { upgrade }, Some(user)) => {
            if let (Some(new), Some(old)) = (upgrade, &user.password_hash)
                && let Err(error) = ctx.accounts.upgrade_hash(user.id, old, &new).await
            {
                // The sign-in succeeds all the same: the old hash remains valid.
                tracing::warn!(user = %user.id, %error, "cannot upgrade a password hash");
            }
            Ok(user)
        }
        (Verdict::Correct { .. }, None) | (Verdict::Wrong, None) => {
            record_refusal(ctx, Some(SignInMethod::Password), request_ctx, None, "unknown account");
            Err(permit.refusal(Error::InvalidCredentials))
        }
        (Verdict::Wrong, Some(user)) => {
            record_refusal(ctx, Some(SignInMethod::Password), request_ctx, Some(user.id), "wrong password");
            Err(permit.refusal(Error::InvalidCredentials))
        }
    }
}
