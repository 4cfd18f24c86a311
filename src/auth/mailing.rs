//! Mails of the operations, and their links. Links are built from the settings, never from request headers.
//!
//! Mails are queued and not waited for, so that a response takes as long with a mail as without one. One operation
//! waits: see [`send_and_wait`].

use std::time::Duration;

use super::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::mail::{Letter, Mail};
use crate::store::accounts::User;

/// How long a notice is worth sending.
const NOTICE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Queues a mail to a canonical address. It is dropped if it cannot be sent before `expires_at`.
pub(super) fn queue_mail(ctx: &Context, to: &str, letter: Letter, expires_at: Timestamp, language: Option<&str>) {
    ctx.node.mailer.enqueue(mail(ctx, to, letter, expires_at, language));
}

/// Sends a mail and waits up to `max_wait` for the result, for the one operation that promises to report it.
pub(super) async fn send_and_wait(
    ctx: &Context,
    to: &str,
    letter: Letter,
    expires_at: Timestamp,
    language: Option<&str>,
    max_wait: Duration,
) -> Result<(), Error> {
    let mail = mail(ctx, to, letter, expires_at, language);
    ctx.node.mailer.send_and_wait(mail, max_wait).await.map_err(|error| {
        tracing::warn!(%error, "cannot send a mail");
        Error::MailNotSent
    })
}

fn mail(ctx: &Context, to: &str, letter: Letter, until: Timestamp, language: Option<&str>) -> Mail {
    Mail { to: to.to_owned(), language: ctx.node.mailer.language(language), letter, until }
}

/// Queues a notice to a user about a change of the account.
pub(super) fn queue_notice(ctx: &Context, user: &User, letter: Letter, language: Option<&str>) {
    queue_mail(ctx, &user.email, letter, ctx.now() + NOTICE_LIFETIME, language);
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
