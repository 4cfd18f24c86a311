//! Signing in with a code that is mailed. Its account is made at the first use of an address, without a password and without a name.
//!
//! Whoever asks for a code learns nothing of who has an account: a code is drawn and kept for any address, and only whether it is
//! mailed differs, which nobody waits for and which is not felt (see `evenly`). Whoever hands one in learns of an account
//! only with the right code.
//!
//! A code opens no account whose sign-ins were ended since it was asked for: by a new password, by disabling it, by demoting it.

use std::time::Duration;

use crate::auth::accounts::address_owner::find_or_create_owner;
use crate::auth::accounts::credential_epoch::CredentialEpoch;
use crate::auth::accounts::identity::Email;
use crate::auth::context::Context;
use crate::auth::sessions::open::{RequestContext, TokenPair, authorize_login};
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, subject};
use crate::auth::sign_in::timing::respond_on_step;
use crate::auth::{Error, mailing, rate_limit};
use crate::mail::Letter;
use crate::store::accounts::{Find, User};

/// Mails a code in place of one that was mailed before, if the address is that of somebody who may sign in, or of nobody and
/// registration is open. Gives how long it is good.
pub async fn send_code(ctx: &Context, email: &Email, request_ctx: RequestContext<'_>) -> Result<Duration, Error> {
    respond_on_step(draw(ctx, email, request_ctx)).await
}

async fn draw(ctx: &Context, email: &Email, request_ctx: RequestContext<'_>) -> Result<Duration, Error> {
    let subject = subject(email);
    rate_limit::check_mail(ctx, &subject, request_ctx.rate_limit_ip).await?;
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?;
    let asked = CredentialEpoch::for_user(user.as_ref());
    let welcome = user.map_or(ctx.node.config.accounts.open_registration, |user| !user.disabled);
    let (code, good) = (one_time::generate_code(ctx), ctx.node.config.mailed.code);
    let until = ctx.now() + good;
    one_time::store(ctx, (Kind::SignInCode, &subject, ""), &code, asked.to_bytes(), until).await?;
    if welcome {
        mailing::queue_mail(ctx, email.as_str(), Letter::SignInCode { code }, until, request_ctx.language);
    }
    Ok(good)
}

/// Uses a code up and opens a session. A second factor that is due or wrong leaves the code as it is.
pub async fn sign_in_with_code(
    ctx: &Context,
    email: &Email,
    code: &str,
    second: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    rate_limit::check_attempt(ctx, request_ctx.rate_limit_ip).await?;
    let code = Code { subject: subject(email), digits: code.trim() };
    let asked = code.hand_in(ctx, false).await?;
    let Some(user) = ctx.accounts.user(Find::Email(email.as_str())).await? else {
        if !ctx.node.config.accounts.open_registration {
            return Err(Error::RegistrationClosed);
        }
        rate_limit::check_sign_up(ctx, request_ctx.rate_limit_ip).await?;
        code.hand_in(ctx, true).await?;
        let user = find_or_create_owner(ctx, email.as_str(), None, request_ctx).await?;
        return authorize_login(ctx, &user, second, request_ctx).await?.open(ctx, request_ctx).await;
    };
    // Who is disabled is told so, and not that the code is no good.
    if !user.disabled && !asked.is_current(&user) {
        return Err(Error::InvalidCode);
    }
    // The address is proved by now, though it is only written down when the code is used up.
    let proved = User { verified: true, ..user.clone() };
    let admitted = authorize_login(ctx, &proved, second, request_ctx).await?;
    code.hand_in(ctx, true).await?;
    find_or_create_owner(ctx, email.as_str(), Some(user), request_ctx).await?;
    admitted.open(ctx, request_ctx).await
}

/// What somebody hands in.
struct Code<'a> {
    subject: String,
    digits: &'a str,
}

impl Code<'_> {
    async fn hand_in(&self, ctx: &Context, spend: bool) -> Result<CredentialEpoch, Error> {
        let handed_in = one_time::redeem(ctx, (Kind::SignInCode, &self.subject, ""), self.digits, spend).await?;
        handed_in.and_then(|kept| CredentialEpoch::from_bytes(&kept)).ok_or(Error::InvalidCode)
    }
}
