//! The second factor: a TOTP code (RFC 6238), which changes every thirty seconds, or a recovery code.
//!
//! Each attempt is counted before anything is compared, recovery codes in the same counter as TOTP codes. A time step
//! is consumed by the first code that proves it, and a recovery code by the first sign-in with it. The secret is sealed
//! in the user's row. [`crate::auth::sign_in::open_session`] calls `verify_code` for every session it opens.

mod enrollment;
mod recovery;
mod reset;
mod totp_secret;

use tokio::time::Instant;
use uuid::Uuid;

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::one_time::mfa_subject;
use crate::auth::rate_limit::{AttemptPermit, DailyCounter};
use crate::auth::request_context::RequestContext;
use crate::auth::timing::delay_limited;
use crate::auth::{Error, rate_limit};
use crate::id::UserId;
use crate::store::accounts::User;
use crate::store::ephemeral::Allowance;

pub use enrollment::{
    TotpEnrollment, disable, enable, enable_without_confirmation, enrollment_uri, replace_recovery_codes,
    start_enrollment,
};

pub use reset::reset_as_operator;
use totp_secret::TotpSecret;
pub use totp_secret::{InvalidSecret, SECRET_LENGTHS, seal_imported_secret};

/// Secrets that [`reseal_secrets`] reads per query.
const PAGE: u32 = 500;

/// The number of recovery codes that the user has not used yet; 0 if the second factor is off.
pub async fn recovery_codes_left(ctx: &Context, user: &User) -> Result<usize, Error> {
    match user.totp {
        Some(_) => Ok(ctx.accounts.recovery_codes(user.id).await?.len()),
        None => Ok(0),
    }
}

/// A code of the second factor that is right. The time step of a TOTP code is used up, and there is another one soon. A
/// recovery code is not used up yet, because its owner has only a few.
#[must_use]
pub(super) struct VerifiedCode {
    recovery_code: Option<Uuid>,
    is_of_superuser: bool,
}

impl VerifiedCode {
    /// Uses up a recovery code, and records it. Fails if another request has used it up meanwhile.
    pub(super) async fn spend(self, ctx: &Context, user: UserId, origin: Origin) -> Result<(), Error> {
        let Some(code) = self.recovery_code else { return Ok(()) };
        if !ctx.accounts.spend_recovery_code(user, code).await? {
            return Err(Error::InvalidMfaCode);
        }
        let event = Event::of_user(EventType::RecoveryCodeUsed, user, origin);
        audit::record(ctx, event.of_superuser(self.is_of_superuser));
        Ok(())
    }
}

/// Verifies a TOTP code or a recovery code of the user.
pub(super) async fn verify_code(
    ctx: &Context,
    user: &User,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<VerifiedCode, Error> {
    let start = Instant::now();
    let verified = count_and_compare(ctx, user, code, request_ctx).await;
    if matches!(verified, Err(Error::RateLimited { .. })) {
        delay_limited(start).await;
    }
    verified
}

async fn count_and_compare(
    ctx: &Context,
    user: &User,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<VerifiedCode, Error> {
    let sealed = user.totp.as_ref().ok_or(Error::Mfa(MfaError::NotEnabled))?;
    let attempt = count_attempt(ctx, user, request_ctx).await?;
    let secret = TotpSecret::open(ctx, user.id, sealed)?;
    let is_totp_code = match secret.step_of(code, ctx.now()) {
        Some(step) => ctx.accounts.spend_totp_step(user.id, step).await?,
        None => false,
    };
    // A recovery code of six digits may happen to be the TOTP code of a step that is consumed already.
    let recovery_code =
        if is_totp_code { None } else { recovery::find(ctx, user.id, code, request_ctx.rate_limit_ip).await? };
    if !is_totp_code && recovery_code.is_none() {
        return Err(attempt.refusal(Error::InvalidMfaCode));
    }
    attempt.refund(ctx, user).await?;
    Ok(VerifiedCode { recovery_code, is_of_superuser: user.superuser })
}

/// An attempt that was counted, so that its code may be compared.
#[must_use]
struct Attempt {
    permit: AttemptPermit,
    /// True if it is one of the attempts of the day that all clients share.
    uses_daily_attempt: bool,
}

/// Counts an attempt against the rate limits and the user's attempts of the day. Call it before comparing.
async fn count_attempt(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<Attempt, Error> {
    let subject = mfa_subject(&user.email);
    let permit = rate_limit::check_mfa(ctx, user, &subject, request_ctx).await?;
    match ctx.ephemeral.count_attempt(&subject, ctx.node.config.mailed.daily_tries, ctx.now()).await? {
        Allowance::Allowed => Ok(Attempt { permit, uses_daily_attempt: true }),
        Allowance::Limited { retry_after } => {
            let permit = rate_limit::check_day(
                ctx,
                Some(user.id),
                DailyCounter::SecondFactor,
                retry_after,
                request_ctx.client(),
            )
            .await?;
            Ok(Attempt { permit, uses_daily_attempt: false })
        }
    }
}

impl Attempt {
    /// The error for a wrong attempt: see [`AttemptPermit::refusal`].
    fn refusal(&self, wrong: Error) -> Error {
        self.permit.refusal(wrong)
    }

    /// Takes a successful attempt off the user's attempts of the day.
    async fn refund(self, ctx: &Context, user: &User) -> Result<(), Error> {
        if self.uses_daily_attempt {
            ctx.ephemeral.refund_attempt(&mfa_subject(&user.email), ctx.now()).await?;
        }
        Ok(())
    }
}

/// Seals again, with the first of the configured secrets, every TOTP secret that is sealed with another one, so that an
/// old secret can be removed from the settings without locking users out. Runs at startup; repeating it is harmless.
/// Skips a secret that cannot be opened, which is logged. Adds the number of those sealed again to `resealed`, also if it
/// fails in between.
pub async fn reseal_secrets(ctx: &Context, resealed: &mut u64) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = ctx.accounts.sealed_totps(after, PAGE).await?;
        for (number, user, old) in &page {
            after = *number;
            if ctx.node.secrets.is_sealed_by_first(&old.0) {
                continue;
            }
            let Ok(secret) = TotpSecret::open(ctx, *user, old) else { continue };
            if ctx.accounts.reseal_totp(*user, old, &secret.seal(ctx, *user)?).await? {
                *resealed += 1;
            }
        }
        if page.len() < PAGE as usize {
            return Ok(());
        }
    }
}
