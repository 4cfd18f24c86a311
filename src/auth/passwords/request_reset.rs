//! Asking for a new password: a link is mailed, and where the dialect has it, the device that asked keeps the other half.
//!
//! Whoever asks learns nothing of who has an account: for a known address and an unknown one the same is read, signed and kept, and
//! the same is answered. Only the mail differs, which nobody waits for and which is not felt (see `evenly`). What is
//! handed in is [`crate::auth::passwords::reset`]'s affair.

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::accounts::identity::{Email, Username};
use crate::auth::context::Context;
use crate::auth::sessions::open::RequestContext;
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, subject_of};
use crate::auth::sign_in::timing::respond_on_step;
use crate::auth::tokens::action_token;
use crate::auth::{mailing, rate_limit};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Find, User};
use crate::token::action::Purpose;

/// What the mailed token says.
#[derive(Serialize, Deserialize)]
pub(in crate::auth) struct Says {
    /// Whose password.
    pub(in crate::auth) user: UserId,
    /// The row's `sessions_valid_after` when it was asked for: a link from before the last change of password is no good.
    pub(in crate::auth) valid_after: i64,
    /// Whether the device's half is needed too. The landing page reads it, to know what to ask for.
    pub(in crate::auth) half: bool,
}

/// What is kept beside a token that needs no other half. The token proves itself; this only holds that it is used once.
pub(in crate::auth) const NO_HALF: &str = "";

/// Mails a link if somebody who may sign in has that address; gives the device's half in any case.
pub async fn recover(ctx: &Context, email: &str, request_ctx: RequestContext<'_>) -> Result<String, Error> {
    let half = one_time::generate_device_secret(ctx);
    respond_on_step(ask(ctx, email, |_| true, Some(&half), request_ctx)).await?;
    Ok(half)
}

/// Mails a link that needs no other half, if that address and that name are one user's.
pub async fn recover_by_link(
    ctx: &Context,
    email: &str,
    username: &str,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let wanted = Username::parse(username).ok();
    let theirs = |user: &User| user.username.as_deref().and_then(|name| Username::parse(name).ok());
    let same = |user: &User| match (&wanted, theirs(user)) {
        (Some(wanted), Some(theirs)) => wanted.key() == theirs.key(),
        _ => false,
    };
    respond_on_step(ask(ctx, email, same, None, request_ctx)).await
}

async fn ask(
    ctx: &Context,
    email: &str,
    is_meant: impl Fn(&User) -> bool,
    half: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    // What is no address is nobody's, and counted as it is written.
    let address = Email::parse(email).ok();
    let subject = subject_of(address.as_ref().map_or(email, Email::as_str));
    rate_limit::check_mail(ctx, &subject, request_ctx.rate_limit_ip).await?;
    let user = match &address {
        Some(address) => ctx.accounts.user(Find::Email(address.as_str())).await?,
        None => None,
    };
    let says = Says {
        user: user.as_ref().map_or_else(|| UserId::new(ctx.now(), &ctx.node.rng), |user| user.id),
        valid_after: user.as_ref().map_or(ctx.now(), |user| user.sessions_valid_after).millis(),
        half: half.is_some(),
    };
    let made = action_token::make(ctx, Purpose::ResetPassword, says, ctx.node.config.mailed.reset)?;
    let place = (Kind::Reset, subject.as_str(), made.id.to_string());
    one_time::store(ctx, (place.0, place.1, &place.2), half.unwrap_or(NO_HALF), Vec::new(), made.until).await?;
    if let Some(user) = user.filter(|user| !user.disabled && is_meant(user)) {
        let link = mailing::link_with_token(&ctx.node.config.mailed.reset_url, &made.text);
        mailing::queue_mail(ctx, &user.email, Letter::ResetPassword { link }, made.until, request_ctx.language);
    }
    Ok(())
}
