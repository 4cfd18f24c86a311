//! Disabling and enabling a user. A disabled one is out everywhere at once: the row outlives Redis, the sessions end.

use super::identity::Email;
use crate::auth::Error;
use crate::auth::accounts::permissions::can_manage;
use crate::auth::context::Context;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::id::UserId;
use crate::store::accounts::{Changed, Changes, Find, User};

/// Disables or enables a user. The row goes first: should ending the sessions fail, doing it again ends them.
pub async fn set_disabled(ctx: &Context, user: UserId, disabled: bool) -> Result<User, Error> {
    let (ctx, changes) = (ctx.clone(), Changes { disabled: Some(disabled), ..Changes::default() });
    run_to_completion(async move {
        let user = match ctx.accounts.change_user(user, &changes, ctx.now()).await? {
            Changed::Changed(user) => *user,
            Changed::EmailTaken => return Err(Error::EmailTaken),
            Changed::NotFound => return Err(Error::NotFound),
        };
        if disabled {
            sign_out_durably(&ctx, user.id, user.sessions_valid_after).await?;
        }
        Ok(user)
    })
    .await
}

/// Disables whoever has that address, or enables, whichever is not so now; as `by` asks, who sees to users.
pub async fn toggle_disabled(ctx: &Context, by: &User, email: &Email) -> Result<User, Error> {
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?.ok_or(Error::NotFound)?;
    can_manage(by, &user)?;
    set_disabled(ctx, user.id, !user.disabled).await
}
