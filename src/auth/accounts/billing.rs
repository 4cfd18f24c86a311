//! A user's balance and usage. Only services that charge change them, by amounts to add, so that concurrent changes
//! lose nothing. Users cannot change their own.

use crate::auth::context::Context;
use crate::auth::reserved_scopes::{ADMIN, BILLING};
use crate::auth::tokens::caller::Caller;
use crate::auth::{Error, User};
use crate::id::UserId;
use crate::store::accounts::Billed;

pub use crate::store::accounts::BillingChange;

/// Adds to a user's balance and usage: all of the change, or nothing if a sum would become negative. Requires a
/// superuser, or an API key with the scope `billing:write` or `admin` whose owner is one.
pub async fn change_billing(
    ctx: &Context,
    caller: &Caller,
    user: UserId,
    change: &BillingChange,
) -> Result<User, Error> {
    caller.require_superuser_with(ctx, &[BILLING, ADMIN]).await?;
    match ctx.accounts.change_billing(user, change, ctx.now()).await? {
        Billed::Billed(user) => Ok(*user),
        Billed::OutOfRange => Err(Error::BalanceOutOfRange),
        Billed::NotFound => Err(Error::NotFound),
    }
}
