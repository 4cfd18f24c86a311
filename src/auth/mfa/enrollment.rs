//! Turning the second factor on and off.
//!
//! On in two steps: a secret is drawn and pending for ten minutes, and a code of it turns it on. Only the pending secret counts:
//! what a request says of it is not believed. Or at once, as a published API has it. Its owner is told of either by mail.

use std::net::IpAddr;
use std::time::Duration;

use super::{counted, forgive, recovery};
use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::mfa::totp_secret::TotpSecret;
use crate::auth::passwords::Password;
use crate::auth::passwords::reauthenticate::reauthenticate;
use crate::auth::sessions::open::RequestContext;
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, mfa_subject, subject_of};
use crate::auth::{Error, mailing, rate_limit};
use crate::mail::Letter;
use crate::store::accounts::{SealedTotp, User};

const PENDING: Duration = Duration::from_secs(10 * 60);

/// A second factor that is about to be turned on. Without a Debug form: it is all secret.
pub struct TotpEnrollment {
    /// The secret in the letters that people type into an app.
    pub key: String,
    /// What an app reads from a QR code.
    pub uri: String,
}

/// Draws a secret that is pending, in place of one that was. Nothing is turned on.
pub async fn start_enrollment(ctx: &Context, user: &User) -> Result<TotpEnrollment, Error> {
    let factor = TotpSecret::generate(ctx, &user.email)?;
    let sealed = factor.seal(ctx, user.id)?;
    let subject = subject_of(&user.email);
    // Nobody hands it in: it is looked at. What would be compared is drawn and thrown away.
    let nobody_knows = one_time::generate_device_secret(ctx);
    let place = (Kind::PendingFactor, subject.as_str(), user.id.to_string());
    one_time::store(ctx, (place.0, place.1, &place.2), &nobody_knows, sealed.0, ctx.now() + PENDING).await?;
    Ok(TotpEnrollment { key: factor.key(), uri: factor.uri()? })
}

/// What an app reads from a QR code, of the second factor that is pending.
pub async fn enrollment_uri(ctx: &Context, user: &User) -> Result<String, Error> {
    pending(ctx, user).await?.ok_or(Error::NotFound)?.for_account(ctx, &user.email)?.uri()
}

async fn pending(ctx: &Context, user: &User) -> Result<Option<TotpSecret>, Error> {
    let subject = subject_of(&user.email);
    let held = ctx.ephemeral.peek_claim(&subject, Kind::PendingFactor.name(), &user.id.to_string(), ctx.now()).await?;
    held.map(|sealed| TotpSecret::open(ctx, user.id, &SealedTotp(sealed))).transpose()
}

/// Turns the pending second factor on, with a code of it and the password where there is one; gives the recovery codes.
pub async fn enable(
    ctx: &Context,
    user: &User,
    password: Option<&Password>,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<Vec<String>, Error> {
    reauthenticate(ctx, user, password, request_ctx.rate_limit_ip)
        .await
        .map_err(instead(Error::Mfa(MfaError::EnableFailed)))?;
    if user.totp.is_some() {
        return Err(Error::Mfa(MfaError::AlreadyEnabled));
    }
    let factor = pending(ctx, user).await?.ok_or(Error::Mfa(MfaError::EnableFailed))?;
    let step = proved(ctx, user, &factor, code, request_ctx.rate_limit_ip).await?;
    let (told, kept) = recovery::generate(ctx, ctx.node.config.second_factor.recovery_codes);
    if !ctx.accounts.enable_totp(user.id, &factor.seal(ctx, user.id)?, step, &kept, ctx.now()).await? {
        return Err(Error::Mfa(MfaError::AlreadyEnabled));
    }
    let place = user.id.to_string();
    let dropped = ctx.ephemeral.delete_claim(&subject_of(&user.email), Kind::PendingFactor.name(), &place).await;
    if let Err(error) = dropped {
        // It is on, and its owner must be told the codes. What is still pending is over in ten minutes.
        tracing::warn!(user = %user.id, %error, "a second factor that is on is still pending");
    }
    mailing::queue_notice(ctx, user, Letter::SecondFactorOn, request_ctx.language);
    Ok(told)
}

async fn proved(ctx: &Context, user: &User, factor: &TotpSecret, code: &str, counted_by: IpAddr) -> Result<i64, Error> {
    let subject = mfa_subject(&user.email);
    counted(ctx, &subject, counted_by).await?;
    let step = factor.step_of(code, ctx.now()).ok_or(Error::Mfa(MfaError::EnableFailed))?;
    forgive(ctx, &subject).await?;
    Ok(step)
}

/// Turns a second factor on at once; gives its secret and `count` backup codes of six digits.
pub async fn enable_without_confirmation(
    ctx: &Context,
    user: &User,
    count: u32,
    request_ctx: RequestContext<'_>,
) -> Result<(String, Vec<String>), Error> {
    if user.totp.is_some() {
        return Err(Error::Mfa(MfaError::AlreadyEnabled));
    }
    // Turning it on and off costs hashes and mails, so it is counted like trying it.
    rate_limit::check_mfa(ctx, &mfa_subject(&user.email), request_ctx.rate_limit_ip).await?;
    let factor = TotpSecret::generate(ctx, &user.email)?;
    let (told, kept) = recovery::generate_six_digit(ctx, count).await?;
    // No code of it was used yet.
    if !ctx.accounts.enable_totp(user.id, &factor.seal(ctx, user.id)?, 0, &kept, ctx.now()).await? {
        return Err(Error::Mfa(MfaError::AlreadyEnabled));
    }
    mailing::queue_notice(ctx, user, Letter::SecondFactorOn, request_ctx.language);
    Ok((factor.key(), told))
}

/// Turns the second factor off. Where the dialect asks for the password, `password` is what was given of it.
pub async fn disable(
    ctx: &Context,
    user: &User,
    password: Option<Option<&Password>>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    if let Some(given) = password {
        reauthenticate(ctx, user, given, request_ctx.rate_limit_ip)
            .await
            .map_err(instead(Error::Mfa(MfaError::DisableFailed)))?;
    }
    if user.totp.is_none() {
        return Err(Error::Mfa(MfaError::AlreadyDisabled));
    }
    rate_limit::check_mfa(ctx, &mfa_subject(&user.email), request_ctx.rate_limit_ip).await?;
    if !ctx.accounts.disable_totp(user.id, ctx.now()).await? {
        return Err(Error::Mfa(MfaError::AlreadyDisabled));
    }
    mailing::queue_notice(ctx, user, Letter::SecondFactorOff, request_ctx.language);
    Ok(())
}

/// A wrong password is told in the words of what it was for; everything else as it is.
fn instead(of_a_wrong_one: Error) -> impl FnOnce(Error) -> Error {
    |failure| match failure {
        Error::WrongCurrentPassword => of_a_wrong_one,
        other => other,
    }
}
