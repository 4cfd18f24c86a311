//! The queues from the operations to the store and the webhook, which are slow. Recording never waits. An event that
//! finds a queue full is lost there and counted; the log still has it. A request records a few events. A command that
//! records more than a queue holds stores them in between, because nothing else does so in its process.
//!
//! Some events can be caused in any number by one client or user. Of these, only the first of its kind in a minute is
//! stored and sent, and logged at info. The others are logged at debug. Otherwise anyone could fill the disk with
//! lines, or displace the events of others. Anyone can have many accounts, and many networks of an IPv6 site, so the
//! site that they are used from has a bound too; beyond it, events are stored for the user concerned alone, except
//! privileged ones, which strangers do not cause. The metrics count every refusal by a limit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::event::EventRecord;
use super::event_type::EventType;
use crate::clock::Timestamp;
use crate::config::site_of;
use crate::id::UserId;
use crate::store::ephemeral::EventClass;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;

/// Capacity of the queue to the store: some seconds of as many sign-ins as a node can hash.
const QUEUE: usize = 4_096;

/// The places of each queue that attempts do not take. While a store or a receiver is away, attempts, which a stranger
/// can cause in any number, must not lose actions.
const FOR_ACTIONS: usize = QUEUE / 2;

/// The places of these that actions do not take either: sign-ins of strangers must not lose privileged events, which
/// are few.
const FOR_PRIVILEGED: usize = QUEUE / 8;

/// The time in which an event that clients and users can cause in any number is recorded once for each of them.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// The events of one type that one site ([`site_of`]) causes in [`REPEAT_AFTER`], for all its networks and all users
/// together.
const MAX_OF_SITE: u32 = 20;

/// The most clients and users that are remembered for [`REPEAT_AFTER`], and the most sites. When there are more, all
/// are forgotten.
const MAX_REMEMBERED: usize = 8_192;

/// An event in the queue of the store.
#[derive(Clone, Debug)]
pub(super) struct QueuedEvent {
    pub(super) class: EventClass,
    pub(super) user: Option<UserId>,
    pub(super) record: Arc<EventRecord>,
    /// True if it is for the list of the fleet, and not only for that of the user.
    pub(super) is_for_fleet: bool,
    /// True if it is for the webhook.
    pub(super) is_for_webhook: bool,
}

/// The relation of an event to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// It repeats none of them.
    None,
    /// Its site has caused [`MAX_OF_SITE`] of its type, which concern other users or networks.
    OfSite,
    /// The same happened to the same user or client less than [`REPEAT_AFTER`] ago.
    OfSubject,
}

/// The recorded events of those types that one client or user can cause in any number.
#[derive(Default)]
struct Recorded {
    /// When the last event with these properties was recorded.
    subjects: HashMap<String, Timestamp>,
    /// For each type and site, the beginning of the present [`REPEAT_AFTER`], and the number of events in it.
    sites: HashMap<(EventType, Option<IpAddr>), (Timestamp, u32)>,
}

/// The queues of one process.
pub struct Recorder {
    process: &'static str,
    metrics: Arc<Metrics>,
    to_store: mpsc::Sender<QueuedEvent>,
    /// Locked by the task that writes.
    pub(super) queued: tokio::sync::Mutex<mpsc::Receiver<QueuedEvent>>,
    /// Events that were queued and are neither stored nor lost yet.
    pub(super) pending: AtomicUsize,
    to_webhook: Option<mpsc::Sender<Arc<EventRecord>>>,
    for_webhook: Mutex<Option<mpsc::Receiver<Arc<EventRecord>>>>,
    recorded: Mutex<Recorded>,
    /// Changes when events were written, and holds true once this process stops.
    pub(super) written: watch::Sender<bool>,
}

impl Recorder {
    /// The recorder of a process. `process`: the actor of events that no request caused.
    pub fn new(process: &'static str, metrics: Arc<Metrics>, has_webhook: bool) -> Self {
        let (to_store, queued) = mpsc::channel(QUEUE);
        let (to_webhook, for_webhook) = has_webhook.then(|| mpsc::channel(QUEUE)).unzip();
        Self {
            process,
            metrics,
            to_store,
            queued: tokio::sync::Mutex::new(queued),
            pending: AtomicUsize::new(0),
            to_webhook,
            for_webhook: Mutex::new(for_webhook),
            recorded: Mutex::default(),
            written: watch::Sender::new(false),
        }
    }

    /// The actor of events that no request caused.
    pub(super) fn process(&self) -> &'static str {
        self.process
    }

    /// Takes the queue of events for the webhook, if there is one and it is not taken.
    pub fn take_webhook_queue(&self) -> Option<mpsc::Receiver<Arc<EventRecord>>> {
        self.for_webhook.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives the queue back, so that it can be taken again.
    pub fn return_webhook_queue(&self, queue: mpsc::Receiver<Arc<EventRecord>>) {
        *self.for_webhook.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
    }

    /// Ends the waits of [`super::list()`], because this process stops.
    pub fn close(&self) {
        self.written.send_replace(true);
    }

    pub(super) fn queue(&self, event: QueuedEvent) {
        let class = event.class;
        if let Some(webhook) = self.to_webhook.as_ref().filter(|_| event.is_for_webhook)
            && (!has_place(webhook, class) || webhook.try_send(event.record.clone()).is_err())
        {
            self.metrics.count(Counter::WebhookEventsLost);
        }
        self.pending.fetch_add(1, Ordering::Relaxed);
        if !has_place(&self.to_store, class) || self.to_store.try_send(event).is_err() {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.metrics.count(Counter::AuditEventsLost);
        }
    }

    /// Compares the event with earlier ones and remembers it, if one client or user can cause any number of its type.
    /// Another reason, limit or list of changed fields makes it another event, so that nobody can hide one behind
    /// another. Without a user, `network` counts and not the address: a client can choose any address in its IPv6 /64.
    pub(super) fn check_repetition(
        &self,
        event_type: EventType,
        record: &EventRecord,
        network: Option<IpAddr>,
        now: Timestamp,
    ) -> Repetition {
        let is_unlimited = match event_type {
            EventType::LimitExceeded => true,
            // Every action of an administrator on a user is recorded.
            EventType::ReauthenticationRefused | EventType::TokenRevoked | EventType::UserUpdated => {
                record.actor.is_none()
            }
            _ => false,
        };
        if !is_unlimited {
            return Repetition::None;
        }
        let network_text = || network.map(|network| network.to_string());
        let subject = record.user.as_ref().map(|user| user.id.clone()).or_else(network_text).unwrap_or_default();
        let detail = |name: &str| record.details.get(name).map(ToString::to_string).unwrap_or_default();
        let (limit, changed) = (detail("limit"), detail("changed"));
        let reason = record.reason.as_deref().unwrap_or_default();
        let key = format!("{} {reason} {limit} {changed} {subject}", event_type.name());
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let Recorded { subjects, sites } = &mut *recorded;
        // Not one in the future: a clock that was set back would hide events until it has come.
        let is_recent = |at: Timestamp| now.since(at).max(at.since(now)) < REPEAT_AFTER;
        if subjects.get(&key).is_some_and(|at| is_recent(*at)) {
            return Repetition::OfSubject;
        }
        if subjects.len() >= MAX_REMEMBERED {
            subjects.clear();
        }
        subjects.insert(key, now);
        if sites.len() >= MAX_REMEMBERED {
            sites.clear();
        }
        let (began, count) = sites.entry((event_type, network.map(site_of))).or_insert((now, 0));
        if !is_recent(*began) {
            (*began, *count) = (now, 0);
        }
        *count += 1;
        if *count > MAX_OF_SITE { Repetition::OfSite } else { Repetition::None }
    }
}

/// Returns true if an event of this class may take one of the free places of a queue.
fn has_place<T>(queue: &mpsc::Sender<T>, class: EventClass) -> bool {
    let left_to_others = match class {
        EventClass::Attempt => FOR_ACTIONS,
        EventClass::Action => FOR_PRIVILEGED,
        EventClass::Privileged => 0,
    };
    queue.capacity() > left_to_others
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::auth::audit::event::{Event, Origin};

    #[test]
    fn clock_that_is_set_back_hides_no_event() {
        let metrics = Metrics::new::<&str>(&[], Timestamp::default());
        let recorder = Recorder::new("node", Arc::new(metrics), false);
        let repetition = |user: u32, now: Timestamp| {
            let user = Some(UserId(Uuid::from_u128(user.into())));
            let event = Event::limit_exceeded("api_key_account", user, Duration::ZERO, Origin::process());
            let record = event.into_record(String::new(), now, recorder.process());
            recorder.check_repetition(EventType::LimitExceeded, &record, None, now)
        };
        let now = Timestamp::from_secs(1_763_130_330);
        for user in 0..MAX_OF_SITE {
            assert_eq!(repetition(user, now), Repetition::None);
        }
        assert_eq!(repetition(MAX_OF_SITE, now), Repetition::OfSite);
        let earlier = now - Duration::from_secs(3600);
        assert_eq!(repetition(0, earlier), Repetition::None);
        assert_eq!(repetition(0, earlier - Duration::from_millis(1)), Repetition::OfSubject);
    }

    #[test]
    fn attempts_and_actions_leave_places_to_the_others() {
        let metrics = Arc::new(Metrics::new::<&str>(&[], Timestamp::default()));
        let recorder = Recorder::new("system", metrics.clone(), true);
        let queue = |event_type: EventType| {
            let record =
                Event::new(event_type, Origin::process()).into_record("1".to_owned(), Timestamp::default(), "");
            recorder.queue(QueuedEvent {
                class: event_type.class(),
                user: None,
                record: Arc::new(record),
                is_for_fleet: true,
                is_for_webhook: true,
            });
        };
        let lost = || [Counter::AuditEventsLost, Counter::WebhookEventsLost].map(|counter| metrics.value(counter));
        for (number, event_type, places) in [
            (0, EventType::SignInRefused, QUEUE - FOR_ACTIONS),
            (1, EventType::SignInSucceeded, FOR_ACTIONS - FOR_PRIVILEGED),
            (2, EventType::SuperuserGranted, FOR_PRIVILEGED),
        ] {
            (0..places).for_each(|_| queue(event_type));
            assert_eq!(lost(), [number; 2], "{event_type:?}");
            queue(event_type);
            assert_eq!(lost(), [number + 1; 2], "{event_type:?}");
        }
        let mut webhook = recorder.take_webhook_queue().unwrap();
        let sent: Vec<_> = std::iter::from_fn(|| webhook.try_recv().ok()).collect();
        assert_eq!((sent.len(), sent.last().unwrap().event_type.as_str()), (QUEUE, "superuser.granted"));
    }
}
