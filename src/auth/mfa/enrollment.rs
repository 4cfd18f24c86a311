//! Turning the second factor on and off.
//!
//! On in two steps: a secret is drawn and pending for ten minutes, and a code of it turns it on. Only the pending secret counts:
//! what a request says of it is not believed. Or at once, as a published API has it. Its owner is told of either by mail.

use std::net::IpAddr;
use std::time::Duration;

use super::{counted, forgive, recovery};
use crate::auth::context::Context;
use crate::auth::mfa::totp_secret::Factor;
use crate::auth::passwords::Password;
use crate::auth::passwords::reauthenticate::original;
use crate::auth::sessions::open::Door;
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, factors_of, subject_of};
use crate::auth::{Failure, mailing, rate_limit};
use crate::mail::Letter;
use crate::store::accounts::{SealedTotp, User};

const PENDING: Duration = Duration::from_secs(10 * 60);

/// A second factor that is about to be turned on. Without a Debug form: it is all secret.
pub struct Pending {
    /// The secret in the letters that people type into an app.
    pub key: String,
    /// What an app reads from a QR code.
    pub uri: String,
}

/// Draws a secret that is pending, in place of one that was. Nothing is turned on.
pub async fn begin(ctx: &Context, user: &User) -> Result<Pending, Failure> {
    let factor = Factor::draw(ctx, &user.email)?;
    let sealed = factor.seal(ctx, user.id)?;
    let subject = subject_of(&user.email);
    // Nobody hands it in: it is looked at. What would be compared is drawn and thrown away.
    let nobody_knows = one_time::half(ctx);
    let place = (Kind::PendingFactor, subject.as_str(), user.id.to_string());
    one_time::keep(ctx, (place.0, place.1, &place.2), &nobody_knows, sealed.0, ctx.now() + PENDING).await?;
    Ok(Pending { key: factor.key(), uri: factor.uri()? })
}

/// What an app reads from a QR code, of the second factor that is pending.
pub async fn pending_uri(ctx: &Context, user: &User) -> Result<String, Failure> {
    pending(ctx, user).await?.ok_or(Failure::Absent)?.for_account(ctx, &user.email)?.uri()
}

async fn pending(ctx: &Context, user: &User) -> Result<Option<Factor>, Failure> {
    let subject = subject_of(&user.email);
    let held = ctx.ephemeral.claim(&subject, Kind::PendingFactor.name(), &user.id.to_string(), ctx.now()).await?;
    held.map(|sealed| Factor::open(ctx, user.id, &SealedTotp(sealed))).transpose()
}

/// Turns the pending second factor on, with a code of it and the password where there is one; gives the recovery codes.
pub async fn turn_on(
    ctx: &Context,
    user: &User,
    password: Option<&Password>,
    code: &str,
    door: Door<'_>,
) -> Result<Vec<String>, Failure> {
    original(ctx, user, password, door.counted_by).await.map_err(instead(Failure::SecondFactorNotOn))?;
    if user.totp.is_some() {
        return Err(Failure::SecondFactorAlreadyOn);
    }
    let factor = pending(ctx, user).await?.ok_or(Failure::SecondFactorNotOn)?;
    let step = proved(ctx, user, &factor, code, door.counted_by).await?;
    let (told, kept) = recovery::long(ctx, ctx.node.config.second_factor.recovery_codes);
    if !ctx.accounts.enable_totp(user.id, &factor.seal(ctx, user.id)?, step, &kept, ctx.now()).await? {
        return Err(Failure::SecondFactorAlreadyOn);
    }
    let place = user.id.to_string();
    let dropped = ctx.ephemeral.drop_claim(&subject_of(&user.email), Kind::PendingFactor.name(), &place).await;
    if let Err(error) = dropped {
        // It is on, and its owner must be told the codes. What is still pending is over in ten minutes.
        tracing::warn!(user = %user.id, %error, "a second factor that is on is still pending");
    }
    mailing::notice(ctx, user, Letter::SecondFactorOn, door.language);
    Ok(told)
}

async fn proved(ctx: &Context, user: &User, factor: &Factor, code: &str, counted_by: IpAddr) -> Result<i64, Failure> {
    let subject = factors_of(&user.email);
    counted(ctx, &subject, counted_by).await?;
    let step = factor.step_of(code, ctx.now()).ok_or(Failure::SecondFactorNotOn)?;
    forgive(ctx, &subject).await?;
    Ok(step)
}

/// Turns a second factor on at once; gives its secret and `count` backup codes of six digits.
pub async fn turn_on_at_once(
    ctx: &Context,
    user: &User,
    count: u32,
    door: Door<'_>,
) -> Result<(String, Vec<String>), Failure> {
    if user.totp.is_some() {
        return Err(Failure::SecondFactorAlreadyOn);
    }
    // Turning it on and off costs hashes and mails, so it is counted like trying it.
    rate_limit::of_second_factors(ctx, &factors_of(&user.email), door.counted_by).await?;
    let factor = Factor::draw(ctx, &user.email)?;
    let (told, kept) = recovery::short(ctx, count).await?;
    // No code of it was used yet.
    if !ctx.accounts.enable_totp(user.id, &factor.seal(ctx, user.id)?, 0, &kept, ctx.now()).await? {
        return Err(Failure::SecondFactorAlreadyOn);
    }
    mailing::notice(ctx, user, Letter::SecondFactorOn, door.language);
    Ok((factor.key(), told))
}

/// Turns the second factor off. Where the dialect asks for the password, `password` is what was given of it.
pub async fn turn_off(
    ctx: &Context,
    user: &User,
    password: Option<Option<&Password>>,
    door: Door<'_>,
) -> Result<(), Failure> {
    if let Some(given) = password {
        original(ctx, user, given, door.counted_by).await.map_err(instead(Failure::SecondFactorNotOff))?;
    }
    if user.totp.is_none() {
        return Err(Failure::SecondFactorAlreadyOff);
    }
    rate_limit::of_second_factors(ctx, &factors_of(&user.email), door.counted_by).await?;
    if !ctx.accounts.disable_totp(user.id, ctx.now()).await? {
        return Err(Failure::SecondFactorAlreadyOff);
    }
    mailing::notice(ctx, user, Letter::SecondFactorOff, door.language);
    Ok(())
}

/// A wrong password is told in the words of what it was for; everything else as it is.
fn instead(of_a_wrong_one: Failure) -> impl FnOnce(Failure) -> Failure {
    |failure| match failure {
        Failure::WrongOriginal => of_a_wrong_one,
        other => other,
    }
}
