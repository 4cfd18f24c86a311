//! Signing in with a code that is mailed. Its account is made at the first use of an address, without a password and without a name.
//!
//! Whoever asks for a code learns nothing of who has an account: a code is drawn and kept for any address, and only whether it is
//! mailed differs, which nobody waits for and which is not felt (see `evenly`). Whoever hands one in learns of an account
//! only with the right code.
//!
//! A code opens no account whose sign-ins were ended since it was asked for: by a new password, by disabling it, by demoting it.

use std::time::Duration;

use crate::auth::accounts::address_owner::owner;
use crate::auth::accounts::credential_epoch::Asked;
use crate::auth::accounts::identity::Email;
use crate::auth::context::Context;
use crate::auth::sessions::open::{Door, Pair, admit};
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, subject};
use crate::auth::sign_in::timing::evenly;
use crate::auth::{Failure, mailing, rate_limit};
use crate::mail::Letter;
use crate::store::accounts::{Find, User};

/// Mails a code in place of one that was mailed before, if the address is that of somebody who may sign in, or of nobody and
/// registration is open. Gives how long it is good.
pub async fn send(ctx: &Context, email: &Email, door: Door<'_>) -> Result<Duration, Failure> {
    evenly(draw(ctx, email, door)).await
}

async fn draw(ctx: &Context, email: &Email, door: Door<'_>) -> Result<Duration, Failure> {
    let subject = subject(email);
    rate_limit::of_mails(ctx, &subject, door.counted_by).await?;
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?;
    let asked = Asked::of(user.as_ref());
    let welcome = user.map_or(ctx.node.config.accounts.open_registration, |user| !user.disabled);
    let (code, good) = (one_time::six_digits(ctx), ctx.node.config.mailed.code);
    let until = ctx.now() + good;
    one_time::keep(ctx, (Kind::SignInCode, &subject, ""), &code, asked.kept(), until).await?;
    if welcome {
        mailing::post(ctx, email.as_str(), Letter::SignInCode { code }, until, door.language);
    }
    Ok(good)
}

/// Uses a code up and opens a session. A second factor that is due or wrong leaves the code as it is.
pub async fn sign_in_with_code(
    ctx: &Context,
    email: &Email,
    code: &str,
    second: Option<&str>,
    door: Door<'_>,
) -> Result<Pair, Failure> {
    rate_limit::of_tries(ctx, door.counted_by).await?;
    let code = Code { subject: subject(email), digits: code.trim() };
    let asked = code.hand_in(ctx, false).await?;
    let Some(user) = ctx.accounts.user(Find::Email(email.as_str())).await? else {
        if !ctx.node.config.accounts.open_registration {
            return Err(Failure::RegistrationClosed);
        }
        rate_limit::of_sign_ups(ctx, door.counted_by).await?;
        code.hand_in(ctx, true).await?;
        let user = owner(ctx, email.as_str(), None, door).await?;
        return admit(ctx, &user, second, door).await?.open(ctx, door).await;
    };
    // Who is disabled is told so, and not that the code is no good.
    if !user.disabled && !asked.is_in_force(&user) {
        return Err(Failure::CodeNotInForce);
    }
    // The address is proved by now, though it is only written down when the code is used up.
    let proved = User { verified: true, ..user.clone() };
    let admitted = admit(ctx, &proved, second, door).await?;
    code.hand_in(ctx, true).await?;
    owner(ctx, email.as_str(), Some(user), door).await?;
    admitted.open(ctx, door).await
}

/// What somebody hands in.
struct Code<'a> {
    subject: String,
    digits: &'a str,
}

impl Code<'_> {
    async fn hand_in(&self, ctx: &Context, spend: bool) -> Result<Asked, Failure> {
        let handed_in = one_time::hand_in(ctx, (Kind::SignInCode, &self.subject, ""), self.digits, spend).await?;
        handed_in.and_then(|kept| Asked::read(&kept)).ok_or(Failure::CodeNotInForce)
    }
}
