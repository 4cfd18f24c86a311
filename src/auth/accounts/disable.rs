//! Disabling and enabling a user. A disabled one is out everywhere at once: the row outlives Redis, the sessions end.

use super::identity::Email;
use crate::auth::Failure;
use crate::auth::accounts::permissions::may_touch;
use crate::auth::context::App;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::auth::sessions::sign_out::sign_out_for_good;
use crate::id::UserId;
use crate::store::accounts::{Changed, Changes, Find, User};

/// Disables or enables a user. The row goes first: should ending the sessions fail, doing it again ends them.
pub async fn set_disabled(app: &App, user: UserId, disabled: bool) -> Result<User, Failure> {
    let (app, changes) = (app.clone(), Changes { disabled: Some(disabled), ..Changes::default() });
    to_its_end(async move {
        let user = match app.accounts.change_user(user, &changes, app.now()).await? {
            Changed::Changed(user) => *user,
            Changed::EmailTaken => return Err(Failure::EmailTaken),
            Changed::Absent => return Err(Failure::Absent),
        };
        if disabled {
            sign_out_for_good(&app, user.id, user.sessions_valid_after).await?;
        }
        Ok(user)
    })
    .await
}

/// Disables whoever has that address, or enables, whichever is not so now; as `by` asks, who sees to users.
pub async fn toggle(app: &App, by: &User, email: &Email) -> Result<User, Failure> {
    let user = app.accounts.user(Find::Email(email.as_str())).await?.ok_or(Failure::Absent)?;
    may_touch(by, &user)?;
    set_disabled(app, user.id, !user.disabled).await
}
