//! A new password on the request of its owner, who stays signed in.
//!
//! The new password ends all sessions of the user, by a timestamp in the row that has no exceptions
//! ([`crate::auth::accounts::update`]). The session of the request is replaced by one that is opened after the change.
//! A thief gains nothing by that: the caller had a session, and the new one keeps its `auth_time`.

use super::open_session::{login_refusal, reopen_session};
use crate::auth::Error;
use crate::auth::accounts::update::{UpdateSelf, update_self};
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::tokens::TokenPair;
use crate::clock::Timestamp;
use crate::store::accounts::User;

/// Sets the password of the caller, and ends all other sessions. Returns the tokens of the session that replaces the
/// caller's.
pub async fn change_password(
    ctx: &Context,
    user: &User,
    auth_time: Option<Timestamp>,
    current: Option<Password>,
    new: Password,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    // Before the change: otherwise the change would succeed and the call fail. Not recorded, because a client can cause
    // it in any number.
    if let Some((error, _)) = login_refusal(user, request_ctx) {
        return Err(error);
    }
    let update = UpdateSelf { password: Some(new), current_password: current, auth_time, ..UpdateSelf::default() };
    let user = update_self(ctx, user, update, request_ctx).await?;
    reopen_session(ctx, &user, auth_time, request_ctx).await
}
