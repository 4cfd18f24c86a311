//! The mail of this node, for administrators: its queue, the letters in its outbox, and a test. Knows nothing of how
//! mail is sent.
//!
//! A letter in the outbox contains codes and links, with which its reader can sign in as its recipient. So reading one is
//! recorded as an event, and lists contain no codes.

use std::time::Duration;

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::identity::Email;
use crate::auth::one_time::subject_of;
use crate::auth::rate_limit::{MailKind, check_mail};
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::{Error, mailing};
use crate::mail::{self, Letter, StoredLetter, StoredMail};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;

pub use crate::mail::{DeliveryFailure, ListedMail};

/// The most mails of the queue that are listed. In a longer queue, mails usually wait for the same reason.
const MAX_LISTED: usize = 100;

/// The longest wait for the mail server, if the request timeout allows it.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The mail of this node.
pub struct MailQueue {
    /// True if mails are written to files.
    pub has_outbox: bool,
    /// The mail server, or the directory.
    pub destination: String,
    /// The maximum number of mails in the queue.
    pub capacity: usize,
    /// The number of mails in the queue.
    pub length: u64,
    /// How long the oldest of them has waited.
    pub oldest: Duration,
    /// Mails since the start that were accepted.
    pub sent: u64,
    /// Mails since the start that were given up.
    pub failed: u64,
    /// Tries since the start that failed and were repeated.
    pub retries: u64,
    /// The oldest mails in the queue.
    pub mails: Vec<ListedMail>,
}

/// A page of the letters in the outbox, the newest first.
pub struct StoredMails {
    /// The letters.
    pub mails: Vec<StoredMail>,
    /// The name of the last of them, if there are more.
    pub next: Option<String>,
}

/// Returns the state of the mail queue.
pub fn mail_queue(ctx: &Context) -> MailQueue {
    let (mailer, metrics) = (&ctx.node.mailer, &ctx.node.metrics);
    MailQueue {
        has_outbox: mailer.outbox().is_some(),
        destination: mailer.destination().to_owned(),
        capacity: mailer.capacity(),
        length: metrics.value(Counter::MailQueue),
        oldest: mailer.oldest(),
        sent: metrics.value(Counter::MailsSent),
        failed: failed_mails(metrics),
        retries: metrics.value(Counter::MailRetries),
        mails: mailer.queued(MAX_LISTED),
    }
}

/// The number of mails since the start that were given up: refused, expired or dropped.
pub(super) fn failed_mails(metrics: &Metrics) -> u64 {
    let failed = [Counter::MailsRefused, Counter::MailsExpired, Counter::MailsDropped];
    failed.into_iter().map(|counter| metrics.value(counter)).sum()
}

/// Lists letters in the outbox, without the codes in their subjects. Not found if mails are sent.
pub async fn stored_mails(ctx: &Context, before: Option<String>, limit: u32) -> Result<StoredMails, Error> {
    let limit = limit as usize;
    let read = move |outbox: &std::path::Path| mail::list_stored(outbox, before.as_deref(), limit + 1);
    let mut mails = in_outbox(ctx, read).await?;
    let next = (mails.len() > limit).then(|| mails.swap_remove(limit)).and_then(|_| mails.last());
    let next = next.map(|mail| mail.name.clone());
    mails.iter_mut().for_each(|mail| mail.subject = without_code(&mail.subject));
    Ok(StoredMails { mails, next })
}

/// Reads a letter in the outbox.
pub async fn stored_letter(ctx: &Context, name: &str, origin: Origin) -> Result<StoredLetter, Error> {
    let wanted = name.to_owned();
    let letter = in_outbox(ctx, move |outbox| mail::read_stored(outbox, &wanted)).await?.ok_or(Error::NotFound)?;
    audit::record(ctx, Event::new(EventType::MailRead, origin).detail("letter", name));
    Ok(letter)
}

/// Sends a test letter and waits for the result of one try: `Some` if it failed.
pub async fn send_test(
    ctx: &Context,
    to: &str,
    request_ctx: RequestContext<'_>,
    origin: Origin,
) -> Result<Option<DeliveryFailure>, Error> {
    let to = Email::parse(to)?;
    let permit = check_mail(ctx, MailKind::Test, &subject_of(to.as_str()), request_ctx).await?;
    permit.require(ctx, None, request_ctx).await?;
    let max_wait = MAX_WAIT.min(ctx.node.config.server.request_timeout / 2);
    try_once(ctx, to, request_ctx.language, max_wait, origin).await
}

/// Like [`send_test`] for an operator: without a rate limit, and with a wait that the operator chooses.
pub async fn send_test_as_operator(
    ctx: &Context,
    to: Email,
    max_wait: Duration,
) -> Result<Option<DeliveryFailure>, Error> {
    try_once(ctx, to, None, max_wait, Origin::process()).await
}

async fn try_once(
    ctx: &Context,
    to: Email,
    language: Option<&str>,
    max_wait: Duration,
    origin: Origin,
) -> Result<Option<DeliveryFailure>, Error> {
    let (ctx, language) = (ctx.clone(), language.map(str::to_owned));
    run_to_completion(async move {
        let tried = mailing::try_once(&ctx, to.as_str(), Letter::Test, language.as_deref(), max_wait).await;
        audit::record(&ctx, Event::new(EventType::MailTested, origin).detail("accepted", tried.is_ok()));
        Ok(tried.err())
    })
    .await
}

/// Runs `read` on a thread that may block. Not found if there is no outbox.
async fn in_outbox<T: Send + 'static>(
    ctx: &Context,
    read: impl FnOnce(&std::path::Path) -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let outbox = ctx.node.mailer.outbox().ok_or(Error::NotFound)?.to_owned();
    match tokio::task::spawn_blocking(move || read(&outbox)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the outbox cannot be read");
            Err(Error::Internal("the outbox cannot be read"))
        }
        Err(_) => Err(Error::Internal("reading the outbox was interrupted")),
    }
}

/// Masks numbers as long as a code.
fn without_code(subject: &str) -> String {
    let words = subject.split(' ').map(|word| {
        let is_code = word.len() >= 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        if is_code { "••••••" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::without_code;

    #[test]
    fn subjects_are_listed_without_codes() {
        assert_eq!(without_code("031415 is your Signet 24 code"), "•••••• is your Signet 24 code");
        assert_eq!(without_code("031415 是您的 Signet 登入驗證碼"), "•••••• 是您的 Signet 登入驗證碼");
        assert_eq!(without_code("Sign in to Signet"), "Sign in to Signet");
    }
}
