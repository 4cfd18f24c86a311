//! What a user has to spend and has spent. Changed by services that charge, in steps that are added, so that two at once lose
//! nothing; never by users themselves.

use crate::auth::context::Context;
use crate::auth::tokens::caller::Caller;
use crate::auth::{Error, User};
use crate::id::UserId;
use crate::store::accounts::Billed;

pub use crate::store::accounts::BillingChange;

/// What an API key needs to change anybody's billing. Only a superuser may make such a key.
pub const SCOPE: &str = "billing:write";

/// Adds to what a user has and has used, all of it or nothing: no sum sinks below zero. For a superuser, or an API key with
/// [`SCOPE`], whosever it is.
pub async fn change_billing(
    ctx: &Context,
    caller: &Caller,
    user: UserId,
    change: &BillingChange,
) -> Result<User, Error> {
    if caller.require_scope(SCOPE).is_err() {
        caller.require_superuser(ctx).await?;
    }
    match ctx.accounts.change_billing(user, change, ctx.now()).await? {
        Billed::Billed(user) => Ok(*user),
        Billed::OutOfRange => Err(Error::BalanceOutOfRange),
        Billed::NotFound => Err(Error::NotFound),
    }
}
