//! Rules for managing other users. They depend on the row of the caller as it is now, not on the claims of the token.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::tokens::caller::{Caller, authenticate_user};
use crate::store::accounts::User;

/// The role that may manage other users.
const ADMIN: &str = "admin";

/// Authenticates a user. Rejects API keys: these calls need a user session, and no scope stands for them.
pub async fn require_user(ctx: &Context, token: Option<&str>) -> Result<(Caller, User), Error> {
    let (caller, user) = authenticate_user(ctx, token).await?;
    caller.require_session()?;
    Ok((caller, user))
}

/// Authenticates a user who may manage other users: an administrator or a superuser.
pub async fn require_admin(ctx: &Context, token: Option<&str>) -> Result<(Caller, User), Error> {
    let (caller, user) = require_user(ctx, token).await?;
    let is_admin = user.superuser || user.roles.iter().any(|role| role == ADMIN);
    if is_admin { Ok((caller, user)) } else { Err(Error::Forbidden(Denial::MissingPermission)) }
}

/// Checks that the administrator `by` may manage `other`: only superusers may manage superusers.
pub(in crate::auth) fn can_manage(by: &User, other: &User) -> Result<(), Error> {
    if other.superuser { can_create_superusers(by) } else { Ok(()) }
}

/// Checks that `by` may decide who is a superuser.
pub(in crate::auth) fn can_create_superusers(by: &User) -> Result<(), Error> {
    if by.superuser { Ok(()) } else { Err(Error::Forbidden(Denial::MissingPermission)) }
}
