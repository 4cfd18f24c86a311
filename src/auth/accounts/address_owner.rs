//! Whose an address is that somebody has just proved to read: by a mailed code, or by both halves of a link. To be asked only when
//! what proved it is used up, since it may make an account and confirms the address of one.

use crate::auth::Failure;
use crate::auth::accounts::create::{Wanted, create_user};
use crate::auth::context::Context;
use crate::auth::passwords::Policy;
use crate::auth::sessions::open::Door;
use crate::auth::sessions::refresh_claims::say_anew;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::store::accounts::{Find, User};

/// The user with that canonical address, confirmed; `known` as it was read before. Made now if there is none.
pub(in crate::auth) async fn owner(
    ctx: &Context,
    address: &str,
    known: Option<User>,
    door: Door<'_>,
) -> Result<User, Failure> {
    if let Some(user) = known {
        return confirmed(ctx, user).await;
    }
    let wanted = Wanted { email: address.to_owned(), verified: true, ..Wanted::default() };
    match create_user(ctx, wanted, Policy::of(door.lives, &ctx.node.config.passwords)).await {
        // Somebody signed up with it in this very moment; the mail is read here all the same.
        Err(Failure::EmailTaken) => {
            let user = ctx.accounts.user(Find::Email(address)).await?;
            confirmed(ctx, user.ok_or(Failure::Absent)?).await
        }
        made => made,
    }
}

async fn confirmed(ctx: &Context, user: User) -> Result<User, Failure> {
    if user.verified {
        return Ok(user);
    }
    let ctx = ctx.clone();
    to_its_end(async move {
        ctx.accounts.confirm_email(user.id, &user.email, ctx.now()).await?;
        say_anew(&ctx, user.id).await;
        Ok(User { verified: true, ..user })
    })
    .await
}
