//! Setting a new password with a mailed link, and with the device secret if the link needs one.
//!
//! The new password is checked against the policy and hashed before the link is used up, so that neither a weak
//! password nor a full queue costs the user the link. A reader of the mail owns the address, so the reset also verifies
//! it.

use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::one_time::{SecretKey, SecretKind, subject_of};
use crate::auth::passwords::request_reset::{NO_DEVICE_SECRET, ResetClaims};
use crate::auth::passwords::{Password, Policy};
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::auth::{Error, action_token, mailing, one_time, rate_limit};
use crate::mail::Letter;
use crate::store::accounts::{Changed, Changes, Find};
use crate::token::action::ActionKind;

const INVALID_LINK: Error = Error::InvalidLink(LinkKind::PasswordReset);

/// Sets a new password that meets `policy`, once, and ends all of the user's sessions everywhere.
pub async fn reset_password(
    ctx: &Context,
    token: &str,
    device_secret: Option<&str>,
    new: &Password,
    policy: Policy,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    policy.check(new)?;
    rate_limit::check_attempt(ctx, request_ctx).await?;
    let token = action_token::verify::<ResetClaims>(ctx, ActionKind::ResetPassword, token).ok_or(INVALID_LINK)?;
    if token.claims.needs_device_secret != device_secret.is_some() {
        return Err(INVALID_LINK);
    }
    let user = ctx.accounts.user(Find::Id(token.claims.user)).await?.ok_or(INVALID_LINK)?;
    if user.disabled || user.sessions_valid_after.millis() != token.claims.sessions_valid_after {
        return Err(INVALID_LINK);
    }
    // The key contains the address: if the user has another one by now, a link that was mailed to the old one is not
    // found.
    let (subject, id) = (subject_of(&user.email), token.id.to_string());
    let device_secret = device_secret.unwrap_or(NO_DEVICE_SECRET).to_owned();
    let key = SecretKey { kind: SecretKind::PasswordReset, subject: &subject, id: &id };
    one_time::redeem(ctx, key, &device_secret, false).await?.ok_or(INVALID_LINK)?;
    let hash = ctx.node.hasher.hash(new).await?;
    let (ctx, language) = (ctx.clone(), request_ctx.language.map(str::to_owned));
    run_to_completion(async move {
        let key = SecretKey { kind: SecretKind::PasswordReset, subject: &subject, id: &id };
        one_time::redeem(&ctx, key, &device_secret, true).await?.ok_or(INVALID_LINK)?;
        let changes = Changes { password_hash: Some(hash), ..Changes::default() };
        let changed_user = match ctx.accounts.change_user(user.id, &changes, ctx.now()).await? {
            Changed::Changed(user) => *user,
            Changed::EmailTaken | Changed::NotFound => return Err(INVALID_LINK),
        };
        // To the address that the link was mailed to: the user may have changed it since the row was read, to one that
        // is not verified.
        mailing::queue_notice(&ctx, &user, Letter::PasswordChanged, language.as_deref());
        let verified = ctx.accounts.verify_email(user.id, &user.email, ctx.now()).await;
        sign_out_durably(&ctx, user.id, changed_user.sessions_valid_after).await?;
        verified?;
        Ok(())
    })
    .await
}
