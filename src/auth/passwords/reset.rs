//! Setting a new password with a mailed link, and with the device secret if the link needs one.
//!
//! The new password is checked against the policy and hashed before the link is used up, so that the link stays valid
//! if the password is weak or the queue is full. If the password cannot be stored, the link is restored. A reader of
//! the mail owns the address, so the reset also verifies it, and the first proof removes what was set before: see
//! `crate::auth::email_proof`.

use crate::auth::context::Context;
use crate::auth::email_proof::EmailProof;
use crate::auth::error::LinkKind;
use crate::auth::one_time::{Owner, SecretKey, SecretKind, subject_of};
use crate::auth::passwords::request_reset::{NO_DEVICE_SECRET, ResetClaims};
use crate::auth::passwords::{Password, Policy};
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::{Error, action_token, one_time, rate_limit};
use crate::store::accounts::Find;
use crate::token::action::ActionKind;

const INVALID_LINK: Error = Error::InvalidLink(LinkKind::PasswordReset);

/// Sets a new password, once, and ends all of the user's sessions everywhere.
pub async fn reset_password(
    ctx: &Context,
    token: &str,
    device_secret: Option<&str>,
    new: &Password,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    Policy::for_dialect(request_ctx.dialect_config, &ctx.node.config.passwords).check(new)?;
    rate_limit::check_attempt(ctx, request_ctx).await?;
    let token = action_token::verify_link::<ResetClaims>(ctx, ActionKind::ResetPassword, token).await?;
    let token = token.ok_or(INVALID_LINK)?;
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
    let device_secret = device_secret.unwrap_or(NO_DEVICE_SECRET);
    let key = SecretKey { kind: SecretKind::PasswordReset, subject: &subject, id: &id };
    let (owner, client) = (Owner::User(user.id), request_ctx.client());
    let checked = one_time::check(ctx, key, device_secret, owner, client).await?.ok_or(INVALID_LINK)?;
    let hash = ctx.node.hasher.acquire_slot(Some(client.rate_limit_ip)).await?.hash(new).await?;
    let (ctx, proof) = (ctx.clone(), EmailProof::new(&user, request_ctx));
    run_to_completion(async move {
        let held = checked.hold(&ctx).await?.ok_or(INVALID_LINK)?;
        // A new password raises `sessions_valid_after`, which voids the link.
        let user = held.spend(&ctx, proof.apply(&ctx, Some(hash))).await?.ok_or(INVALID_LINK)?;
        // The new password has removed the known networks. Attempts by others must not lock the owner out of the next
        // sign-in.
        rate_limit::remember_network(&ctx, user.id, client).await;
        Ok(())
    })
    .await
}
