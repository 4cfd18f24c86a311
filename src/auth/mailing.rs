//! Mails of the operations, and their links. Links are built from the settings, never from request headers.
//!
//! Mails are queued and not waited for, so that a response takes as long with a mail as without one. One operation
//! waits: see [`send_and_wait`].

use std::time::Duration;

use super::{Error, rate_limit};
use crate::auth::context::Context;
use crate::auth::one_time::subject_of;
use crate::auth::request_context::{Client, RequestContext};
use crate::clock::Timestamp;
use crate::mail::{DeliveryFailure, Letter, Mail, Origin, OriginBy};
use crate::store::accounts::User;

/// How long a notice is worth sending.
const NOTICE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The parts of a request that the notice about it shows. Owns its values, because a notice outlives the request.
#[derive(Clone, Debug)]
pub(super) struct NoticeOrigin {
    language: Option<String>,
    by: OriginBy,
    /// For the limit of notices; `None` for an operator or an administrator.
    client: Option<Client>,
}

impl NoticeOrigin {
    /// The client that sends a request.
    pub(super) fn client(request_ctx: RequestContext<'_>) -> Self {
        let by = OriginBy::client(request_ctx.client_ip, request_ctx.user_agent);
        Self { language: request_ctx.language.map(str::to_owned), by, client: Some(request_ctx.client()) }
    }

    /// An operator, or an administrator in a request with this `Accept-Language`.
    pub(super) fn operator(language: Option<&str>) -> Self {
        Self { language: language.map(str::to_owned), by: OriginBy::Operator, client: None }
    }

    /// The `Accept-Language` of the request.
    pub(super) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }
}

/// Queues a mail to a canonical address. It is dropped if it cannot be sent before `expires_at`.
pub(super) fn queue_mail(ctx: &Context, to: &str, letter: Letter, expires_at: Timestamp, language: Option<&str>) {
    ctx.node.mailer.enqueue(mail(ctx, to, letter, expires_at, language, OriginBy::Operator));
}

/// Sends a mail and waits up to `max_wait` for the result. Only for the one operation that promises to report it.
pub(super) async fn send_and_wait(
    ctx: &Context,
    to: &str,
    letter: Letter,
    expires_at: Timestamp,
    language: Option<&str>,
    max_wait: Duration,
) -> Result<(), Error> {
    let mail = mail(ctx, to, letter, expires_at, language, OriginBy::Operator);
    ctx.node.mailer.send_and_wait(mail, max_wait).await.map_err(|error| {
        tracing::warn!(%error, "cannot send a mail");
        Error::MailNotSent
    })
}

/// Tries once to send a mail of an administrator or an operator, and waits up to `max_wait` for the result.
pub(super) async fn try_once(
    ctx: &Context,
    to: &str,
    letter: Letter,
    language: Option<&str>,
    max_wait: Duration,
) -> Result<(), DeliveryFailure> {
    let mail = mail(ctx, to, letter, ctx.now() + max_wait, language, OriginBy::Operator);
    ctx.node.mailer.try_once(mail, max_wait).await
}

/// A mail that expires at `expires_at`. Only notices show `by`.
fn mail(ctx: &Context, to: &str, letter: Letter, expires_at: Timestamp, language: Option<&str>, by: OriginBy) -> Mail {
    let origin = Origin { at: ctx.now(), by };
    Mail { to: to.to_owned(), language: ctx.node.mailer.language(language), letter, origin, expires_at }
}

/// Queues a notice to a user about something that happened to the account. Addresses that are not verified get a
/// limited number, each of them, and all together of one client network: anyone can sign up with the addresses of other
/// people, and cause notices there. The owner of a verified one gets them all, so that a thief cannot use up the limit.
/// If the store that counts fails, the notice is queued.
pub(super) async fn queue_notice(ctx: &Context, user: &User, letter: Letter, origin: &NoticeOrigin) {
    if !user.verified {
        let subject = subject_of(&user.email);
        let counted = rate_limit::check_notice(ctx, user.id, origin.client, &subject).await;
        if let Err(Error::RateLimited { .. }) = counted {
            return;
        }
    }
    let expires_at = ctx.now() + NOTICE_LIFETIME;
    ctx.node.mailer.enqueue(mail(ctx, &user.email, letter, expires_at, origin.language(), origin.by.clone()));
}

/// Adds `token` to the query of `address`. A token contains only characters that a query may contain.
pub(super) fn link_with_token(address: &str, token: &str) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}token={token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_appended_to_an_existing_query() {
        assert_eq!(link_with_token("https://a.example/reset", "t"), "https://a.example/reset?token=t");
        assert_eq!(link_with_token("https://a.example/?page=reset", "t"), "https://a.example/?page=reset&token=t");
    }
}
