//! Confirming an address with a mailed code, by the user's id.
//!
//! The one place where an answer waits for the mail: a published API promises to tell when it could not be handed over. Ids are
//! random, so whether one is somebody's may be told; tries at it are limited all the same.

use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::rate_limit;
use crate::auth::sessions::open::Door;
use crate::auth::sessions::refresh_claims::say_anew;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::auth::sign_in::one_time::{Kind, hand_in, keep, six_digits, subject_of};
use crate::auth::{Failure, mailing};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Confirmed, Find};

/// How long the hand-over is waited for, where requests may take as long as that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Mails the user a code that confirms the address, in place of one mailed before, and waits until it is handed over.
pub async fn send(ctx: &Context, user: UserId, door: Door<'_>) -> Result<(), Failure> {
    let found = ctx.accounts.user(Find::Id(user)).await?;
    let subject = found.as_ref().map_or_else(|| subject_of(&user.to_string()), |user| subject_of(&user.email));
    rate_limit::of_mails(ctx, &subject, door.counted_by).await?;
    let user = found.ok_or(Failure::Absent)?;
    let (code, until) = (six_digits(ctx), ctx.now() + ctx.node.config.mailed.code);
    keep(ctx, (Kind::ConfirmCode, &subject, &user.id.to_string()), &code, Vec::new(), until).await?;
    // An answer of its own must come before the one that says there was none in time.
    let patience = PATIENCE.min(ctx.node.config.server.request_timeout / 2);
    mailing::hand_over(ctx, &user.email, Letter::ConfirmCode { code }, until, door.language, patience).await
}

/// Confirms the user's address, if `code` was mailed to it and is in force. A code is bound to the address it was mailed to: one
/// that has been changed since is confirmed by none.
pub async fn confirm(ctx: &Context, user: UserId, code: &str, door: Door<'_>) -> Result<(), Failure> {
    rate_limit::of_tries(ctx, door.counted_by).await?;
    let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Failure::Absent)?;
    let (ctx, code) = (ctx.clone(), code.trim().to_owned());
    to_its_end(async move {
        let (subject, id) = (subject_of(&user.email), user.id.to_string());
        let place = (Kind::ConfirmCode, subject.as_str(), id.as_str());
        hand_in(&ctx, place, &code, true).await?.ok_or(Failure::CodeNotInForce)?;
        match ctx.accounts.confirm_email(user.id, &user.email, ctx.now()).await? {
            Confirmed::Confirmed | Confirmed::Already => say_anew(&ctx, user.id).await,
            Confirmed::Absent => return Err(Failure::CodeNotInForce),
        }
        Ok(())
    })
    .await
}
