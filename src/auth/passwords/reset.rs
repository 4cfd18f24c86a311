//! Setting a new password with what was mailed, and with the device's half where there is one.
//!
//! What is wrong with the new password is said before anything is used up, and it is hashed before too: a full queue costs nobody
//! their link. Who reads an address's mail owns the address, so it is confirmed by this.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::passwords::request_reset::{NO_HALF, Says};
use crate::auth::passwords::{Password, Policy};
use crate::auth::sessions::open::RequestContext;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, subject_of};
use crate::auth::tokens::action_token;
use crate::auth::{mailing, rate_limit};
use crate::mail::Letter;
use crate::store::accounts::{Changed, Changes, Find};
use crate::token::action::Purpose;

/// Sets a new password that meets `policy`, once, and ends all of the user's sessions everywhere.
pub async fn reset_password(
    ctx: &Context,
    token: &str,
    half: Option<&str>,
    new: &Password,
    policy: Policy,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    policy.check(new)?;
    rate_limit::check_attempt(ctx, request_ctx.rate_limit_ip).await?;
    let read = action_token::read::<Says>(ctx, Purpose::ResetPassword, token).ok_or(Error::ResetNotInForce)?;
    if read.says.half != half.is_some() {
        return Err(Error::ResetNotInForce);
    }
    let user = ctx.accounts.user(Find::Id(read.says.user)).await?.ok_or(Error::ResetNotInForce)?;
    if user.disabled || user.sessions_valid_after.millis() != read.says.valid_after {
        return Err(Error::ResetNotInForce);
    }
    // The address is part of where the claim is kept: with another one, the link that went to the old one finds nothing.
    let (subject, id) = (subject_of(&user.email), read.token.to_string());
    let (place, half) = ((Kind::Reset, subject.as_str(), id.as_str()), half.unwrap_or(NO_HALF));
    one_time::redeem(ctx, place, half, false).await?.ok_or(Error::ResetNotInForce)?;
    let hash = ctx.node.hasher.hash(new).await?;
    let (ctx, half, language) = (ctx.clone(), half.to_owned(), request_ctx.language.map(str::to_owned));
    run_to_completion(async move {
        let place = (Kind::Reset, subject.as_str(), id.as_str());
        one_time::redeem(&ctx, place, &half, true).await?.ok_or(Error::ResetNotInForce)?;
        let changes = Changes { password_hash: Some(hash), ..Changes::default() };
        let now = match ctx.accounts.change_user(user.id, &changes, ctx.now()).await? {
            Changed::Changed(now) => *now,
            Changed::EmailTaken | Changed::Absent => return Err(Error::ResetNotInForce),
        };
        // The address that the link was mailed to. The user may have another since that was looked at, which nobody has proved.
        mailing::queue_notice(&ctx, &user, Letter::PasswordChanged, language.as_deref());
        let confirmed = ctx.accounts.confirm_email(user.id, &user.email, ctx.now()).await;
        sign_out_durably(&ctx, user.id, now.sessions_valid_after).await?;
        confirmed?;
        Ok(())
    })
    .await
}
