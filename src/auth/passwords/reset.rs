//! Setting a new password with what was mailed, and with the device's half where there is one.
//!
//! What is wrong with the new password is said before anything is used up, and it is hashed before too: a full queue costs nobody
//! their link. Who reads an address's mail owns the address, so it is confirmed by this.

use crate::auth::Failure;
use crate::auth::sign_in::one_time::{Kind, subject_of};
use crate::auth::sign_in::one_time;
use crate::auth::sessions::open::Door;
use crate::auth::passwords::{Password, Policy};
use crate::auth::passwords::request_reset::{NO_HALF, Says};
use crate::auth::sessions::sign_out::sign_out_for_good;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::auth::tokens::action_token;
use crate::auth::{rate_limit, mailing};
use crate::auth::context::Context;
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
    door: Door<'_>,
) -> Result<(), Failure> {
    policy.check(new)?;
    rate_limit::of_tries(ctx, door.counted_by).await?;
    let read = action_token::read::<Says>(ctx, Purpose::ResetPassword, token).ok_or(Failure::ResetNotInForce)?;
    if read.says.half != half.is_some() {
        return Err(Failure::ResetNotInForce);
    }
    let user = ctx.accounts.user(Find::Id(read.says.user)).await?.ok_or(Failure::ResetNotInForce)?;
    if user.disabled || user.sessions_valid_after.millis() != read.says.valid_after {
        return Err(Failure::ResetNotInForce);
    }
    // The address is part of where the claim is kept: with another one, the link that went to the old one finds nothing.
    let (subject, id) = (subject_of(&user.email), read.token.to_string());
    let (place, half) = ((Kind::Reset, subject.as_str(), id.as_str()), half.unwrap_or(NO_HALF));
    one_time::hand_in(ctx, place, half, false).await?.ok_or(Failure::ResetNotInForce)?;
    let hash = ctx.node.hasher.hash(new).await?;
    let (ctx, half, language) = (ctx.clone(), half.to_owned(), door.language.map(str::to_owned));
    to_its_end(async move {
        let place = (Kind::Reset, subject.as_str(), id.as_str());
        one_time::hand_in(&ctx, place, &half, true).await?.ok_or(Failure::ResetNotInForce)?;
        let changes = Changes { password_hash: Some(hash), ..Changes::default() };
        let now = match ctx.accounts.change_user(user.id, &changes, ctx.now()).await? {
            Changed::Changed(now) => *now,
            Changed::EmailTaken | Changed::Absent => return Err(Failure::ResetNotInForce),
        };
        // The address that the link was mailed to. The user may have another since that was looked at, which nobody has proved.
        mailing::notice(&ctx, &user, Letter::PasswordChanged, language.as_deref());
        let confirmed = ctx.accounts.confirm_email(user.id, &user.email, ctx.now()).await;
        sign_out_for_good(&ctx, user.id, now.sessions_valid_after).await?;
        confirmed?;
        Ok(())
    })
    .await
}
