//! Confirming that an address is its user's, by a link that is mailed to it.
//!
//! Whoever reads the mail may follow its link as often as they like, and mail scanners do: a confirmation gives nobody anything,
//! so nothing is used up, and the token is good until its time is over. It names the user and the digest of the address, so
//! that no address stands in anybody's log, and confirms no other that the user has by then. Knows nothing of where links lead.

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::mailing::queue_mail;
use crate::auth::sessions::refresh_claims::refresh_session_claims;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::sign_in::one_time::subject_of;
use crate::auth::tokens::action_token;
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{self, Find, User};
use crate::token::action::ActionKind;

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Says {
    user: UserId,
    /// By [`subject_of`].
    address: String,
}

/// What became of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The address is confirmed by this.
    Now,
    /// It was confirmed before.
    Already,
}

/// Mails `address`, in its canonical form, a link that confirms it as the user's; `link` makes one of a token. Who calls this has
/// taken it from the limits already: a sign-up from those of sign-ups, whatever else mails from those of mails.
pub fn send_link(
    ctx: &Context,
    user: &User,
    address: &str,
    link: impl FnOnce(&str) -> String,
    language: Option<&str>,
) -> Result<(), Error> {
    let says = Says { user: user.id, address: subject_of(address) };
    let made = action_token::create(ctx, ActionKind::ConfirmEmail, says, ctx.node.config.mailed.confirm)?;
    queue_mail(ctx, address, Letter::ConfirmEmail { link: link(&made.text) }, made.until, language);
    Ok(())
}

/// Confirms the address that `token` was mailed to, if its user still has it.
pub async fn verify_email(ctx: &Context, token: &str) -> Result<Confirmed, Error> {
    let read = action_token::verify::<Says>(ctx, ActionKind::ConfirmEmail, token);
    let says = read.ok_or(Error::InvalidLink(LinkKind::EmailVerification))?.claims;
    let user = ctx.accounts.user(Find::Id(says.user)).await?.ok_or(Error::NotFound)?;
    if subject_of(&user.email) != says.address {
        return Err(Error::InvalidLink(LinkKind::EmailVerification));
    }
    let ctx = ctx.clone();
    run_to_completion(async move {
        let confirmed = match ctx.accounts.verify_email(user.id, &user.email, ctx.now()).await? {
            accounts::EmailVerified::Verified => Confirmed::Now,
            accounts::EmailVerified::AlreadyVerified => Confirmed::Already,
            // Gone, or another address, since the row was read.
            accounts::EmailVerified::NotFound => return Err(Error::InvalidLink(LinkKind::EmailVerification)),
        };
        // Also when it was confirmed before: the tokens may not have heard of it then.
        refresh_session_claims(&ctx, user.id).await;
        Ok(confirmed)
    })
    .await
}
