//! What becomes of open sessions when a user's row says something else than their tokens do: from the next refresh on they say it
//! too, so that nobody takes an address for somebody's who has another by now.
//!
//! The row is what counts, and has changed by then: should this fail, the change has been made all the same, and tokens say
//! what they said until the next change or sign-in. Access tokens that are out already say it until they expire, which is minutes.
//! A sign-in that read the row before it changed can still open a session with what it read; to look again would cost
//! each sign-in a question to the store.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::open::session_claims;
use crate::id::UserId;
use crate::store::accounts::Find;

/// Has the tokens of all open sessions of the user say what the row says now.
pub(in crate::auth) async fn refresh_session_claims(ctx: &Context, user: UserId) {
    if let Err(error) = say(ctx, user).await {
        tracing::warn!(%user, %error, "what the tokens of open sessions say could not be changed");
    }
}

async fn say(ctx: &Context, user: UserId) -> Result<(), Error> {
    let mut said = None;
    // Of two changes that meet, the first may be the last to get here: nobody leaves before the row is as it was told.
    while let Some(row) = ctx.accounts.user(Find::Id(user)).await? {
        let profile = session_claims(&row)?;
        if said.as_ref() == Some(&profile) {
            break;
        }
        ctx.ephemeral.set_profile(user, &profile, ctx.now()).await?;
        said = Some(profile);
    }
    Ok(())
}
