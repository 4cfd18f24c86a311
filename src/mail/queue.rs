//! The thread that sends: several mails at once, each tried until it is taken, refused for good, or of no use any more. Knows nothing
//! of who wanted them sent.
//!
//! It has a runtime of its own: a mail server that is slow, and the composing, must not be felt by those who answer requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::message::{Marks, Sender, compose};
use super::outbox::Outbox;
use super::smtp::{NotTaken, Smtp};
use super::templates::Templates;
use super::{Mail, NotHandedOver};
use crate::clock::Clock;
use crate::rng::Rng;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::MailEnd;

/// How many mails are on their way at once: as many must hang before one that would be taken has to wait.
const AT_ONCE: usize = 8;

/// How long until the second try, about; doubled for each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A mail, and who waits to hear of it.
pub(super) struct QueuedMail {
    pub(super) mail: Mail,
    pub(super) reply: Option<oneshot::Sender<Result<(), NotHandedOver>>>,
}

/// Where mails go.
pub(super) enum Transport {
    Smtp(Smtp),
    Outbox(Outbox),
}

/// What every mail on its way needs.
pub(super) struct MailWorker {
    pub(super) transport: Transport,
    pub(super) templates: Templates,
    pub(super) sender: Sender,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pending: watch::Sender<usize>,
    pub(super) closing: watch::Receiver<bool>,
}

/// Starts the thread. It ends when nobody can order any more.
pub(super) fn start(office: MailWorker, mut orders: mpsc::UnboundedReceiver<QueuedMail>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = move || {
        runtime.block_on(async {
            let (ways, back) = (Semaphore::new(AT_ONCE), watch::Sender::new(()));
            let desk = Arc::new(Desk { office, ways, trouble: Mutex::default(), back });
            while let Some(order) = orders.recv().await {
                tokio::spawn(handle(desk.clone(), order));
            }
        });
        // A look-up of a name that hangs has a thread of its own, and nobody is to wait for that.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("signet-mail".to_owned()).spawn(body).map(drop)
}

struct Desk {
    office: MailWorker,
    /// First come, first served, whether it is a mail's first try or its fifth.
    ways: Semaphore,
    /// What the last try failed of, so that trouble is logged when it begins and when it ends, and not a thousand times.
    trouble: Mutex<Option<String>>,
    /// Says that a mail was taken after one was not: whoever was away may be back.
    back: watch::Sender<()>,
}

/// Why a mail was not taken this time.
struct InVain {
    why: String,
    /// Nobody was there to take any.
    away: bool,
}

/// How a mail ended that was not taken.
struct Ended(MailEnd, NotHandedOver, Option<String>);

/// Sees a mail through.
async fn handle(desk: Arc<Desk>, mut order: QueuedMail) {
    let done = desk.see_through(&mut order).await;
    let MailWorker { metrics, pending, .. } = &desk.office;
    let (end, answer) = match done {
        Ok(()) => (MailEnd::Sent, Ok(())),
        Err(Ended(end, answer, why)) => {
            let domain = order.mail.to.rsplit_once('@').map_or("", |(_, domain)| domain);
            let (letter, why) = (order.mail.letter.kind().name, why.unwrap_or_else(|| answer.to_string()));
            tracing::warn!(letter, domain, end = end.name(), why, "a mail was not sent");
            (end, Err(answer))
        }
    };
    metrics.mail_unqueued();
    metrics.mail_ended(end);
    if let Some(reply) = order.reply {
        let _ = reply.send(answer);
    }
    // After everything else: who waits for the last mail finds all of it done.
    pending.send_modify(|pending| *pending -= 1);
    if *desk.office.closing.borrow()
        && *pending.borrow() == 0
        && let Transport::Smtp(smtp) = &desk.office.transport
    {
        smtp.close().await;
    }
}

impl Desk {
    async fn see_through(&self, order: &mut QueuedMail) -> Result<(), Ended> {
        let MailWorker { clock, rng, metrics, closing, .. } = &self.office;
        let marks: Marks = rng.bytes();
        let mut closing = closing.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            // From before the try: what is said while it fails counts.
            let mut back = self.back.subscribe();
            let InVain { why, away } = match self.try_once(order, &marks).await? {
                None => return Ok(()),
                Some(in_vain) => in_vain,
            };
            metrics.mail_tried_in_vain();
            self.troubled(why);
            let wait = jittered(pause, rng);
            // What would be of no use by then is not kept until then.
            if clock.now() + wait > order.mail.until {
                return Err(Ended(MailEnd::Expired, NotHandedOver::Late, None));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            let asked_to_hurry = async {
                if *closing.borrow() || closing.wait_for(|closing| *closing).await.is_err() {
                    // It was known before this pause, or never will be.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Not what the server itself has put off: it would be asked again with each mail that it takes.
                Ok(()) = back.changed(), if away => {}
                () = asked_to_hurry => pause = FIRST_PAUSE,
                () = given_up(&mut order.reply) => {}
            }
        }
    }

    /// Tries it once, when a way is free: `None` if it was taken, otherwise why it was not.
    async fn try_once(&self, order: &mut QueuedMail, marks: &Marks) -> Result<Option<InVain>, Ended> {
        let MailWorker { transport, templates, sender, clock, .. } = &self.office;
        // A semaphore that is never closed.
        let _way = self.ways.acquire().await;
        let now = clock.now();
        if now > order.mail.until {
            return Err(Ended(MailEnd::Expired, NotHandedOver::Late, None));
        }
        // Who was told that it was not sent is not to get it after all.
        if order.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            return Err(Ended(
                MailEnd::Withdrawn,
                NotHandedOver::Late,
                Some("nobody waits for it any more".to_owned()),
            ));
        }
        let refused = |why: String| Err(Ended(MailEnd::Refused, NotHandedOver::Refused, Some(why)));
        let Ok(mail) = compose(&order.mail, sender, templates, marks, now) else {
            return refused("it has what may not stand in a mail".to_owned());
        };
        let taken = match transport {
            Transport::Smtp(smtp) => smtp.send(&mail).await,
            Transport::Outbox(outbox) => {
                outbox.put(&mail.bytes, now).map_err(|error| NotTaken::Away(format!("the outbox: {error}")))
            }
        };
        match taken {
            Ok(()) => {
                self.well();
                Ok(None)
            }
            Err(NotTaken::Away(why)) => Ok(Some(InVain { why, away: true })),
            Err(NotTaken::Later(why)) => Ok(Some(InVain { why, away: false })),
            Err(NotTaken::Never(why)) => refused(why),
        }
    }

    fn troubled(&self, why: String) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref() != Some(&why) {
            tracing::warn!(why, "mail cannot be sent now; it is tried again");
            *trouble = Some(why);
        }
    }

    fn well(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.take().is_some() {
            tracing::info!("mail is sent again");
            self.back.send_replace(());
        }
    }
}

/// Ends when nobody waits for the answer any more; never where nobody ever did.
async fn given_up(reply: &mut Option<oneshot::Sender<Result<(), NotHandedOver>>>) {
    match reply {
        Some(reply) => reply.closed().await,
        None => std::future::pending().await,
    }
}

/// Between half of it and all of it, so that what failed together is not tried again together.
fn jittered(pause: Duration, rng: &Rng) -> Duration {
    let share = f64::from(u16::from_ne_bytes(rng.bytes())) / f64::from(u16::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}
