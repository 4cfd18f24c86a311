//! Who may do what to whom: the rights of a person in a session, by the row as it is now and not as the token said when it was made.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::tokens::caller::{Caller, authenticate_user};
use crate::store::accounts::User;

/// The role that may see to other users.
const ADMIN: &str = "admin";

/// Recognises a person in a session. An API key is nobody's hand: what it may do is said by scopes, and none is for this.
pub async fn require_user(ctx: &Context, token: Option<&str>) -> Result<(Caller, User), Error> {
    let (caller, user) = authenticate_user(ctx, token).await?;
    caller.require_session()?;
    Ok((caller, user))
}

/// Recognises a person who may see to other users.
pub async fn require_admin(ctx: &Context, token: Option<&str>) -> Result<User, Error> {
    let (_, user) = require_user(ctx, token).await?;
    let may = user.superuser || user.roles.iter().any(|role| role == ADMIN);
    if may { Ok(user) } else { Err(Error::Forbidden(Denial::MissingPermission)) }
}

/// Whether `by`, who may see to other users, may touch this one: only superusers touch superusers.
pub(in crate::auth) fn can_manage(by: &User, other: &User) -> Result<(), Error> {
    if other.superuser { can_create_superusers(by) } else { Ok(()) }
}

/// Whether `by` may say who is a superuser.
pub(in crate::auth) fn can_create_superusers(by: &User) -> Result<(), Error> {
    if by.superuser { Ok(()) } else { Err(Error::Forbidden(Denial::MissingPermission)) }
}
