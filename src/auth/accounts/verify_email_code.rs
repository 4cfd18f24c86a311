//! Confirming an address with a mailed code, by the user's id.
//!
//! The one place where an answer waits for the mail: a published API promises to tell when it could not be handed over. Ids are
//! random, so whether one is somebody's may be told; tries at it are limited all the same.

use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::rate_limit;
use crate::auth::sessions::open::RequestContext;
use crate::auth::sessions::refresh_claims::refresh_session_claims;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::sign_in::one_time::{Kind, generate_code, redeem, store, subject_of};
use crate::auth::{Error, mailing};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{EmailVerified, Find};

/// How long the hand-over is waited for, where requests may take as long as that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Mails the user a code that confirms the address, in place of one mailed before, and waits until it is handed over.
pub async fn send_code(ctx: &Context, user: UserId, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    let found = ctx.accounts.user(Find::Id(user)).await?;
    let subject = found.as_ref().map_or_else(|| subject_of(&user.to_string()), |user| subject_of(&user.email));
    rate_limit::check_mail(ctx, &subject, request_ctx.rate_limit_ip).await?;
    let user = found.ok_or(Error::NotFound)?;
    let (code, until) = (generate_code(ctx), ctx.now() + ctx.node.config.mailed.code);
    store(ctx, (Kind::ConfirmCode, &subject, &user.id.to_string()), &code, Vec::new(), until).await?;
    // An answer of its own must come before the one that says there was none in time.
    let patience = PATIENCE.min(ctx.node.config.server.request_timeout / 2);
    mailing::send_and_wait(ctx, &user.email, Letter::ConfirmCode { code }, until, request_ctx.language, patience).await
}

/// Confirms the user's address, if `code` was mailed to it and is in force. A code is bound to the address it was mailed to: one
/// that has been changed since is confirmed by none.
pub async fn verify_email_with_code(
    ctx: &Context,
    user: UserId,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    rate_limit::check_attempt(ctx, request_ctx.rate_limit_ip).await?;
    let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)?;
    let (ctx, code) = (ctx.clone(), code.trim().to_owned());
    run_to_completion(async move {
        let (subject, id) = (subject_of(&user.email), user.id.to_string());
        let place = (Kind::ConfirmCode, subject.as_str(), id.as_str());
        redeem(&ctx, place, &code, true).await?.ok_or(Error::InvalidCode)?;
        match ctx.accounts.verify_email(user.id, &user.email, ctx.now()).await? {
            EmailVerified::Verified | EmailVerified::AlreadyVerified => refresh_session_claims(&ctx, user.id).await,
            EmailVerified::NotFound => return Err(Error::InvalidCode),
        }
        Ok(())
    })
    .await
}
