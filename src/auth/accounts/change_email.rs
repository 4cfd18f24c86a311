//! Changes the address of a user who gives the password, or has signed in recently if there is none. The change takes
//! effect when the new address is verified: until then the user signs in with the old one, and is not locked out by a
//! misspelt address. The old address gets a notice when the change is requested, and another when it takes effect.
//!
//! The new address is stored beside the token, because a token in a URL must not contain it. A new password, or
//! anything else that ends the user's sign-ins, voids the change: somebody else may have requested it. The response
//! does not reveal whether another account has the address. If one does, the address gets no mail.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::accounts::change_row::change_row;
use crate::auth::accounts::verify_email::{self, PageLink, Verification};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::identity::Email;
use crate::auth::mailing::NoticeOrigin;
use crate::auth::one_time::{self, SecretKey, SecretKind, subject_of};
use crate::auth::passwords::IdentityProof;
use crate::auth::passwords::reauthenticate::reauthenticate;
use crate::auth::rate_limit::MailKind;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::claims::refresh_session_claims;
use crate::auth::timing::respond_on_step;
use crate::auth::{Error, mailing, rate_limit};
use crate::clock::Timestamp;
use crate::mail::Letter;
use crate::store::accounts::{Changes, Find, User};

const INVALID_LINK: Error = Error::InvalidLink(LinkKind::EmailVerification);

/// A change that has not taken effect yet.
#[derive(Serialize, Deserialize)]
struct PendingChange {
    email: String,
    /// The row's `sessions_valid_after` when the change was requested.
    valid_after: i64,
}

/// Mails the new address a link that makes it the user's, in place of an earlier one, and tells the old address.
/// Returns the lifetime of the link.
pub async fn request_email_change(
    ctx: &Context,
    user: &User,
    email: &Email,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<Duration, Error> {
    reauthenticate(ctx, user, proof, request_ctx).await?;
    let lifetime = ctx.node.config.mailed.confirm;
    if email.as_str() == user.email {
        verify_email::request_link(ctx, user, request_ctx).await?;
        return Ok(lifetime);
    }
    respond_on_step(store_and_send(ctx, user, email, request_ctx)).await?;
    Ok(lifetime)
}

async fn store_and_send(
    ctx: &Context,
    user: &User,
    email: &Email,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let permit = rate_limit::check_mail(ctx, MailKind::EmailLink, &one_time::subject(email), request_ctx).await?;
    permit.require(ctx, None, request_ctx).await?;
    let owner = ctx.accounts.user(Find::Email(email.as_str())).await?;
    let pending = PendingChange { email: email.as_str().to_owned(), valid_after: user.sessions_valid_after.millis() };
    let pending = serde_json::to_vec(&pending).map_err(|_| Error::Internal("a change cannot be serialized"))?;
    let (subject, id) = (subject_of(&user.email), user.id.to_string());
    // Only the payload is ever read: the token that is mailed proves who may do so.
    let unused = one_time::generate_device_secret(ctx);
    one_time::store(ctx, key(&subject, &id), &unused, pending, ctx.now() + ctx.node.config.mailed.confirm).await?;
    // Created for a taken address too, so that the work does not depend on whether it is free.
    let link = PageLink::create(ctx, user, email.as_str()).await?;
    if owner.is_none() {
        link.send(ctx, email.as_str(), request_ctx.language);
    }
    let letter = Letter::EmailChangeRequested { new: email.as_str().to_owned() };
    mailing::queue_notice(ctx, user, letter, &NoticeOrigin::client(request_ctx)).await;
    Ok(())
}

/// Verifies the address that `token` was mailed to: the user's, or the one that the user changes to.
pub async fn verify_linked_address(
    ctx: &Context,
    token: &str,
    request_ctx: RequestContext<'_>,
) -> Result<Verification, Error> {
    let (user, digest) = verify_email::read_link(ctx, token).await?;
    let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)?;
    if subject_of(&user.email) == digest {
        return verify_email::verify_address(ctx, user, request_ctx).await;
    }
    let claim = key(&subject_of(&user.email), &user.id.to_string()).claim();
    let pending = ctx.ephemeral.peek_claim(&claim, ctx.now()).await?;
    let pending: Option<PendingChange> = pending.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let pending = pending.filter(|pending| subject_of(&pending.email) == digest).ok_or(INVALID_LINK)?;
    let (ctx, notice_origin, origin) = (ctx.clone(), NoticeOrigin::client(request_ctx), Origin::request(request_ctx));
    run_to_completion(async move {
        let changes = Changes {
            email: Some(pending.email.clone()),
            verified: Some(true),
            only_if_valid_after: Some(Timestamp::from_millis(pending.valid_after)),
            ..Changes::default()
        };
        change_row(&ctx, user.id, &changes).await.map_err(|error| match error {
            Error::NotFound => INVALID_LINK,
            other => other,
        })?;
        audit::record(&ctx, Event::of_account(EventType::EmailChanged, &user, origin));
        mailing::queue_notice(&ctx, &user, Letter::EmailChanged { new: pending.email }, &notice_origin).await;
        if let Err(error) = ctx.ephemeral.delete_claim(&claim).await {
            // The change has taken effect. The claim is not found any more, because its key contains the old address.
            tracing::warn!(user = %user.id, %error, "cannot delete a change of address that has taken effect");
        }
        refresh_session_claims(&ctx, user.id).await;
        Ok(Verification::Verified)
    })
    .await
}

fn key<'a>(subject: &'a str, id: &'a str) -> SecretKey<'a> {
    SecretKey { kind: SecretKind::EmailChange, subject, id }
}
