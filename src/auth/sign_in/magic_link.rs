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
use crate::auth::context::App;
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
pub async fn begin(app: &App, email: &str, door: Door<'_>) -> Result<String, Failure> {
    let email = Email::read(email)?;
    evenly(draw(app, &email, door)).await
}

async fn draw(app: &App, email: &Email, door: Door<'_>) -> Result<String, Failure> {
    let subject = subject(email);
    rate_limit::of_mails(app, &subject, door.counted_by).await?;
    let user = app.accounts.user(Find::Email(email.as_str())).await?;
    let welcome = user.as_ref().map_or(app.node.config.accounts.open_registration, |user| !user.disabled);
    let says = match &user {
        Some(user) => Says::User { user: user.id, valid_after: user.sessions_valid_after.millis() },
        None => Says::Address(email.as_str().to_owned()),
    };
    let made = action_token::make(app, Purpose::MagicLink, says, app.node.config.mailed.magic)?;
    let half = one_time::half(app);
    let id = made.id.to_string();
    one_time::keep(app, (Kind::Magic, &subject, &id), &half, Vec::new(), made.until).await?;
    if welcome {
        let link = mailing::link(&app.node.config.mailed.magic_url, &made.text);
        mailing::post(app, email.as_str(), Letter::MagicLink { link }, made.until, door.language);
    }
    Ok(half)
}

/// Uses both halves up and lets in, or hands out the token of the second step where a second factor is due.
pub async fn redeem(app: &App, token: &str, half: &str, door: Door<'_>) -> Result<Entry, Failure> {
    let held = held(app, token, door).await?;
    held.hand_in(app, half, true).await?;
    let user = held.owner(app, door).await?;
    enter(app, &user, door).await
}

/// The same in one step. A second factor that is due or wrong leaves the halves as they are.
pub async fn redeem_at_once(
    app: &App,
    token: &str,
    half: &str,
    second: Option<&str>,
    door: Door<'_>,
) -> Result<Pair, Failure> {
    let held = held(app, token, door).await?;
    held.hand_in(app, half, false).await?;
    let Some(user) = &held.user else {
        held.hand_in(app, half, true).await?;
        let user = held.owner(app, door).await?;
        return admit(app, &user, second, door).await?.open(app, door).await;
    };
    // The address is proved by now, though it is only written down when the halves are used up.
    let user = User { verified: true, ..user.clone() };
    let admitted = admit(app, &user, second, door).await?;
    held.hand_in(app, half, true).await?;
    held.owner(app, door).await?;
    admitted.open(app, door).await
}

/// A mailed half that was read, and whom it lets in if the other fits.
struct Held {
    id: TokenId,
    address: String,
    /// `None`: nobody has the address yet.
    user: Option<User>,
}

async fn held(app: &App, token: &str, door: Door<'_>) -> Result<Held, Failure> {
    rate_limit::of_tries(app, door.counted_by).await?;
    let read = action_token::read::<Says>(app, Purpose::MagicLink, token).ok_or(Failure::MagicNotInForce)?;
    let (address, user) = match read.says {
        Says::User { user, valid_after } => {
            let user = app.accounts.user(Find::Id(user)).await?;
            let user = user.filter(|user| user.sessions_valid_after.millis() == valid_after);
            let user = user.ok_or(Failure::MagicNotInForce)?;
            (user.email.clone(), Some(user))
        }
        Says::Address(address) => {
            let user = app.accounts.user(Find::Email(&address)).await?;
            if user.as_ref().is_some_and(|user| !Asked::Nobody.is_in_force(user)) {
                return Err(Failure::MagicNotInForce);
            }
            (address, user)
        }
    };
    match &user {
        Some(user) if user.disabled => return Err(Failure::MagicNotInForce),
        None if !app.node.config.accounts.open_registration => return Err(Failure::RegistrationClosed),
        None => rate_limit::of_sign_ups(app, door.counted_by).await?,
        Some(_) => {}
    }
    Ok(Held { id: read.token, address, user })
}

impl Held {
    /// Tries the device's half. It is kept under the address: a user who has another by now is not found under it.
    async fn hand_in(&self, app: &App, half: &str, spend: bool) -> Result<(), Failure> {
        let (subject, id) = (subject_of(&self.address), self.id.to_string());
        let handed_in = one_time::hand_in(app, (Kind::Magic, &subject, &id), half, spend).await?;
        handed_in.map(|_| ()).ok_or(Failure::MagicNotInForce)
    }

    /// Whose the address is, confirmed; made now if it is nobody's. Only after the halves were used up.
    async fn owner(&self, app: &App, door: Door<'_>) -> Result<User, Failure> {
        owner(app, &self.address, self.user.clone(), door).await
    }
}
