//! Disables and enables users. Disabling ends all sessions everywhere, durably: the row outlives the ephemeral store.

use crate::auth::Error;
use crate::auth::accounts::change_events::record_disabled;
use crate::auth::accounts::change_row::change_row;
use crate::auth::accounts::permissions::can_manage;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::identity::Email;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::id::UserId;
use crate::store::accounts::{Changes, Find, User};

/// Disables or enables a user.
pub async fn set_disabled(ctx: &Context, user: UserId, disabled: bool, origin: Origin) -> Result<User, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let user = change_row(&ctx, user, &Changes { disabled: Some(disabled), ..Changes::default() }).await?;
        record_disabled(&ctx, &user, disabled, origin);
        if disabled {
            sign_out_durably(&ctx, user.id, user.sessions_valid_after).await?;
        }
        Ok(user)
    })
    .await
}

/// Disables the user with that address, or enables a disabled one, on behalf of the administrator `by`.
pub async fn toggle_disabled(
    ctx: &Context,
    by: &User,
    email: &Email,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?.ok_or(Error::NotFound)?;
    can_manage(by, &user)?;
    set_disabled(ctx, user.id, !user.disabled, Origin::request_of(by.id, request_ctx)).await
}
