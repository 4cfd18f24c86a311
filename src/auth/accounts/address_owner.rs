//! Whose an address is that somebody has just proved to read: by a mailed code, or by both halves of a link. To be asked only when
//! what proved it is used up, since it may make an account and confirms the address of one.

use crate::auth::Error;
use crate::auth::accounts::create::{CreateUser, create_user};
use crate::auth::context::Context;
use crate::auth::passwords::Policy;
use crate::auth::sessions::open::RequestContext;
use crate::auth::sessions::refresh_claims::refresh_session_claims;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::store::accounts::{Find, User};

/// The user with that canonical address, confirmed; `known` as it was read before. Made now if there is none.
pub(in crate::auth) async fn find_or_create_owner(
    ctx: &Context,
    address: &str,
    known: Option<User>,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    if let Some(user) = known {
        return confirmed(ctx, user).await;
    }
    let wanted = CreateUser { email: address.to_owned(), verified: true, ..CreateUser::default() };
    match create_user(ctx, wanted, Policy::of(request_ctx.dialect_config, &ctx.node.config.passwords)).await {
        // Somebody signed up with it in this very moment; the mail is read here all the same.
        Err(Error::EmailTaken) => {
            let user = ctx.accounts.user(Find::Email(address)).await?;
            confirmed(ctx, user.ok_or(Error::NotFound)?).await
        }
        made => made,
    }
}

async fn confirmed(ctx: &Context, user: User) -> Result<User, Error> {
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
