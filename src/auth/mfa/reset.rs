//! Turning a user's second factor off for an operator, because the user has lost it and every recovery code.
//!
//! The request to the operator may come from somebody other than the owner, so the owner gets a notice by mail and the
//! event is recorded. Sessions stay open, because they were opened with the second factor; the operator can end them
//! too.

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::mailing::NoticeOrigin;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::{Error, mailing};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Find, User};

/// Turns the second factor off and deletes the recovery codes. Returns the user, and true if it was on. The mail
/// to the owner is queued; a process that ends must drain the queue first.
pub async fn reset_as_operator(ctx: &Context, user: UserId, origin: Origin) -> Result<(User, bool), Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let was_on = ctx.accounts.disable_totp(user, None, ctx.now()).await?;
        let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)?;
        if was_on {
            audit::record(&ctx, Event::of_user(EventType::MfaReset, user.id, origin));
            mailing::queue_notice(&ctx, &user, Letter::SecondFactorOff, &NoticeOrigin::operator(None)).await;
        }
        Ok((user, was_on))
    })
    .await
}
