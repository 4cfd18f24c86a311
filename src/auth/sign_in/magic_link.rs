//! Signing in by a link: one half is mailed, the other stays with the device that asked, and only both together, once, let in. So
//! neither who reads the mail alone gets in, nor who looks over a shoulder at the device, nor a scanner that follows links.
//!
//! Whoever asks learns nothing of who has an account, as with [`crate::auth::passwords::request_reset`]. An account for a new address is therefore made when
//! the halves come back, not when they are asked for: nobody fills the store with addresses that are not theirs. The one who
//! comes back has read the address's mail, so it is confirmed from the start.

use serde::{Deserialize, Serialize};

use crate::auth::Failure;
use crate::auth::accounts::address_owner::owner;
use crate::auth::accounts::credential_epoch::Asked;
use crate::auth::accounts::identity::Email;
use crate::auth::context::Context;
use crate::auth::mfa::{Entry, enter};
use crate::auth::sessions::open::{Door, Pair, admit};
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, subject, subject_of};
use crate::auth::sign_in::timing::evenly;
use crate::auth::tokens::action_token;
use crate::auth::{mailing, rate_limit};
use crate::id::{TokenId, UserId};
use crate::mail::Letter;
use crate::store::accounts::{Find, User};
use crate::token::action::Purpose;

/// Whom the mailed token lets in.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Says {
    /// Who had the address when the link was asked for. With the row's `sessions_valid_after`: a link from before the password was
    /// changed lets nobody in.
    User { user: UserId, valid_after: i64 },
    /// Nobody had it: whoever has it when the halves come back and was not locked out since, or a new user.
    Address(String),
}

/// Mails one half, if the address is that of somebody who may sign in, or of nobody and registration is open; gives the other half
/// in any case.
pub async fn begin(ctx: &Context, email: &str, door: Door<'_>) -> Result<String, Failure> {
    let email = Email::read(email)?;
    evenly(draw(ctx, &email, door)).await
}

async fn draw(ctx: &Context, email: &Email, door: Door<'_>) -> Result<String, Failure> {
    let subject = subject(email);
    rate_limit::of_mails(ctx, &subject, door.counted_by).await?;
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?;
    let welcome = user.as_ref().map_or(ctx.node.config.accounts.open_registration, |user| !user.disabled);
    let says = match &user {
        Some(user) => Says::User { user: user.id, valid_after: user.sessions_valid_after.millis() },
        None => Says::Address(email.as_str().to_owned()),
    };
    let made = action_token::make(ctx, Purpose::MagicLink, says, ctx.node.config.mailed.magic)?;
    let half = one_time::half(ctx);
    let id = made.id.to_string();
    one_time::keep(ctx, (Kind::Magic, &subject, &id), &half, Vec::new(), made.until).await?;
    if welcome {
        let link = mailing::link(&ctx.node.config.mailed.magic_url, &made.text);
        mailing::post(ctx, email.as_str(), Letter::MagicLink { link }, made.until, door.language);
    }
    Ok(half)
}

/// Uses both halves up and lets in, or hands out the token of the second step where a second factor is due.
pub async fn redeem(ctx: &Context, token: &str, half: &str, door: Door<'_>) -> Result<Entry, Failure> {
    let held = held(ctx, token, door).await?;
    held.hand_in(ctx, half, true).await?;
    let user = held.owner(ctx, door).await?;
    enter(ctx, &user, door).await
}

/// The same in one step. A second factor that is due or wrong leaves the halves as they are.
pub async fn redeem_at_once(
    ctx: &Context,
    token: &str,
    half: &str,
    second: Option<&str>,
    door: Door<'_>,
) -> Result<Pair, Failure> {
    let held = held(ctx, token, door).await?;
    held.hand_in(ctx, half, false).await?;
    let Some(user) = &held.user else {
        held.hand_in(ctx, half, true).await?;
        let user = held.owner(ctx, door).await?;
        return admit(ctx, &user, second, door).await?.open(ctx, door).await;
    };
    // The address is proved by now, though it is only written down when the halves are used up.
    let user = User { verified: true, ..user.clone() };
    let admitted = admit(ctx, &user, second, door).await?;
    held.hand_in(ctx, half, true).await?;
    held.owner(ctx, door).await?;
    admitted.open(ctx, door).await
}

/// A mailed half that was read, and whom it lets in if the other fits.
struct Held {
    id: TokenId,
    address: String,
    /// `None`: nobody has the address yet.
    user: Option<User>,
}

async fn held(ctx: &Context, token: &str, door: Door<'_>) -> Result<Held, Failure> {
    rate_limit::of_tries(ctx, door.counted_by).await?;
    let read = action_token::read::<Says>(ctx, Purpose::MagicLink, token).ok_or(Failure::MagicNotInForce)?;
    let (address, user) = match read.says {
        Says::User { user, valid_after } => {
            let user = ctx.accounts.user(Find::Id(user)).await?;
            let user = user.filter(|user| user.sessions_valid_after.millis() == valid_after);
            let user = user.ok_or(Failure::MagicNotInForce)?;
            (user.email.clone(), Some(user))
        }
        Says::Address(address) => {
            let user = ctx.accounts.user(Find::Email(&address)).await?;
            if user.as_ref().is_some_and(|user| !Asked::Nobody.is_in_force(user)) {
                return Err(Failure::MagicNotInForce);
            }
            (address, user)
        }
    };
    match &user {
        Some(user) if user.disabled => return Err(Failure::MagicNotInForce),
        None if !ctx.node.config.accounts.open_registration => return Err(Failure::RegistrationClosed),
        None => rate_limit::of_sign_ups(ctx, door.counted_by).await?,
        Some(_) => {}
    }
    Ok(Held { id: read.token, address, user })
}

impl Held {
    /// Tries the device's half. It is kept under the address: a user who has another by now is not found under it.
    async fn hand_in(&self, ctx: &Context, half: &str, spend: bool) -> Result<(), Failure> {
        let (subject, id) = (subject_of(&self.address), self.id.to_string());
        let handed_in = one_time::hand_in(ctx, (Kind::Magic, &subject, &id), half, spend).await?;
        handed_in.map(|_| ()).ok_or(Failure::MagicNotInForce)
    }

    /// Whose the address is, confirmed; made now if it is nobody's. Only after the halves were used up.
    async fn owner(&self, ctx: &Context, door: Door<'_>) -> Result<User, Failure> {
        owner(ctx, &self.address, self.user.clone(), door).await
    }
}
