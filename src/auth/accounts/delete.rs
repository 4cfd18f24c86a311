//! Deletes users, with their projects, API keys and sessions.

use crate::auth::Error;
use crate::auth::accounts::disable::change_disabled;
use crate::auth::accounts::permissions::can_manage;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::mailing::{self, NoticeOrigin};
use crate::auth::passwords::IdentityProof;
use crate::auth::passwords::reauthenticate::require_password_or_recent_sign_in;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Find, User};

/// Deletes a user on behalf of the operator, who tells the user.
pub async fn delete_user(ctx: &Context, user: UserId, origin: Origin) -> Result<(), Error> {
    let ctx = ctx.clone();
    run_to_completion(async move { delete(&ctx, user, origin, async {}).await }).await
}

/// Deletes a user. Disables it first, so that a sign-in or an API key that reads the row meanwhile finds it disabled,
/// and neither opens a session nor caches a key for a user about to be deleted. `notify` is awaited once the user is
/// deleted.
///
/// If the sessions cannot be ended, the user is deleted all the same, because a user who is only disabled could not
/// repeat the call. The error is returned nevertheless: not every node refuses the sessions yet.
async fn delete(ctx: &Context, user: UserId, origin: Origin, notify: impl Future<Output = ()>) -> Result<(), Error> {
    let disabled = change_disabled(ctx, user, true).await?;
    let signed_out = sign_out_durably(ctx, user, disabled.sessions_valid_after).await;
    let now = ctx.now();
    let forget_before = now - ctx.node.retention.durable_revocation_ttl();
    if !ctx.accounts.delete_user(user, now, forget_before).await? {
        return Err(Error::NotFound);
    }
    audit::record(ctx, Event::of_user(EventType::UserDeleted, user, origin));
    notify.await;
    signed_out.map(drop)
}

/// Deletes the caller's own account. A published API lets an access token suffice, so the owner is notified.
pub async fn delete_self(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    if user.superuser {
        return Err(Error::Forbidden(Denial::CannotDeleteSelf));
    }
    delete_and_notify(ctx, user, NoticeOrigin::client(request_ctx), Origin::request(request_ctx)).await
}

/// Deletes the caller's own account, if the caller gives the password or has signed in recently.
pub async fn delete_self_with_proof(
    ctx: &Context,
    user: &User,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    if user.superuser {
        return Err(Error::Forbidden(Denial::CannotDeleteSelf));
    }
    require_password_or_recent_sign_in(ctx, user, proof, request_ctx).await?;
    delete_self(ctx, user, request_ctx).await
}

/// To completion, so that a thief cannot suppress the notice by disconnecting.
async fn delete_and_notify(ctx: &Context, user: &User, origin: NoticeOrigin, request: Origin) -> Result<(), Error> {
    let (ctx, user) = (ctx.clone(), user.clone());
    run_to_completion(async move {
        let notify = mailing::queue_notice(&ctx, &user, Letter::AccountDeleted, &origin);
        delete(&ctx, user.id, request, notify).await
    })
    .await
}

/// Deletes the user `id` on behalf of the administrator `by`, and notifies the user.
pub async fn delete_user_as_admin(
    ctx: &Context,
    by: &User,
    id: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let user = ctx.accounts.user(Find::Id(id)).await?.ok_or(Error::NotFound)?;
    can_manage(by, &user)?;
    if user.id == by.id {
        delete_self(ctx, by, request_ctx).await
    } else {
        let request = Origin::request_of(by.id, request_ctx);
        delete_and_notify(ctx, &user, NoticeOrigin::operator(request_ctx.language), request).await
    }
}
