//! The owner of an address that the client has just proved to read, by a mailed code or a magic link.
//!
//! Call it only once the code or link is consumed, because it may create an account and verifies the address of an
//! existing one.

use crate::auth::Error;
use crate::auth::accounts::create::{CreateUser, create_user};
use crate::auth::context::Context;
use crate::auth::passwords::Policy;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::claims::refresh_session_claims;
use crate::store::accounts::{Find, User};

/// The user with this canonical address, verified. `known` is the row as it was read before; without one, creates the
/// account.
pub(in crate::auth) async fn find_or_create_owner(
    ctx: &Context,
    address: &str,
    known: Option<User>,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    if let Some(user) = known {
        return verified(ctx, user).await;
    }
    let new_user = CreateUser { email: address.to_owned(), verified: true, ..CreateUser::default() };
    match create_user(ctx, new_user, Policy::for_dialect(request_ctx.dialect_config, &ctx.node.config.passwords)).await
    {
        // Someone signed up with the address meanwhile. The client has proved to read its mail all the same.
        Err(Error::EmailTaken) => {
            let user = ctx.accounts.user(Find::Email(address)).await?;
            verified(ctx, user.ok_or(Error::NotFound)?).await
        }
        created => created,
    }
}

async fn verified(ctx: &Context, user: User) -> Result<User, Error> {
    if user.verified {
        return Ok(user);
    }
    let ctx = ctx.clone();
    run_to_completion(async move {
        ctx.accounts.verify_email(user.id, &user.email, ctx.now()).await?;
        refresh_session_claims(&ctx, user.id).await;
        Ok(User { verified: true, ..user })
    })
    .await
}
