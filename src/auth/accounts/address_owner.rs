//! Whose an address is that somebody has just proved to read: by a mailed code, or by both halves of a link. To be asked only when
//! what proved it is used up, since it may make an account and confirms the address of one.

use crate::auth::Failure;
use crate::auth::accounts::create::{Wanted, create_user};
use crate::auth::context::App;
use crate::auth::passwords::Policy;
use crate::auth::sessions::open::Door;
use crate::auth::sessions::refresh_claims::say_anew;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::store::accounts::{Find, User};

/// The user with that canonical address, confirmed; `known` as it was read before. Made now if there is none.
pub(in crate::auth) async fn owner(
    app: &App,
    address: &str,
    known: Option<User>,
    door: Door<'_>,
) -> Result<User, Failure> {
    if let Some(user) = known {
        return confirmed(app, user).await;
    }
    let wanted = Wanted { email: address.to_owned(), verified: true, ..Wanted::default() };
    match create_user(app, wanted, Policy::of(door.lives, &app.node.config.passwords)).await {
        // Somebody signed up with it in this very moment; the mail is read here all the same.
        Err(Failure::EmailTaken) => {
            let user = app.accounts.user(Find::Email(address)).await?;
            confirmed(app, user.ok_or(Failure::Absent)?).await
        }
        made => made,
    }
}

async fn confirmed(app: &App, user: User) -> Result<User, Failure> {
    if user.verified {
        return Ok(user);
    }
    let app = app.clone();
    to_its_end(async move {
        app.accounts.confirm_email(user.id, &user.email, app.now()).await?;
        say_anew(&app, user.id).await;
        Ok(User { verified: true, ..user })
    })
    .await
}
