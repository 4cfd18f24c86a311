//! Who may do what to whom: the rights of a person in a session, by the row as it is now and not as the token said when it was made.

use crate::auth::Failure;
use crate::auth::context::Context;
use crate::auth::tokens::caller::{Caller, user};
use crate::store::accounts::User;

/// The role that may see to other users.
const ADMIN: &str = "admin";

/// Recognises a person in a session. An API key is nobody's hand: what it may do is said by scopes, and none is for this.
pub async fn person(ctx: &Context, token: Option<&str>) -> Result<(Caller, User), Failure> {
    let (caller, user) = user(ctx, token).await?;
    caller.in_session()?;
    Ok((caller, user))
}

/// Recognises a person who may see to other users.
pub async fn admin(ctx: &Context, token: Option<&str>) -> Result<User, Failure> {
    let (_, user) = person(ctx, token).await?;
    let may = user.superuser || user.roles.iter().any(|role| role == ADMIN);
    if may { Ok(user) } else { Err(Failure::NotPermitted) }
}

/// Whether `by`, who may see to other users, may touch this one: only superusers touch superusers.
pub(in crate::auth) fn may_touch(by: &User, other: &User) -> Result<(), Failure> {
    if other.superuser { may_make_superusers(by) } else { Ok(()) }
}

/// Whether `by` may say who is a superuser.
pub(in crate::auth) fn may_make_superusers(by: &User) -> Result<(), Failure> {
    if by.superuser { Ok(()) } else { Err(Failure::NotPermitted) }
}
