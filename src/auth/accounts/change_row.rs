//! Changes a user's row, which may be the first of two steps: some changes also end the user's sessions, and some take
//! from the user what the tokens of open sessions state.
//!
//! The two steps are in two stores, so the ephemeral store, which has the sessions, is checked before the row changes.
//! If the check fails, nothing changes, and the caller can repeat the operation: the password and the token of the
//! caller are still valid. If that store fails after the check, the row stays changed, and
//! [`crate::auth::sessions::sign_out::sign_out_durably`] finishes the operation. Claims that could not be updated then
//! are logged ([`crate::auth::sessions::claims`]).

use super::find::find_by_other_spelling;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store::accounts::{Changed, Changes, Find, User};

/// Changes the row. If the changes end the sign-ins, the caller ends the sessions; otherwise it updates their claims.
pub(super) async fn change_row(ctx: &Context, user: UserId, changes: &Changes) -> Result<User, Error> {
    if changes.end_sign_ins() || changes.take_claims() {
        // The check writes, because a store may refuse writes and still serve reads.
        ctx.ephemeral.check().await?;
    }
    if let Some(Some(name)) = &changes.username
        && find_by_other_spelling(ctx, &name.key).await?.is_some_and(|other| other.id != user)
    {
        return Err(Error::UsernameTaken);
    }
    match ctx.accounts.change_user(user, changes, ctx.now()).await? {
        Changed::Changed(user) => Ok(*user),
        Changed::EmailTaken => Err(Error::EmailTaken),
        Changed::UsernameTaken => Err(Error::UsernameTaken),
        Changed::NotFound => Err(not_changed(ctx, user, changes).await?),
    }
}

/// Why the store changed nothing.
async fn not_changed(ctx: &Context, user: UserId, changes: &Changes) -> Result<Error, Error> {
    let Some(required) = &changes.only_if_email else { return Ok(Error::NotFound) };
    let row = ctx.accounts.user(Find::Id(user)).await?;
    Ok(if row.is_some_and(|row| row.email != *required) { Error::EmailChanged } else { Error::NotFound })
}
