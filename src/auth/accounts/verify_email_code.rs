//! Verifies an address with a mailed code, for a user given by id.
//!
//! This is the only operation whose response waits for the mail, because a published API promises to report that it
//! could not be sent. Ids are random, so the response may reveal whether one exists. Attempts are limited nevertheless.

use std::time::Duration;

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::one_time::{self, Owner, SecretKey, SecretKind, subject_of};
use crate::auth::rate_limit::MailKind;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::claims::refresh_session_claims;
use crate::auth::{Error, mailing, rate_limit};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{EmailVerified, Find};

/// Longest wait for the mail, if the request timeout allows it.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Mails the user a code that verifies the address, in place of an earlier one, and waits until it is sent.
pub async fn send_code(ctx: &Context, user: UserId, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    let found = ctx.accounts.user(Find::Id(user)).await?;
    let subject = found.as_ref().map_or_else(|| subject_of(&user.to_string()), |user| subject_of(&user.email));
    let permit = rate_limit::check_mail(ctx, MailKind::EmailCode, &subject, request_ctx).await?;
    let user = found.ok_or(Error::NotFound)?;
    // The response reports whether the mail was sent, so it may report that a limit prevents it.
    permit.require(ctx, Some(user.id), request_ctx).await?;
    let (code, expires_at) = (one_time::generate_code(ctx), ctx.now() + ctx.node.config.mailed.code);
    one_time::store(ctx, key(&subject, &user.id.to_string()), &code, Vec::new(), expires_at).await?;
    // Half the request timeout, so that the wait ends before the request times out.
    let max_wait = MAX_WAIT.min(ctx.node.config.server.request_timeout / 2);
    let letter = Letter::ConfirmCode { code };
    mailing::send_and_wait(ctx, &user.email, letter, expires_at, request_ctx.language, max_wait).await
}

/// Verifies the user's address if `code` was mailed to it and is valid. A code is bound to the address it was mailed
/// to, and does not verify an address that the user has changed to since.
pub async fn verify_email_with_code(
    ctx: &Context,
    user: UserId,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    rate_limit::check_attempt(ctx, request_ctx).await?;
    let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)?;
    let (ctx, code, client) = (ctx.clone(), code.trim().to_owned(), request_ctx.client());
    let origin = Origin::request(request_ctx);
    run_to_completion(async move {
        let (subject, id) = (subject_of(&user.email), user.id.to_string());
        let owner = Owner::User(user.id);
        let held = one_time::hold(&ctx, key(&subject, &id), &code, owner, client).await?.ok_or(Error::InvalidCode)?;
        // A repetition finds the address verified.
        let verifying = async { ctx.accounts.verify_email(user.id, &user.email, ctx.now()).await.map_err(Error::from) };
        match held.spend(&ctx, verifying).await? {
            EmailVerified::Verified => {
                audit::record(&ctx, Event::of_account(EventType::EmailVerified, &user, origin));
                refresh_session_claims(&ctx, user.id).await;
            }
            EmailVerified::AlreadyVerified => refresh_session_claims(&ctx, user.id).await,
            EmailVerified::NotFound => return Err(Error::InvalidCode),
        }
        Ok(())
    })
    .await
}

fn key<'a>(subject: &'a str, id: &'a str) -> SecretKey<'a> {
    SecretKey { kind: SecretKind::EmailCode, subject, id }
}
