//! Requesting a password reset: mails a link, and in dialects that use one, returns a device secret that the reset
//! needs as well.
//!
//! The response does not reveal whether an account exists: for known and unknown addresses the same is read, signed,
//! stored and returned. Only the mail differs; it is queued without waiting, and `crate::auth::timing` hides what
//! remains. [`crate::auth::passwords::reset`] redeems the link.

use serde::{Deserialize, Serialize};

use crate::auth::action_token::{LinkTokenFormat, NewActionToken};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::identity::{Email, Username};
use crate::auth::one_time::{SecretKey, SecretKind, subject_of};
use crate::auth::rate_limit::MailKind;
use crate::auth::request_context::RequestContext;
use crate::auth::timing::respond_on_step;
use crate::auth::{Error, action_token, mailing, one_time, rate_limit};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Find, User};
use crate::token::action::ActionKind;

/// The claims of the mailed token.
#[derive(Serialize, Deserialize)]
pub(in crate::auth) struct ResetClaims {
    /// The user whose password is reset.
    pub(in crate::auth) user: UserId,
    /// The row's `sessions_valid_after` at the time of the request: a later change of the password voids the link.
    #[serde(rename = "valid_after")]
    pub(in crate::auth) sessions_valid_after: i64,
    /// True if the device secret is needed too. The landing page reads it in a signed token.
    pub(in crate::auth) needs_device_secret: bool,
}

/// The stored secret of a link that needs no device secret: its token is proof enough, and the claim only ensures
/// single use.
pub(in crate::auth) const NO_DEVICE_SECRET: &str = "";

/// Mails a link if an enabled user has the address. Returns the device secret in any case.
pub async fn request_password_reset(
    ctx: &Context,
    email: &str,
    format: LinkTokenFormat,
    request_ctx: RequestContext<'_>,
) -> Result<String, Error> {
    let device_secret = one_time::generate_device_secret(ctx);
    respond_on_step(send_link(ctx, email, |_| true, format, Some(&device_secret), request_ctx)).await?;
    Ok(device_secret)
}

/// Mails a link that needs no device secret, if the address and the username belong to the same user.
pub async fn request_password_reset_by_link(
    ctx: &Context,
    email: &str,
    username: &str,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let requested = Username::parse(username).ok();
    let username_of = |user: &User| user.username.as_deref().and_then(|name| Username::parse(name).ok());
    let is_requested = |user: &User| match (&requested, username_of(user)) {
        (Some(requested), Some(username)) => requested.is_same_as(&username),
        _ => false,
    };
    respond_on_step(send_link(ctx, email, is_requested, LinkTokenFormat::Signed, None, request_ctx)).await
}

/// Mails a user a link that needs no device secret, on behalf of an administrator, who learns if a limit prevents it.
pub async fn send_reset_link_as_admin(
    ctx: &Context,
    user: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)?;
    if user.disabled {
        return Err(Error::AccountDisabled);
    }
    let subject = subject_of(&user.email);
    let permit = rate_limit::check_mail(ctx, MailKind::PasswordReset, &subject, request_ctx).await?;
    permit.require(ctx, Some(user.id), request_ctx).await?;
    let link = create_link(ctx, Some(&user), &subject, LinkTokenFormat::Short, None).await?;
    link.send(ctx, &user, request_ctx);
    Ok(())
}

/// Counts the mail, creates a link, and mails it if an enabled user has the address and `is_requested`.
async fn send_link(
    ctx: &Context,
    email: &str,
    is_requested: impl Fn(&User) -> bool,
    format: LinkTokenFormat,
    device_secret: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    // A text that is not an address belongs to no user, and is counted as it is written.
    let address = Email::parse(email).ok();
    let subject = subject_of(address.as_ref().map_or(email, Email::as_str));
    let permit = rate_limit::check_mail(ctx, MailKind::PasswordReset, &subject, request_ctx).await?;
    let user = match &address {
        Some(address) => ctx.accounts.user(Find::Email(address.as_str())).await?,
        None => None,
    };
    if !permit.may_send(ctx, user.as_ref().map(|user| user.id), request_ctx).await? {
        return Ok(());
    }
    let link = create_link(ctx, user.as_ref(), &subject, format, device_secret).await?;
    if let Some(user) = user.filter(|user| !user.disabled && is_requested(user)) {
        link.send(ctx, &user, request_ctx);
    }
    Ok(())
}

/// A link that resets a password.
struct ResetLink(NewActionToken);

/// Creates the link of a user, or one of the same format that resets nothing, and stores its secret under `subject`.
async fn create_link(
    ctx: &Context,
    user: Option<&User>,
    subject: &str,
    format: LinkTokenFormat,
    device_secret: Option<&str>,
) -> Result<ResetLink, Error> {
    let claims = ResetClaims {
        user: user.map_or_else(|| UserId::new(ctx.now(), &ctx.node.rng), |user| user.id),
        sessions_valid_after: user.map_or(ctx.now(), |user| user.sessions_valid_after).millis(),
        needs_device_secret: device_secret.is_some(),
    };
    let (kind, lifetime) = (ActionKind::ResetPassword, ctx.node.config.mailed.reset);
    let token = action_token::create_for_link(ctx, format, kind, claims, device_secret.is_none(), lifetime).await?;
    let key = SecretKey { kind: SecretKind::PasswordReset, subject, id: &token.id.to_string() };
    one_time::store(ctx, key, device_secret.unwrap_or(NO_DEVICE_SECRET), Vec::new(), token.expires_at).await?;
    Ok(ResetLink(token))
}

impl ResetLink {
    /// Queues the mail to the user and records the request.
    fn send(&self, ctx: &Context, user: &User, request_ctx: RequestContext<'_>) {
        let Self(token) = self;
        let link = mailing::link_with_token(&ctx.node.config.mailed.reset_url, &token.text);
        let letter = Letter::ResetPassword { link };
        mailing::queue_mail(ctx, &user.email, letter, token.expires_at, request_ctx.language);
        audit::record(ctx, Event::of_user(EventType::PasswordResetRequested, user.id, Origin::request(request_ctx)));
    }
}
