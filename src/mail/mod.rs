//! Mail to users: through a mail server, or into files if none is configured.
//!
//! Operations put a [`Letter`] into a bounded queue and continue. A thread of its own composes, sends and retries it
//! until the mail server accepts it or it has expired. Knows nothing of accounts, of how codes are verified, or of
//! HTTP.

mod language;
mod letter;
mod logo;
mod message;
mod origin;
mod outbox;
mod parts;
mod queue;
mod queue_list;
mod smtp;
mod stored;
mod templates;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use language::Language;
pub use letter::Letter;
pub use logo::{LogoError, LogoFile};
pub use origin::{Origin, OriginBy};
pub use queue_list::ListedMail;
pub use smtp::SmtpError;
pub use stored::{StoredLetter, StoredMail};
pub use templates::TemplateError;

use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::rng::Rng;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;
use outbox::Outbox;
use queue::{MailWorker, QueuedMail, Transport};
use queue_list::QueueList;
use smtp::Smtp;
use templates::Templates;

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The recipient: the address as it is stored.
    pub to: String,
    /// The language of the letter.
    pub language: Language,
    /// The content.
    pub letter: Letter,
    /// Its cause. Notices show it.
    pub origin: Origin,
    /// The moment of expiry: the mail is not sent after it.
    pub expires_at: Timestamp,
}

/// The mailer cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The operator's letters are invalid.
    #[error(transparent)]
    Templates(#[from] TemplateError),
    /// The logo cannot be used.
    #[error(transparent)]
    Logo(#[from] LogoError),
    /// The mail server's settings are invalid.
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    /// `mail.from` is not an address.
    #[error("mail.from is not an address such as Signet <signet@example.com>")]
    From,
    /// The mail thread cannot be started.
    #[error("the mail thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The mail server does not accept mail from us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MailServerUnavailable(String);

/// A mail was not delivered. It will not be sent later, unless it was in transmission when the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The queue is full.
    #[error("the mail queue is full")]
    QueueFull,
    /// The server rejected it permanently, or its address or content cannot be sent. If a caller waits, also: the
    /// server refuses the connection or the login.
    #[error("the mail was refused")]
    Refused,
    /// It was not accepted before it expired or the wait ended.
    #[error("the mail was not accepted in time")]
    TimedOut,
    /// The process is shutting down.
    #[error("the mailer is shutting down")]
    ShuttingDown,
}

/// The same, with the reason that the mail server or the connection gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// The kind of failure.
    pub error: DeliveryError,
    /// Why. Never a text that quotes the mail.
    pub reason: Option<String>,
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => f.write_str(reason),
            None => self.error.fmt(f),
        }
    }
}

impl From<DeliveryError> for DeliveryFailure {
    fn from(error: DeliveryError) -> Self {
        Self { error, reason: None }
    }
}

/// Handle to the mail queue. Clones share the queue; dropping the last one ends the mail thread.
#[derive(Clone)]
pub struct Mailer {
    queue_sender: mpsc::UnboundedSender<QueuedMail>,
    /// Number of unfinished mails, which bounds the queue. Includes mails that wait for a retry.
    pending: watch::Sender<usize>,
    /// True if the queue is closed.
    closing: watch::Sender<bool>,
    capacity: usize,
    languages: Arc<[String]>,
    logo: Option<LogoFile>,
    outbox: Option<PathBuf>,
    destination: Arc<str>,
    metrics: Arc<Metrics>,
    list: Arc<QueueList>,
}

impl Mailer {
    /// Starts the mail thread.
    pub fn start(
        settings: &config::Mail,
        data_dir: &Path,
        clock: Clock,
        metrics: Arc<Metrics>,
        rng: Rng,
    ) -> Result<Self, MailerError> {
        let sender = sender(settings)?;
        let (transport, outbox, destination) = match smtp(settings, &sender)? {
            Some(smtp) => {
                let address = smtp.address();
                (Transport::Smtp(smtp), None, address)
            }
            None => {
                let folder = outbox_dir(data_dir);
                let name = folder.display().to_string();
                (Transport::Outbox(Outbox::new(folder.clone(), rng.clone())), Some(folder), name)
            }
        };
        let (templates, logo) = (templates(settings)?, logo(settings)?);
        let (languages, destination) = (templates.languages().into(), destination.into());
        let (queue_sender, incoming) = mpsc::unbounded_channel();
        let list = Arc::<QueueList>::default();
        let (pending, closing) = (watch::Sender::new(0), watch::Sender::new(false));
        let worker = MailWorker {
            transport,
            templates,
            sender,
            clock,
            rng,
            metrics: metrics.clone(),
            pending: pending.clone(),
            list: list.clone(),
            closing: closing.subscribe(),
        };
        queue::start(worker, incoming).map_err(MailerError::Thread)?;
        Ok(Self {
            queue_sender,
            pending,
            closing,
            capacity: settings.queue,
            languages,
            logo,
            outbox,
            destination,
            metrics,
            list,
        })
    }

    /// Queues a mail and returns immediately: composing and sending happen on another thread, so a response takes the
    /// same time with and without a mail. If the queue is full, the mail takes the place of one that the mail server
    /// deferred, or is dropped.
    pub fn enqueue(&self, mail: Mail) {
        let kind = mail.letter.kind().name;
        if let Err(error) = self.queue(mail, None, false) {
            tracing::warn!(letter = kind, %error, "mail dropped");
        }
    }

    /// Queues a mail and waits until the transport accepts it, for at most `max_wait`. For the one call whose contract
    /// waits.
    pub async fn send_and_wait(&self, mail: Mail, max_wait: Duration) -> Result<(), DeliveryError> {
        self.wait(mail, max_wait, false).await.map_err(|failure| failure.error)
    }

    /// Queues a mail and waits for the result of the only try to send it, for at most `max_wait`.
    pub async fn try_once(&self, mail: Mail, max_wait: Duration) -> Result<(), DeliveryFailure> {
        self.wait(mail, max_wait, true).await
    }

    async fn wait(&self, mail: Mail, max_wait: Duration, single_try: bool) -> Result<(), DeliveryFailure> {
        let (reply, result) = oneshot::channel();
        self.queue(mail, Some(reply), single_try)?;
        match tokio::time::timeout(max_wait, result).await {
            Ok(Ok(result)) => result,
            // The reply channel was dropped with the mail thread, at the end of a drain.
            Ok(Err(_)) => Err(DeliveryError::ShuttingDown.into()),
            Err(_) => Err(DeliveryError::TimedOut.into()),
        }
    }

    /// The oldest mails in the queue, at most `limit`.
    pub fn queued(&self, limit: usize) -> Vec<ListedMail> {
        self.list.list(limit)
    }

    /// The maximum number of mails in the queue.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How long the oldest mail in the queue has waited; zero if there is none.
    pub fn oldest(&self) -> Duration {
        self.list.oldest()
    }

    /// Returns the language for an `Accept-Language` header.
    pub fn language(&self, accept_language: Option<&str>) -> Language {
        language::look_up(accept_language, &self.languages)
    }

    /// The logo, if there is one. Mails link to it.
    pub fn logo(&self) -> Option<&LogoFile> {
        self.logo.as_ref()
    }

    /// The directory that mails are written to; `None` if they are sent.
    pub fn outbox(&self) -> Option<&Path> {
        self.outbox.as_deref()
    }

    /// The mail server and its port, or the directory of the outbox.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Closes the queue and sends what is queued, for at most `max_wait`. Mails that wait for a retry are retried
    /// immediately. Returns the number of unsent mails.
    pub async fn drain(&self, max_wait: Duration) -> usize {
        self.closing.send_replace(true);
        let mut pending = self.pending.subscribe();
        let _ = tokio::time::timeout(max_wait, pending.wait_for(|pending| *pending == 0)).await;
        let left = *self.pending.borrow();
        for _ in 0..left {
            self.metrics.count(Counter::MailsLeft);
        }
        left
    }

    fn queue(
        &self,
        mail: Mail,
        reply: Option<oneshot::Sender<Result<(), DeliveryFailure>>>,
        single_try: bool,
    ) -> Result<(), DeliveryError> {
        if *self.closing.borrow() {
            self.metrics.count(Counter::MailsDropped);
            return Err(DeliveryError::ShuttingDown);
        }
        let admitted = self.pending.send_if_modified(|pending| {
            let admitted = *pending < self.capacity;
            *pending += usize::from(admitted);
            admitted
        });
        if admitted {
            self.metrics.count(Counter::MailQueue);
        } else if !self.list.displace() {
            self.metrics.count(Counter::MailsDropped);
            return Err(DeliveryError::QueueFull);
        }
        let number = self.list.add(&mail);
        // The mail thread ends only after this sender is dropped.
        self.queue_sender.send(QueuedMail { mail, reply, number, single_try }).map_err(|_| DeliveryError::ShuttingDown)
    }
}

/// Checks that mails could be sent with these settings: reads the letters and connects to the mail server, if one is
/// set. Sends nothing.
pub async fn check(settings: &config::Mail) -> Result<Result<(), MailServerUnavailable>, MailerError> {
    templates(settings)?;
    logo(settings)?;
    let sender = sender(settings)?;
    let Some(smtp) = smtp(settings, &sender)? else { return Ok(Ok(())) };
    Ok(smtp.check().await.map_err(|error| match error {
        smtp::SendError::Unreachable(reason)
        | smtp::SendError::ClientRefused(reason)
        | smtp::SendError::Temporary(reason)
        | smtp::SendError::Permanent(reason) => MailServerUnavailable(reason),
    }))
}

/// The directory that mails are written to if no mail server is configured.
pub fn outbox_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(outbox::NAME)
}

/// Removes the mails in the outbox that were written more than `keep` ago, and returns how many there were. Blocks.
pub fn remove_old_mails(data_dir: &Path, keep: Duration, now: Timestamp) -> std::io::Result<u64> {
    outbox::remove_older(&outbox_dir(data_dir), keep, now)
}

/// The newest mails in an outbox that have been written before the mail `before`, at most `limit`. Blocks.
pub fn list_stored(outbox: &Path, before: Option<&str>, limit: usize) -> std::io::Result<Vec<StoredMail>> {
    stored::list(outbox, before, limit)
}

/// A mail in an outbox by its name; `None` if there is none. Blocks.
pub fn read_stored(outbox: &Path, name: &str) -> std::io::Result<Option<StoredLetter>> {
    stored::read(outbox, name)
}

fn sender(settings: &config::Mail) -> Result<message::Sender, MailerError> {
    let from = settings.from.parse().map_err(|_| MailerError::From)?;
    let (service, account_url) = (settings.service_name.clone(), settings.account_url.clone());
    Ok(message::Sender { from, service, account_url })
}

fn logo(settings: &config::Mail) -> Result<Option<LogoFile>, LogoError> {
    settings.logo.as_ref().map(|logo| LogoFile::read(&logo.path)).transpose()
}

fn templates(settings: &config::Mail) -> Result<Templates, TemplateError> {
    Templates::read(settings.templates.as_deref(), settings.logo.as_ref().map(|logo| logo.url.as_str()))
}

fn smtp(settings: &config::Mail, sender: &message::Sender) -> Result<Option<Smtp>, SmtpError> {
    let url = settings.smtp_url.as_ref();
    url.map(|url| Smtp::new(&url.0, settings, sender.from.email.domain())).transpose()
}
