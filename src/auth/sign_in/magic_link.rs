//! Signing in by a link: one half is mailed, the other stays with the device that asked, and only both together, once, let in. So
//! neither who reads the mail alone gets in, nor who looks over a shoulder at the device, nor a scanner that follows links.
//!
//! Whoever asks learns nothing of who has an account, as with [`crate::auth::passwords::request_reset`]. An account for a new address is therefore made when
//! the halves come back, not when they are asked for: nobody fills the store with addresses that are not theirs. The one who
//! comes back has read the address's mail, so it is confirmed from the start.

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::accounts::address_owner::find_or_create_owner;
use crate::auth::accounts::credential_epoch::CredentialEpoch;
use crate::auth::accounts::identity::Email;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::mfa::{LoginStep, start_login};
use crate::auth::sessions::open::{RequestContext, TokenPair, authorize_login};
use crate::auth::sign_in::one_time;
use crate::auth::sign_in::one_time::{Kind, subject, subject_of};
use crate::auth::sign_in::timing::respond_on_step;
use crate::auth::tokens::action_token;
use crate::auth::{mailing, rate_limit};
use crate::id::{TokenId, UserId};
use crate::mail::Letter;
use crate::store::accounts::{Find, User};
use crate::token::action::ActionKind;

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
pub async fn request_link(ctx: &Context, email: &str, request_ctx: RequestContext<'_>) -> Result<String, Error> {
    let email = Email::parse(email)?;
    respond_on_step(draw(ctx, &email, request_ctx)).await
}

async fn draw(ctx: &Context, email: &Email, request_ctx: RequestContext<'_>) -> Result<String, Error> {
    let subject = subject(email);
    rate_limit::check_mail(ctx, &subject, request_ctx.rate_limit_ip).await?;
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?;
    let welcome = user.as_ref().map_or(ctx.node.config.accounts.open_registration, |user| !user.disabled);
    let says = match &user {
        Some(user) => Says::User { user: user.id, valid_after: user.sessions_valid_after.millis() },
        None => Says::Address(email.as_str().to_owned()),
    };
    let made = action_token::create(ctx, ActionKind::MagicLink, says, ctx.node.config.mailed.magic)?;
    let half = one_time::generate_device_secret(ctx);
    let id = made.id.to_string();
    one_time::store(ctx, (Kind::Magic, &subject, &id), &half, Vec::new(), made.until).await?;
    if welcome {
        let link = mailing::link_with_token(&ctx.node.config.mailed.magic_url, &made.text);
        mailing::queue_mail(ctx, email.as_str(), Letter::MagicLink { link }, made.until, request_ctx.language);
    }
    Ok(half)
}

/// Uses both halves up and lets in, or hands out the token of the second step where a second factor is due.
pub async fn redeem(
    ctx: &Context,
    token: &str,
    half: &str,
    request_ctx: RequestContext<'_>,
) -> Result<LoginStep, Error> {
    let held = held(ctx, token, request_ctx).await?;
    held.hand_in(ctx, half, true).await?;
    let user = held.owner(ctx, request_ctx).await?;
    start_login(ctx, &user, request_ctx).await
}

/// The same in one step. A second factor that is due or wrong leaves the halves as they are.
pub async fn redeem_with_code(
    ctx: &Context,
    token: &str,
    half: &str,
    second: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let held = held(ctx, token, request_ctx).await?;
    held.hand_in(ctx, half, false).await?;
    let Some(user) = &held.user else {
        held.hand_in(ctx, half, true).await?;
        let user = held.owner(ctx, request_ctx).await?;
        return authorize_login(ctx, &user, second, request_ctx).await?.open(ctx, request_ctx).await;
    };
    // The address is proved by now, though it is only written down when the halves are used up.
    let user = User { verified: true, ..user.clone() };
    let admitted = authorize_login(ctx, &user, second, request_ctx).await?;
    held.hand_in(ctx, half, true).await?;
    held.owner(ctx, request_ctx).await?;
    admitted.open(ctx, request_ctx).await
}

/// A mailed half that was read, and whom it lets in if the other fits.
struct Held {
    id: TokenId,
    address: String,
    /// `None`: nobody has the address yet.
    user: Option<User>,
}

async fn held(ctx: &Context, token: &str, request_ctx: RequestContext<'_>) -> Result<Held, Error> {
    rate_limit::check_attempt(ctx, request_ctx.rate_limit_ip).await?;
    let read =
        action_token::verify::<Says>(ctx, ActionKind::MagicLink, token).ok_or(Error::InvalidLink(LinkKind::MagicLink))?;
    let (address, user) = match read.claims {
        Says::User { user, valid_after } => {
            let user = ctx.accounts.user(Find::Id(user)).await?;
            let user = user.filter(|user| user.sessions_valid_after.millis() == valid_after);
            let user = user.ok_or(Error::InvalidLink(LinkKind::MagicLink))?;
            (user.email.clone(), Some(user))
        }
        Says::Address(address) => {
            let user = ctx.accounts.user(Find::Email(&address)).await?;
            if user.as_ref().is_some_and(|user| !CredentialEpoch::Nobody.is_current(user)) {
                return Err(Error::InvalidLink(LinkKind::MagicLink));
            }
            (address, user)
        }
    };
    match &user {
        Some(user) if user.disabled => return Err(Error::InvalidLink(LinkKind::MagicLink)),
        None if !ctx.node.config.accounts.open_registration => return Err(Error::RegistrationClosed),
        None => rate_limit::check_sign_up(ctx, request_ctx.rate_limit_ip).await?,
        Some(_) => {}
    }
    Ok(Held { id: read.id, address, user })
}

impl Held {
    /// Tries the device's half. It is kept under the address: a user who has another by now is not found under it.
    async fn hand_in(&self, ctx: &Context, half: &str, spend: bool) -> Result<(), Error> {
        let (subject, id) = (subject_of(&self.address), self.id.to_string());
        let handed_in = one_time::redeem(ctx, (Kind::Magic, &subject, &id), half, spend).await?;
        handed_in.map(|_| ()).ok_or(Error::InvalidLink(LinkKind::MagicLink))
    }

    /// Whose the address is, confirmed; made now if it is nobody's. Only after the halves were used up.
    async fn owner(&self, ctx: &Context, request_ctx: RequestContext<'_>) -> Result<User, Error> {
        find_or_create_owner(ctx, &self.address, self.user.clone(), request_ctx).await
    }
}
