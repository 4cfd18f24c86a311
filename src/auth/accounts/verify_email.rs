//! Verifies an address by a mailed link.
//!
//! The link may be followed many times, and mail scanners do so: a verification grants nothing, so nothing is consumed
//! and the token is valid until it expires. The token contains the user's id and a digest of the address, so that no
//! address is in logs of URLs, and it does not verify an address that the user has changed to since. Knows nothing of
//! where the links of published APIs point.

use serde::{Deserialize, Serialize};

use crate::auth::action_token::{LinkTokenFormat, NewActionToken};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::one_time::subject_of;
use crate::auth::rate_limit::MailKind;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::claims::refresh_session_claims;
use crate::auth::{Error, action_token, mailing, rate_limit};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{EmailVerified, Find, User};
use crate::token::action::ActionKind;

/// Claims of the mailed token.
#[derive(Serialize, Deserialize)]
struct LinkClaims {
    user: UserId,
    /// The digest of the address: [`subject_of`].
    address: String,
}

/// Result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The address is verified now.
    Verified,
    /// It was verified before.
    AlreadyVerified,
}

/// Mails `address`, in canonical form, a link that verifies it as the user's. `link` builds the link from a token. The
/// caller has counted the mail already.
pub fn send_link(
    ctx: &Context,
    user: &User,
    address: &str,
    link: impl FnOnce(&str) -> String,
    language: Option<&str>,
) -> Result<(), Error> {
    let claims = LinkClaims { user: user.id, address: subject_of(address) };
    let token = action_token::create(ctx, ActionKind::ConfirmEmail, claims, ctx.node.config.mailed.confirm)?;
    let letter = Letter::ConfirmEmail { link: link(&token.text) };
    mailing::queue_mail(ctx, address, letter, token.expires_at, language);
    Ok(())
}

/// A link to the page that verifies an address, and when it expires.
pub(super) struct PageLink {
    letter: Letter,
    expires_at: Timestamp,
}

impl PageLink {
    /// Creates a link that verifies `address`, in canonical form, as the user's.
    pub(super) async fn create(ctx: &Context, user: &User, address: &str) -> Result<Self, Error> {
        let claims = LinkClaims { user: user.id, address: subject_of(address) };
        let (kind, lifetime) = (ActionKind::ConfirmEmail, ctx.node.config.mailed.confirm);
        let token = action_token::create_for_link(ctx, LinkTokenFormat::Short, kind, claims, false, lifetime).await?;
        let NewActionToken { text, expires_at, .. } = token;
        Ok(Self { letter: Letter::ConfirmEmail { link: page_link(&ctx.node.config, &text) }, expires_at })
    }

    /// Mails it to the address that it verifies.
    pub(super) fn send(self, ctx: &Context, address: &str, language: Option<&str>) {
        mailing::queue_mail(ctx, address, self.letter, self.expires_at, language);
    }
}

/// The link to the page that verifies an address with `token`.
pub(super) fn page_link(config: &Config, token: &str) -> String {
    let page = format!("{}{}/links/confirm", config.server.public_url, config.api.native.prefix);
    mailing::link_with_token(&page, token)
}

/// Mails the link of a sign-up, unless the address has been sent too many: the account exists all the same, and its
/// owner can verify the address by signing in with a mailed code or link, or by resetting the password.
pub async fn send_sign_up_link(
    ctx: &Context,
    user: &User,
    link: impl FnOnce(&str) -> String,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    if rate_limit::check_sign_up_mail(ctx, &subject_of(&user.email), request_ctx).await {
        send_link(ctx, user, &user.email, link, request_ctx.language)?;
    }
    Ok(())
}

/// Like [`send_sign_up_link`], with a link to our own page.
pub async fn send_sign_up_page_link(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    if rate_limit::check_sign_up_mail(ctx, &subject_of(&user.email), request_ctx).await {
        match PageLink::create(ctx, user, &user.email).await {
            // The account exists, so a sign-up that failed now could not be repeated. A signed token needs no store.
            Err(Error::Unavailable(_)) => {
                let link = |token: &str| page_link(&ctx.node.config, token);
                send_link(ctx, user, &user.email, link, request_ctx.language)?;
            }
            link => link?.send(ctx, &user.email, request_ctx.language),
        }
    }
    Ok(())
}

/// Mails the user another link that verifies the address. Mails nothing if the address is verified.
pub async fn request_link(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    let subject = subject_of(&user.email);
    let permit = rate_limit::check_mail(ctx, MailKind::EmailLink, &subject, request_ctx).await?;
    permit.require(ctx, Some(user.id), request_ctx).await?;
    if user.verified {
        return Ok(());
    }
    PageLink::create(ctx, user, &user.email).await?.send(ctx, &user.email, request_ctx.language);
    Ok(())
}

/// The user of a mailed token and the digest of the address that it was mailed to, by [`subject_of`].
pub(super) async fn read_link(ctx: &Context, token: &str) -> Result<(UserId, String), Error> {
    let token = action_token::verify_link::<LinkClaims>(ctx, ActionKind::ConfirmEmail, token).await?;
    let LinkClaims { user, address } = token.ok_or(Error::InvalidLink(LinkKind::EmailVerification))?.claims;
    Ok((user, address))
}

/// Verifies the address that `token` was mailed to, if it is still the user's.
pub async fn verify_email(ctx: &Context, token: &str, request_ctx: RequestContext<'_>) -> Result<Verification, Error> {
    let (user, address) = read_link(ctx, token).await?;
    let user = ctx.accounts.user(Find::Id(user)).await?.ok_or(Error::NotFound)?;
    if subject_of(&user.email) != address {
        return Err(Error::InvalidLink(LinkKind::EmailVerification));
    }
    verify_address(ctx, user, request_ctx).await
}

/// Verifies the address of a user who has just followed a valid link to it.
pub(super) async fn verify_address(
    ctx: &Context,
    user: User,
    request_ctx: RequestContext<'_>,
) -> Result<Verification, Error> {
    if user.verified {
        // The link works any number of times, and each time the claims in all sessions of the user are written.
        rate_limit::check_costly(ctx, user.id, request_ctx).await?;
    }
    let (ctx, origin) = (ctx.clone(), Origin::request(request_ctx));
    run_to_completion(async move {
        let verification = match ctx.accounts.verify_email(user.id, &user.email, ctx.now()).await? {
            EmailVerified::Verified => Verification::Verified,
            EmailVerified::AlreadyVerified => Verification::AlreadyVerified,
            // Deleted, or another address, since the row was read.
            EmailVerified::NotFound => return Err(Error::InvalidLink(LinkKind::EmailVerification)),
        };
        if verification == Verification::Verified {
            audit::record(&ctx, Event::of_account(EventType::EmailVerified, &user, origin));
        }
        // Even if it was verified before: updating the claims may have failed then.
        refresh_session_claims(&ctx, user.id).await;
        Ok(verification)
    })
    .await
}
