//! What operations mail, and where its links lead. Links are built from the settings, never from what a request says of itself.
//! A mail is queued and not waited for, so that an answer takes as long with one as without;
//! where it is waited for, that is a promise.

use std::time::Duration;

use super::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::mail::{Letter, Mail};
use crate::store::accounts::User;

/// How long telling somebody what has happened is of use.
const NOTICE: Duration = Duration::from_secs(24 * 60 * 60);

/// Mails `letter` to an address in its canonical form, unless it cannot be sent before `until`.
pub(super) fn queue_mail(ctx: &Context, to: &str, letter: Letter, until: Timestamp, language: Option<&str>) {
    ctx.node.mailer.enqueue(mail(ctx, to, letter, until, language));
}

/// The same, and waits for the hand-over: for the one operation that promises to tell what became of it.
pub(super) async fn send_and_wait(
    ctx: &Context,
    to: &str,
    letter: Letter,
    until: Timestamp,
    language: Option<&str>,
    patience: Duration,
) -> Result<(), Error> {
    let mail = mail(ctx, to, letter, until, language);
    ctx.node.mailer.send_and_wait(mail, patience).await.map_err(|error| {
        tracing::warn!(%error, "a mail was not handed over");
        Error::MailNotSent
    })
}

fn mail(ctx: &Context, to: &str, letter: Letter, until: Timestamp, language: Option<&str>) -> Mail {
    Mail { to: to.to_owned(), language: ctx.node.mailer.language(language), letter, until }
}

/// Tells a user what has happened to the account.
pub(super) fn queue_notice(ctx: &Context, user: &User, letter: Letter, language: Option<&str>) {
    queue_mail(ctx, &user.email, letter, ctx.now() + NOTICE, language);
}

/// `address` with `token` in its query; a token has no character that a query could not hold.
pub(super) fn link_with_token(address: &str, token: &str) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    format!("{address}{joint}token={token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_put_behind_what_an_address_has() {
        assert_eq!(link_with_token("https://a.example/reset", "t"), "https://a.example/reset?token=t");
        assert_eq!(link_with_token("https://a.example/?page=reset", "t"), "https://a.example/?page=reset&token=t");
    }
}
