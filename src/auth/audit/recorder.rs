//! The queue between the operations and what is slow: the store and the webhook. Recording never waits. An event that
//! finds a queue full is lost there and counted; the log still has it.
//!
//! A flood of refusals is bounded: of the events about one limit and one client or user, only the first in a minute is
//! stored and sent. The metrics count, and the log has, all of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::event::EventRecord;
use super::event_type::EventType;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;

/// Events that may wait for the store: some seconds of the most sign-ins that a node can hash.
const QUEUE: usize = 4_096;

/// The time in which one limit is reported once for each client or user.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Clients and users that are remembered for [`REPEAT_AFTER`]. When there are more, all are forgotten.
const MAX_REMEMBERED: usize = 8_192;

/// An event in the queue of the store.
#[derive(Clone, Debug)]
pub(super) struct QueuedEvent {
    pub(super) event_type: EventType,
    pub(super) user: Option<UserId>,
    pub(super) record: Arc<EventRecord>,
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
    reported: Mutex<HashMap<String, Timestamp>>,
    /// Changes when events were written, and holds true once this process stops.
    pub(super) written: watch::Sender<bool>,
}

impl Recorder {
    /// The recorder of a process. `process`: what its own events name as their actor.
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
            reported: Mutex::default(),
            written: watch::Sender::new(false),
        }
    }

    /// What events without a request name as their actor.
    pub(super) fn process(&self) -> &'static str {
        self.process
    }

    /// The queue of events for the webhook, if there is one; once.
    pub fn take_webhook_queue(&self) -> Option<mpsc::Receiver<Arc<EventRecord>>> {
        self.for_webhook.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends the waits of [`super::list`], because this process stops.
    pub fn close(&self) {
        self.written.send_replace(true);
    }

    pub(super) fn queue(&self, event: QueuedEvent) {
        if let Some(webhook) = &self.to_webhook
            && webhook.try_send(event.record.clone()).is_err()
        {
            self.metrics.count(Counter::WebhookEventsLost);
        }
        self.pending.fetch_add(1, Ordering::Relaxed);
        if self.to_store.try_send(event).is_err() {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.metrics.count(Counter::AuditEventsLost);
        }
    }

    /// True if the event about a limit repeats one that was queued less than [`REPEAT_AFTER`] ago.
    pub(super) fn is_repeated(&self, record: &EventRecord, now: Timestamp) -> bool {
        let subject = record.user.as_ref().map(|user| &user.id).or(record.client_ip.as_ref());
        let limit = record.details.get("limit").and_then(serde_json::Value::as_str).unwrap_or_default();
        let key = format!("{limit} {}", subject.map_or("", String::as_str));
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.get(&key).is_some_and(|at| now.since(*at) < REPEAT_AFTER) {
            return true;
        }
        if reported.len() >= MAX_REMEMBERED {
            reported.clear();
        }
        reported.insert(key, now);
        false
    }
}
