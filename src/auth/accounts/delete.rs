//! Deleting a user: projects, keys and sessions go with it.

use crate::auth::Failure;
use crate::auth::accounts::disable::set_disabled;
use crate::auth::accounts::permissions::may_touch;
use crate::auth::context::App;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::id::UserId;
use crate::store::accounts::{Find, User};

/// Deletes a user. It is disabled first: whoever reads the row in between, for a sign-in or an API key, reads that it is of
/// no use, so nothing is opened or remembered for somebody who is about to be gone. Should a step fail, doing it again goes on
/// from there; once the row is gone, nothing is left to do.
pub async fn delete_user(app: &App, user: UserId) -> Result<(), Failure> {
    let app = app.clone();
    to_its_end(async move {
        set_disabled(&app, user, true).await?;
        let now = app.now();
        let gone = app.accounts.delete_user(user, now, now - app.node.remember_endings()).await?;
        if gone { Ok(()) } else { Err(Failure::Absent) }
    })
    .await
}

/// Deletes `user`, who asks for it.
pub async fn delete_self(app: &App, user: &User) -> Result<(), Failure> {
    if user.superuser { Err(Failure::SuperuserStays) } else { delete_user(app, user.id).await }
}

/// Deletes `id`, as `by` asks, who sees to users.
pub async fn delete_other(app: &App, by: &User, id: UserId) -> Result<(), Failure> {
    let user = app.accounts.user(Find::Id(id)).await?.ok_or(Failure::Absent)?;
    may_touch(by, &user)?;
    if user.id == by.id { delete_self(app, by).await } else { delete_user(app, user.id).await }
}
