//! The second factor: a code that changes every thirty seconds (TOTP, RFC 6238), or a recovery code.
//!
//! Each try is counted before anything is compared, recovery codes together with the app's; a time step is used up by the
//! first who proves it, and so is a recovery code. The secret is sealed in the user's row. `prove` is called where sessions
//! are opened, and nowhere is one opened without it.

mod enrollment;
mod recovery;
mod step_token;
mod totp_secret;

use std::net::IpAddr;

use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::sign_in::one_time::mfa_subject;
use crate::auth::{Error, rate_limit};
use crate::store::accounts::User;
use crate::store::ephemeral::Allowance;

pub use enrollment::{TotpEnrollment, disable, enable, enable_without_confirmation, enrollment_uri, start_enrollment};
pub use step_token::{LoginStep, complete_login, start_login};

use totp_secret::TotpSecret;

/// How many users' secrets are looked at at once.
const PAGE: u32 = 500;

/// Proves a user's second factor with a code of either kind, and uses the code up.
pub(super) async fn verify_code(ctx: &Context, user: &User, code: &str, counted_by: IpAddr) -> Result<(), Error> {
    let sealed = user.totp.as_ref().ok_or(Error::Mfa(MfaError::NotEnabled))?;
    let subject = mfa_subject(&user.email);
    counted(ctx, &subject, counted_by).await?;
    let factor = TotpSecret::open(ctx, user.id, sealed)?;
    let of_now = match factor.step_of(code, ctx.now()) {
        Some(step) => ctx.accounts.spend_totp_step(user.id, step).await?,
        None => false,
    };
    // Six digits of a recovery code may by chance be those of a step that is used up.
    let right = of_now || recovery::consume(ctx, user.id, code).await?;
    if right { forgive(ctx, &subject).await } else { Err(Error::InvalidMfaCode) }
}

/// Counts a try, before it is one.
async fn counted(ctx: &Context, subject: &str, counted_by: IpAddr) -> Result<(), Error> {
    rate_limit::check_mfa(ctx, subject, counted_by).await?;
    match ctx.ephemeral.count_attempt(subject, ctx.node.config.mailed.daily_tries, ctx.now()).await? {
        Allowance::Allowed => Ok(()),
        Allowance::Limited { retry_after } => Err(Error::RateLimited { retry_after }),
    }
}

async fn forgive(ctx: &Context, subject: &str) -> Result<(), Error> {
    Ok(ctx.ephemeral.refund_attempt(subject, ctx.now()).await?)
}

/// Seals anew, with the first of the secrets, what an older one sealed: so the older one can be taken out one day without
/// locking anybody out. Called at the start; again is harmless. One that does not open is passed over, and told of.
pub async fn reseal_secrets(ctx: &Context) -> Result<u64, Error> {
    let (mut after, mut sealed_anew) = (0, 0);
    loop {
        let page = ctx.accounts.sealed_totps(after, PAGE).await?;
        for (number, user, old) in &page {
            after = *number;
            if ctx.node.secrets.is_sealed_by_first(&old.0) {
                continue;
            }
            let Ok(factor) = TotpSecret::open(ctx, *user, old) else { continue };
            if ctx.accounts.reseal_totp(*user, old, &factor.seal(ctx, *user)?).await? {
                sealed_anew += 1;
            }
        }
        if page.len() < PAGE as usize {
            return Ok(sealed_anew);
        }
    }
}
