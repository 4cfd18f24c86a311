//! Disabling and enabling a user. A disabled one is out everywhere at once: the row outlives Redis, the sessions end.

use super::identity::Email;
use crate::auth::Failure;
use crate::auth::accounts::permissions::may_touch;
use crate::auth::context::Context;
use crate::auth::sessions::run_to_completion::to_its_end;
use crate::auth::sessions::sign_out::sign_out_for_good;
use crate::id::UserId;
use crate::store::accounts::{Changed, Changes, Find, User};

/// Disables or enables a user. The row goes first: should ending the sessions fail, doing it again ends them.
pub async fn set_disabled(ctx: &Context, user: UserId, disabled: bool) -> Result<User, Failure> {
    let (ctx, changes) = (ctx.clone(), Changes { disabled: Some(disabled), ..Changes::default() });
    to_its_end(async move {
        let user = match ctx.accounts.change_user(user, &changes, ctx.now()).await? {
            Changed::Changed(user) => *user,
            Changed::EmailTaken => return Err(Failure::EmailTaken),
            Changed::Absent => return Err(Failure::Absent),
        };
        if disabled {
            sign_out_for_good(&ctx, user.id, user.sessions_valid_after).await?;
        }
        Ok(user)
    })
    .await
}

/// Disables whoever has that address, or enables, whichever is not so now; as `by` asks, who sees to users.
pub async fn toggle(ctx: &Context, by: &User, email: &Email) -> Result<User, Failure> {
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?.ok_or(Failure::Absent)?;
    may_touch(by, &user)?;
    set_disabled(ctx, user.id, !user.disabled).await
}
