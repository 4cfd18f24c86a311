//! The mail room: what Signet writes to people, and how it gets to them: through a mail server, or into files where there is none.
//!
//! Whoever mails puts a [`Letter`] into a bounded queue and goes on; it is composed, sent and tried again on a thread of its own,
//! until it is taken or of no use any more. Knows nothing of accounts, of what makes a code good, or of HTTP.

mod language;
mod message;
mod outbox;
mod queue;
mod smtp;
mod templates;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use language::Language;
pub use smtp::SmtpError;
pub use templates::TemplateError;

use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::rng::Rng;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::MailEnd;
use outbox::Outbox;
use queue::{MailWorker, QueuedMail, Transport};
use smtp::Smtp;
use templates::Templates;

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The address, as it is stored.
    pub to: String,
    /// In which language.
    pub language: Language,
    /// What it says.
    pub letter: Letter,
    /// After this moment it is of no use, and is not sent.
    pub until: Timestamp,
}

/// What a mail says.
#[derive(Clone, PartialEq, Eq)]
pub enum Letter {
    /// A code to sign in with.
    SignInCode {
        /// Six digits.
        code: String,
    },
    /// A code that confirms the address.
    ConfirmCode {
        /// Six digits.
        code: String,
    },
    /// A link to sign in with.
    MagicLink {
        /// Built from the settings, never from a request.
        link: String,
    },
    /// A link at which a new password is chosen.
    ResetPassword {
        /// As above.
        link: String,
    },
    /// A link that confirms the address.
    ConfirmEmail {
        /// As above.
        link: String,
    },
    /// To the old address: there is another now, which is shown in part.
    EmailChanged {
        /// The whole of the other.
        new: String,
    },
    /// The password was changed.
    PasswordChanged,
    /// A second factor was turned on.
    SecondFactorOn,
    /// It was turned off.
    SecondFactorOff,
}

/// What kind of letter it is. Codes and links are as good as passwords, and an address is its owner's business.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name)
    }
}

/// Why the mail room cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operator's letters cannot be used.
    #[error(transparent)]
    Templates(#[from] TemplateError),
    /// The mail server cannot be used as the settings say.
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    /// `mail.from` is no address.
    #[error("mail.from is not an address such as Signet <signet@example.com>")]
    From,
    /// No thread to send on.
    #[error("the thread that sends mails cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The mail server would not take a mail from us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// Why a mail was not handed over. It will not be sent any more, unless it was on its way at that very moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHandedOver {
    /// There are too many before it.
    #[error("too many mails are waiting")]
    Full,
    /// The server has said no for good, or nothing can be sent to such an address.
    #[error("the mail was refused")]
    Refused,
    /// It was not taken while it was of use.
    #[error("the mail was not taken in time")]
    Late,
    /// The server is being stopped.
    #[error("no more mails are taken")]
    Stopped,
}

/// The way to the mail room. A clone is the same room; it is closed when the last is dropped.
#[derive(Clone)]
pub struct Mailer {
    orders: mpsc::UnboundedSender<QueuedMail>,
    /// How many mails were taken in and are not done with, which bounds the queue: also those that wait for another try.
    pending: watch::Sender<usize>,
    /// Whether no more are taken in.
    closing: watch::Sender<bool>,
    room: usize,
    languages: Arc<[String]>,
    metrics: Arc<Metrics>,
}

impl Mailer {
    /// Starts the thread that sends.
    pub fn start(
        settings: &config::Mail,
        data_dir: &Path,
        clock: Clock,
        metrics: Arc<Metrics>,
        rng: Rng,
    ) -> Result<Self, StartError> {
        let sender = sender(settings)?;
        let transport = match smtp(settings, &sender)? {
            Some(smtp) => Transport::Smtp(smtp),
            None => Transport::Outbox(Outbox::new(data_dir.join(outbox::NAME), rng.clone())),
        };
        let templates = Templates::read(settings.templates.as_deref())?;
        let languages = templates.languages().into();
        let (orders, incoming) = mpsc::unbounded_channel();
        let (pending, closing) = (watch::Sender::new(0), watch::Sender::new(false));
        let office = MailWorker {
            transport,
            templates,
            sender,
            clock,
            rng,
            metrics: metrics.clone(),
            pending: pending.clone(),
            closing: closing.subscribe(),
        };
        queue::start(office, incoming).map_err(StartError::Thread)?;
        Ok(Self { orders, pending, closing, room: settings.queue, languages, metrics })
    }

    /// Puts a mail in the queue. Never waits: composing and sending happen elsewhere, so that an answer takes as long with a mail
    /// as without one. A full queue drops it.
    pub fn post(&self, mail: Mail) {
        let kind = mail.letter.kind().name;
        if let Err(error) = self.queue(mail, None) {
            tracing::warn!(letter = kind, %error, "a mail was dropped");
        }
    }

    /// Waits until the transport took it, `patience` at most. For the one call whose contract waits.
    pub async fn hand_over(&self, mail: Mail, patience: Duration) -> Result<(), NotHandedOver> {
        let (reply, taken) = oneshot::channel();
        self.queue(mail, Some(reply))?;
        match tokio::time::timeout(patience, taken).await {
            Ok(Ok(answer)) => answer,
            // Dropped with the thread, at the end of a drain.
            Ok(Err(_)) => Err(NotHandedOver::Stopped),
            Err(_) => Err(NotHandedOver::Late),
        }
    }

    /// The language for an `Accept-Language` header.
    pub fn language(&self, accept_language: Option<&str>) -> Language {
        language::look_up(accept_language, &self.languages)
    }

    /// Stops taking mails and sends what is queued, for `patience` at most; gives how many were left. What waits for another
    /// try has it at once.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.closing.send_replace(true);
        let mut pending = self.pending.subscribe();
        let _ = tokio::time::timeout(patience, pending.wait_for(|pending| *pending == 0)).await;
        let left = *self.pending.borrow();
        for _ in 0..left {
            self.metrics.mail_ended(MailEnd::Left);
        }
        left
    }

    fn queue(
        &self,
        mail: Mail,
        reply: Option<oneshot::Sender<Result<(), NotHandedOver>>>,
    ) -> Result<(), NotHandedOver> {
        let refused = if *self.closing.borrow() {
            Some(NotHandedOver::Stopped)
        } else {
            let admitted = self.pending.send_if_modified(|pending| {
                let admitted = *pending < self.room;
                *pending += usize::from(admitted);
                admitted
            });
            (!admitted).then_some(NotHandedOver::Full)
        };
        if let Some(refused) = refused {
            self.metrics.mail_ended(MailEnd::Dropped);
            return Err(refused);
        }
        self.metrics.mail_queued();
        // The thread ends only after this sender does.
        self.orders.send(QueuedMail { mail, reply }).map_err(|_| NotHandedOver::Stopped)
    }
}

/// Whether mails could be sent as the settings say: the letters are read, and the server, if there is one, is asked. Sends nothing.
pub async fn check(settings: &config::Mail) -> Result<Result<(), Unreachable>, StartError> {
    Templates::read(settings.templates.as_deref())?;
    let sender = sender(settings)?;
    let Some(smtp) = smtp(settings, &sender)? else { return Ok(Ok(())) };
    Ok(smtp.check().await.map_err(|why| match why {
        smtp::NotTaken::Away(why) | smtp::NotTaken::Later(why) | smtp::NotTaken::Never(why) => Unreachable(why),
    }))
}

fn sender(settings: &config::Mail) -> Result<message::Sender, StartError> {
    let from = settings.from.parse().map_err(|_| StartError::From)?;
    Ok(message::Sender { from, service: settings.service_name.clone() })
}

fn smtp(settings: &config::Mail, sender: &message::Sender) -> Result<Option<Smtp>, SmtpError> {
    let url = settings.smtp_url.as_ref();
    url.map(|url| Smtp::new(&url.0, settings, sender.from.email.domain())).transpose()
}
