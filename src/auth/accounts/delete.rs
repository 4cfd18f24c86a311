//! Deletes users, with their projects, API keys and sessions.

use crate::auth::Error;
use crate::auth::accounts::permissions::can_manage;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::{Denial, VerifyError};
use crate::auth::mailing::{self, NoticeOrigin};
use crate::auth::passwords::IdentityProof;
use crate::auth::passwords::reauthenticate::require_password_or_recent_sign_in;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Find, User};

/// A user was deleted.
pub struct Deleted {
    /// Why the sessions have not ended in the ephemeral store, if they have not.
    pub sign_out_error: Option<Error>,
}

/// Deletes a user on behalf of the operator. Sends no notice: the operator informs the user.
pub async fn delete_user(ctx: &Context, user: UserId, origin: Origin) -> Result<Deleted, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move { delete(&ctx, user, None, origin, async {}).await }).await
}

/// Deletes a user and ends the sessions. `notify` is awaited once the user is deleted. `own_session`: the
/// `sessions_valid_after` of users who delete themselves, as their token was checked against it. If something has ended
/// their sessions since, such as a new password, nothing is deleted.
///
/// The ephemeral store is asked first whether it works, and the user is deleted in one step, so that after an error
/// nothing has changed. The deletion counts as a rise of `sessions_valid_after`: a sign-in or an API key that has read
/// the row before opens no session and is read again.
///
/// If the ephemeral store fails after that, the call succeeds all the same, because it cannot be repeated: there is no
/// such user any more. Nodes learn from the record of the deletion that the sessions have ended, within a minute, and
/// this node repeats ending them until the store accepts it.
async fn delete(
    ctx: &Context,
    user: UserId,
    own_session: Option<Timestamp>,
    origin: Origin,
    notify: impl Future<Output = ()>,
) -> Result<Deleted, Error> {
    ctx.ephemeral.check().await?;
    let now = ctx.now();
    let forget_before = now - ctx.node.retention.durable_revocation_ttl();
    let deleted = ctx.accounts.delete_user(user, own_session, now, forget_before).await?;
    let deleted_at = match (deleted, own_session) {
        (Some(deleted_at), _) => deleted_at,
        (None, Some(_)) => return Err(VerifyError::Revoked.into()),
        (None, None) => return Err(Error::NotFound),
    };
    audit::record(ctx, Event::of_user(EventType::UserDeleted, user, origin));
    let sign_out_error = sign_out_durably(ctx, user, deleted_at).await.err();
    notify.await;
    if let Some(error) = &sign_out_error {
        tracing::warn!(%user, %error, "the user is deleted, and the sessions could not be ended yet; retrying");
    }
    Ok(Deleted { sign_out_error })
}

/// Deletes the caller's own account. A published API lets an access token suffice, so the owner is notified.
pub async fn delete_self(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    if user.superuser {
        return Err(Error::Forbidden(Denial::CannotDeleteSelf));
    }
    let (own_session, notice_origin) = (Some(user.sessions_valid_after), NoticeOrigin::client(request_ctx));
    delete_and_notify(ctx, user, own_session, notice_origin, Origin::request(request_ctx)).await
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

/// Deletes a user and queues the notice. Runs to completion, so that a thief cannot suppress the notice by
/// disconnecting.
async fn delete_and_notify(
    ctx: &Context,
    user: &User,
    own_session: Option<Timestamp>,
    notice_origin: NoticeOrigin,
    origin: Origin,
) -> Result<(), Error> {
    let (ctx, user) = (ctx.clone(), user.clone());
    run_to_completion(async move {
        let notify = mailing::queue_notice(&ctx, &user, Letter::AccountDeleted, &notice_origin);
        delete(&ctx, user.id, own_session, origin, notify).await.map(drop)
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
        let origin = Origin::request_of(by.id, request_ctx);
        delete_and_notify(ctx, &user, None, NoticeOrigin::operator(request_ctx.language), origin).await
    }
}
