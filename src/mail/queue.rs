//! The mail thread: sends several mails concurrently and retries each until it is accepted, rejected permanently, or
//! expired. Knows nothing of the operations that send mail.
//!
//! If the server refuses the connection or the login with a 5xx reply, as after a change of the password, the mails are
//! fine and an operator can mend it. So they wait, as they do while the server cannot be reached. A caller that waits
//! for its mail is told at once.
//!
//! It has a runtime of its own, so that composing mails and waiting for a slow mail server never delay a request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::message::{MessageSeed, Sender, compose};
use super::outbox::Outbox;
use super::queue_list::QueueList;
use super::smtp::{SendError, Smtp};
use super::templates::Templates;
use super::{DeliveryError, DeliveryFailure, Mail};
use crate::clock::Clock;
use crate::priority;
use crate::rng::Rng;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;

/// Mails in transmission at the same time. This many must hang before another mail is delayed.
const MAX_CONCURRENT: usize = 8;

/// Pause before the first retry, doubled for each further one up to `MAX_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Pause between two tries to connect while the server refuses the connection or the login, for all waiting mails
/// together. If each of them tried for itself, a server could lock the account for too many failed logins.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// A mail, with the channel for its result if the caller waits for it.
pub(super) struct QueuedMail {
    pub(super) mail: Mail,
    pub(super) reply: Option<oneshot::Sender<Result<(), DeliveryFailure>>>,
    /// Its number in [`QueueList`].
    pub(super) number: u64,
    /// The first try is the only one: its result is what the caller waits for.
    pub(super) single_try: bool,
}

/// Destination of mails.
pub(super) enum Transport {
    Smtp(Smtp),
    Outbox(Outbox),
}

/// State shared by all mails in transmission.
pub(super) struct MailWorker {
    pub(super) transport: Transport,
    pub(super) templates: Templates,
    pub(super) sender: Sender,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pending: watch::Sender<usize>,
    pub(super) list: Arc<QueueList>,
    pub(super) closing: watch::Receiver<bool>,
}

/// Starts the mail thread. It ends when the last [`Mailer`](super::Mailer) is dropped.
pub(super) fn start(worker: MailWorker, mut incoming: mpsc::UnboundedReceiver<QueuedMail>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = move || {
        // Composing a mail takes longer than the request that asks for it, and no client waits for it.
        priority::lower();
        runtime.block_on(async {
            let delivery = Arc::new(Delivery {
                worker,
                permits: Semaphore::new(MAX_CONCURRENT),
                last_failure: Mutex::default(),
                recovered: watch::Sender::new(()),
                refusal: Mutex::default(),
            });
            while let Some(queued) = incoming.recv().await {
                tokio::spawn(handle(delivery.clone(), queued));
            }
        });
        // Does not wait for a name lookup that hangs on a blocking thread.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("signet-mail".to_owned()).spawn(body).map(drop)
}

struct Delivery {
    worker: MailWorker,
    /// Fair: first attempts and retries are served in the order in which they were queued.
    permits: Semaphore,
    /// Reason of the last failure, so that an outage is logged once when it begins and once when it ends.
    last_failure: Mutex<Option<String>>,
    /// Signals the first success after a failure: an unreachable server may be back.
    recovered: watch::Sender<()>,
    /// Set while the server refuses the connection or the login.
    refusal: Mutex<Option<Refusal>>,
}

/// The server's refusal of the connection or the login.
struct Refusal {
    reason: String,
    /// A mail that no caller waits for connects no sooner.
    next_try: Instant,
}

/// A failed try.
struct FailedAttempt {
    reason: String,
    cause: FailureCause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FailureCause {
    /// The server deferred this mail.
    Deferred,
    /// The server could not be reached, so no other mail could have been sent either.
    Unreachable,
    /// The server refuses the connection or the login, so no other mail could have been sent either.
    ClientRefused,
}

/// The final failure of a mail.
struct Undelivered(Counter, DeliveryError, Option<String>);

/// Delivers a mail and reports the result.
async fn handle(delivery: Arc<Delivery>, mut queued: QueuedMail) {
    let result = delivery.deliver(&mut queued).await;
    let MailWorker { metrics, pending, .. } = &delivery.worker;
    let (end, answer) = match result {
        Ok(()) => (Counter::MailsSent, Ok(())),
        Err(Undelivered(end, error, reason)) => {
            let domain = queued.mail.to.rsplit_once('@').map_or("", |(_, domain)| domain);
            let letter = queued.mail.letter.kind().name;
            let failure = DeliveryFailure { error, reason };
            tracing::warn!(letter, domain, end = end.label(), why = %failure, "mail not sent");
            (end, Err(failure))
        }
    };
    // Otherwise a worker that needs the processor waits for the end of this thread's time slice: before 6.12, Linux lets
    // a thread finish its slice, whatever its nice value.
    std::thread::yield_now();
    // A mail that was displaced has given its place to another.
    let has_place = delivery.worker.list.remove(queued.number);
    if has_place {
        metrics.decrement(Counter::MailQueue);
    }
    metrics.count(end);
    if let Some(reply) = queued.reply {
        let _ = reply.send(answer);
    }
    // Last, so that a drain that waits for this finds everything else done.
    if has_place {
        pending.send_modify(|pending| *pending -= 1);
    }
    if *delivery.worker.closing.borrow()
        && *pending.borrow() == 0
        && let Transport::Smtp(smtp) = &delivery.worker.transport
    {
        smtp.close().await;
    }
}

impl Delivery {
    async fn deliver(&self, queued: &mut QueuedMail) -> Result<(), Undelivered> {
        let MailWorker { clock, rng, metrics, closing, list, .. } = &self.worker;
        let seed: MessageSeed = rng.bytes();
        let mut closing = closing.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            // Subscribed before the try, so that a recovery during the try counts.
            let mut recovered = self.recovered.subscribe();
            let FailedAttempt { reason, cause } = match self.try_once(queued, &seed).await? {
                None => return Ok(()),
                Some(failed) => failed,
            };
            if queued.single_try {
                return Err(Undelivered(Counter::MailsExpired, DeliveryError::TimedOut, Some(reason)));
            }
            let is_deferred = cause == FailureCause::Deferred;
            let may_be_displaced = is_deferred && queued.reply.is_none();
            let mut displaced = may_be_displaced.then(|| list.begin_wait(queued.number));
            metrics.count(Counter::MailRetries);
            list.record_failure(queued.number, &reason);
            self.record_failure(reason, cause);
            let wait = rng.jitter(pause);
            // A mail that would have expired by then is given up now.
            if clock.now() + wait > queued.mail.expires_at {
                return Err(Undelivered(Counter::MailsExpired, DeliveryError::TimedOut, None));
            }
            pause = (pause * 2).min(MAX_PAUSE);
            let drain_started = async {
                if *closing.borrow() || closing.wait_for(|closing| *closing).await.is_err() {
                    // The drain had started before this pause, or the sender is gone.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Not for a mail that the server deferred: it would be retried after every other success.
                Ok(()) = recovered.changed(), if !is_deferred => {}
                () = drain_started => pause = FIRST_PAUSE,
                () = caller_gone(&mut queued.reply) => {}
                () = is_displaced(&mut displaced) => {}
            }
            if displaced.is_some() && !list.end_wait(queued.number) {
                let why = "the mail server deferred it, and the queue was full".to_owned();
                return Err(Undelivered(Counter::MailsDropped, DeliveryError::QueueFull, Some(why)));
            }
        }
    }

    /// Tries to send a mail once a permit is free. Returns `None` if it was accepted, otherwise the failure.
    async fn try_once(
        &self,
        queued: &mut QueuedMail,
        seed: &MessageSeed,
    ) -> Result<Option<FailedAttempt>, Undelivered> {
        let MailWorker { transport, templates, sender, clock, .. } = &self.worker;
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let now = clock.now();
        if now > queued.mail.expires_at {
            return Err(Undelivered(Counter::MailsExpired, DeliveryError::TimedOut, None));
        }
        // The caller was told that the mail was not sent, so it must not be sent.
        if queued.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            return Err(Undelivered(
                Counter::MailsWithdrawn,
                DeliveryError::TimedOut,
                Some("the caller stopped waiting".to_owned()),
            ));
        }
        let caller_waits = queued.reply.is_some();
        if !caller_waits && let Some(reason) = self.refusal_before_next_try() {
            return Ok(Some(FailedAttempt { reason, cause: FailureCause::ClientRefused }));
        }
        let refused = |reason: String| Err(Undelivered(Counter::MailsRefused, DeliveryError::Refused, Some(reason)));
        let Ok(mail) = compose(&queued.mail, sender, templates, seed, now) else {
            return refused("the address or a value is not valid in a mail".to_owned());
        };
        let sent = match transport {
            Transport::Smtp(smtp) => smtp.send(&mail).await,
            Transport::Outbox(outbox) => {
                outbox.put(&mail.bytes, now).map_err(|error| SendError::Unreachable(format!("the outbox: {error}")))
            }
        };
        self.record_refusal(sent.as_ref().err());
        let failed = |reason, cause| Ok(Some(FailedAttempt { reason, cause }));
        match sent {
            Ok(()) => {
                self.record_success();
                Ok(None)
            }
            Err(SendError::Unreachable(reason)) => failed(reason, FailureCause::Unreachable),
            Err(SendError::ClientRefused(reason)) if caller_waits => refused(reason),
            Err(SendError::ClientRefused(reason)) => failed(reason, FailureCause::ClientRefused),
            Err(SendError::Temporary(reason)) => failed(reason, FailureCause::Deferred),
            Err(SendError::Permanent(reason)) => refused(reason),
        }
    }

    fn record_failure(&self, reason: String, cause: FailureCause) {
        let mut last_failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if last_failure.as_ref() != Some(&reason) {
            if cause == FailureCause::ClientRefused {
                tracing::error!(why = reason, "the mail server refuses the connection or the login, mails wait");
            } else {
                tracing::warn!(why = reason, "mail cannot be sent, retrying");
            }
            *last_failure = Some(reason);
        }
    }

    /// Records whether the server refused the connection or the login.
    fn record_refusal(&self, error: Option<&SendError>) {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        *refusal = match error {
            Some(SendError::ClientRefused(reason)) => {
                Some(Refusal { reason: reason.clone(), next_try: Instant::now() + REFUSAL_PAUSE })
            }
            _ => None,
        };
    }

    /// The reason of a refusal, if it is too early to connect again. Otherwise one mail may connect, and the others
    /// wait for its result.
    fn refusal_before_next_try(&self) -> Option<String> {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let Refusal { reason, next_try } = refusal.as_mut()?;
        let now = Instant::now();
        if now < *next_try {
            return Some(reason.clone());
        }
        *next_try = now + REFUSAL_PAUSE;
        None
    }

    fn record_success(&self) {
        let mut last_failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if last_failure.take().is_some() {
            tracing::info!("mail is being sent again");
            self.recovered.send_replace(());
        }
    }
}

/// Completes when the mail is displaced. Never completes if it cannot be.
async fn is_displaced(displaced: &mut Option<oneshot::Receiver<()>>) {
    match displaced {
        Some(displaced) => _ = displaced.await,
        None => std::future::pending().await,
    }
}

/// Completes when the caller stops waiting. Never completes if no caller waits.
async fn caller_gone(reply: &mut Option<oneshot::Sender<Result<(), DeliveryFailure>>>) {
    match reply {
        Some(reply) => reply.closed().await,
        None => std::future::pending().await,
    }
}
