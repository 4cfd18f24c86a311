//! Enabling and disabling the second factor.
//!
//! Enabling takes two steps: the first generates a pending secret, the second confirms it with a code. Only the stored
//! pending secret counts, never one in the request. It belongs to the session that began the enrollment: a thief with
//! another session of the user can neither read it nor put another one in its place. A published API enables it in one
//! step instead. The owner gets a notice by mail of every change, even if the client disconnects: a thief must not be
//! able to suppress the notice.

use std::time::Duration;

use super::{count_attempt, recovery};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::{MfaError, VerifyError};
use crate::auth::mailing::NoticeOrigin;
use crate::auth::mfa::totp_secret::TotpSecret;
use crate::auth::one_time::{self, SecretKey, SecretKind, mfa_subject, subject_of};
use crate::auth::passwords::IdentityProof;
use crate::auth::passwords::reauthenticate::reauthenticate;
use crate::auth::rate_limit::LimitedAction;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::{Error, mailing, rate_limit};
use crate::id::SessionId;
use crate::mail::Letter;
use crate::store::accounts::{Find, RecoveryCode, SealedTotp, User};
use crate::store::ephemeral::ClaimKey;

/// Lifetime of an enrollment that is not confirmed.
const PENDING_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A TOTP enrollment that is not confirmed yet. Not `Debug`, because it is secret.
pub struct TotpEnrollment {
    /// The secret in base32, as people type it into an app.
    pub key: String,
    /// The `otpauth://` URI that an app reads from a QR code.
    pub uri: String,
}

/// Generates a pending secret, in place of an earlier one of the session. Enables nothing.
pub async fn start_enrollment(ctx: &Context, user: &User, session: SessionId) -> Result<TotpEnrollment, Error> {
    rate_limit::check_user(ctx, LimitedAction::TotpAccount, user.id).await?;
    let secret = TotpSecret::generate(ctx, &user.email)?;
    let sealed = secret.seal(ctx, user.id)?;
    let (subject, id) = (subject_of(&user.email), session.to_string());
    // Only the payload is ever read. The secret to compare with is random and discarded, so that nothing matches it.
    let unused = one_time::generate_device_secret(ctx);
    one_time::store(ctx, key(&subject, &id), &unused, sealed.0, ctx.now() + PENDING_LIFETIME).await?;
    Ok(TotpEnrollment { key: secret.key(), uri: secret.uri()? })
}

/// The `otpauth://` URI of the pending secret of the session. Rate-limited, because the caller draws a QR code of it.
pub async fn enrollment_uri(
    ctx: &Context,
    user: &User,
    session: SessionId,
    request_ctx: RequestContext<'_>,
) -> Result<String, Error> {
    rate_limit::check_costly(ctx, user.id, request_ctx).await?;
    let claim = claim(user, session);
    pending_secret(ctx, user, &claim).await?.ok_or(Error::NotFound)?.for_account(ctx, &user.email)?.uri()
}

fn key<'a>(subject: &'a str, id: &'a str) -> SecretKey<'a> {
    SecretKey { kind: SecretKind::TotpEnrollment, subject, id }
}

fn claim(user: &User, session: SessionId) -> ClaimKey {
    key(&subject_of(&user.email), &session.to_string()).claim()
}

async fn pending_secret(ctx: &Context, user: &User, claim: &ClaimKey) -> Result<Option<TotpSecret>, Error> {
    let sealed = ctx.ephemeral.peek_claim(claim, ctx.now()).await?;
    sealed.map(|sealed| TotpSecret::open(ctx, user.id, &SealedTotp(sealed))).transpose()
}

/// Enables the pending secret of the session, if `code` is a code of it and `proof` has the user's password, or a
/// recent sign-in if there is no password. Returns the recovery codes.
pub async fn enable(
    ctx: &Context,
    user: &User,
    session: SessionId,
    proof: IdentityProof<'_>,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<Vec<String>, Error> {
    reauthenticate(ctx, user, proof, request_ctx)
        .await
        .map_err(replace_wrong_password(Error::Mfa(MfaError::EnableFailed)))?;
    if user.totp.is_some() {
        return Err(Error::Mfa(MfaError::AlreadyEnabled));
    }
    let claim = claim(user, session);
    let secret = pending_secret(ctx, user, &claim).await?.ok_or(Error::Mfa(MfaError::EnableFailed))?;
    let step = check_enrollment_code(ctx, user, &secret, code, request_ctx).await?;
    let (codes, hashes) = recovery::generate(ctx, ctx.node.config.second_factor.recovery_codes);
    enable_and_notify(ctx, user, secret.seal(ctx, user.id)?, step, hashes, request_ctx).await?;
    if let Err(error) = ctx.ephemeral.delete_claim(&claim).await {
        // It is enabled, and the response must deliver the recovery codes. The pending secret expires within ten
        // minutes.
        tracing::warn!(user = %user.id, %error, "cannot delete the pending secret of a second factor that was enabled");
    }
    Ok(codes)
}

async fn enable_and_notify(
    ctx: &Context,
    user: &User,
    secret: SealedTotp,
    step: i64,
    recovery: Vec<RecoveryCode>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let (ctx, user, notice_origin) = (ctx.clone(), user.clone(), NoticeOrigin::client(request_ctx));
    let origin = Origin::request(request_ctx);
    run_to_completion(async move {
        let valid_after = Some(user.sessions_valid_after);
        if !ctx.accounts.enable_totp(user.id, &secret, step, &recovery, valid_after, ctx.now()).await? {
            return Err(not_changed(&ctx, &user, MfaError::AlreadyEnabled).await?);
        }
        mailing::queue_notice(&ctx, &user, Letter::SecondFactorOn, &notice_origin).await;
        audit::record(&ctx, Event::of_account(EventType::MfaEnabled, &user, origin));
        Ok(())
    })
    .await
}

async fn check_enrollment_code(
    ctx: &Context,
    user: &User,
    secret: &TotpSecret,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<i64, Error> {
    let attempt = count_attempt(ctx, user, request_ctx).await?;
    let Some(step) = secret.step_of(code, ctx.now()) else {
        return Err(attempt.refusal(Error::Mfa(MfaError::EnableFailed)));
    };
    attempt.refund(ctx, user).await?;
    Ok(step)
}

/// Enables a second factor in one step. Returns its secret in base32 and `count` backup codes of six digits.
pub async fn enable_without_confirmation(
    ctx: &Context,
    user: &User,
    count: u32,
    request_ctx: RequestContext<'_>,
) -> Result<(String, Vec<String>), Error> {
    if user.totp.is_some() {
        return Err(Error::Mfa(MfaError::AlreadyEnabled));
    }
    // Enabling and disabling cost hashes and mails, so each counts as an attempt at the second factor.
    let _counted = rate_limit::check_mfa(ctx, user, &mfa_subject(&user.email), request_ctx).await?;
    let secret = TotpSecret::generate(ctx, &user.email)?;
    let (codes, hashes) = recovery::generate_six_digit(ctx, count, request_ctx.rate_limit_ip).await?;
    // Step 0: no code has been used yet.
    enable_and_notify(ctx, user, secret.seal(ctx, user.id)?, 0, hashes, request_ctx).await?;
    Ok((secret.key(), codes))
}

/// Disables the second factor. `proof` is `None` if the published API has no field for a proof.
pub async fn disable(
    ctx: &Context,
    user: &User,
    proof: Option<IdentityProof<'_>>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    if let Some(proof) = proof {
        reauthenticate(ctx, user, proof, request_ctx)
            .await
            .map_err(replace_wrong_password(Error::Mfa(MfaError::DisableFailed)))?;
    }
    if user.totp.is_none() {
        return Err(Error::Mfa(MfaError::AlreadyDisabled));
    }
    let _counted = rate_limit::check_mfa(ctx, user, &mfa_subject(&user.email), request_ctx).await?;
    let (ctx, user, notice_origin) = (ctx.clone(), user.clone(), NoticeOrigin::client(request_ctx));
    let origin = Origin::request(request_ctx);
    run_to_completion(async move {
        if !ctx.accounts.disable_totp(user.id, Some(user.sessions_valid_after), ctx.now()).await? {
            return Err(not_changed(&ctx, &user, MfaError::AlreadyDisabled).await?);
        }
        mailing::queue_notice(&ctx, &user, Letter::SecondFactorOff, &notice_origin).await;
        audit::record(&ctx, Event::of_account(EventType::MfaDisabled, &user, origin));
        Ok(())
    })
    .await
}

/// Replaces the recovery codes, and returns the new ones.
pub async fn replace_recovery_codes(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<Vec<String>, Error> {
    reauthenticate(ctx, user, proof, request_ctx).await?;
    if user.totp.is_none() {
        return Err(Error::Mfa(MfaError::NotEnabled));
    }
    // Each costs a mail, so it counts as an attempt at the second factor.
    let _counted = rate_limit::check_mfa(ctx, user, &mfa_subject(&user.email), request_ctx).await?;
    let (codes, hashes) = recovery::generate(ctx, ctx.node.config.second_factor.recovery_codes);
    let (ctx, user, notice_origin) = (ctx.clone(), user.clone(), NoticeOrigin::client(request_ctx));
    let origin = Origin::request(request_ctx);
    run_to_completion(async move {
        let valid_after = user.sessions_valid_after;
        if !ctx.accounts.replace_recovery_codes(user.id, &hashes, valid_after, ctx.now()).await? {
            return Err(VerifyError::Revoked.into());
        }
        mailing::queue_notice(&ctx, &user, Letter::RecoveryCodesReplaced, &notice_origin).await;
        audit::record(&ctx, Event::of_account(EventType::RecoveryCodesReplaced, &user, origin));
        Ok(codes)
    })
    .await
}

/// Why the store changed nothing: the sessions of the user have ended since the request was authenticated, or another
/// request did the same before, which is `already_done`.
async fn not_changed(ctx: &Context, user: &User, already_done: MfaError) -> Result<Error, Error> {
    let row = ctx.accounts.user(Find::Id(user.id)).await?;
    let is_open = row.is_some_and(|row| row.sessions_valid_after == user.sessions_valid_after);
    Ok(if is_open { Error::Mfa(already_done) } else { VerifyError::Revoked.into() })
}

/// Replaces [`Error::WrongCurrentPassword`], so that a wrong password and a wrong code give the same answer.
fn replace_wrong_password(replacement: Error) -> impl FnOnce(Error) -> Error {
    |error| match error {
        Error::WrongCurrentPassword => replacement,
        other => other,
    }
}
