//! What is counted, and the page on which Prometheus finds it.
//!
//! Routes and store calls are numbers known at the start, so counting a request is a few additions to cells whose place
//! is computed, not looked up. What other rooms count for themselves is handed in when the page is made. Knows nothing of HTTP types.

mod exposition;
mod process;
mod sharded_counter;
#[cfg(test)]
mod tests;

use std::time::Duration;

use exposition::Exposition;
use sharded_counter::{HISTOGRAM, Histogram, ShardedCounter};

use super::Page;
use super::health::Readiness;
use crate::clock::Timestamp;
use crate::store::{self, Observer, Operation};

/// The statuses that the server gives, each counted by itself; the last cell of a route counts any other.
const STATUSES: [u16; 26] = [
    200, 201, 202, 204, 206, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 428, 429, 431, 500,
    502, 503, 504,
];

/// The cells of a route: its statuses, any other status, and how long its requests took.
const ROUTE: usize = STATUSES.len() + 1 + HISTOGRAM;

/// The cells of a store call: how often the store was unavailable, held something corrupt, and how long calls took.
const CALL: usize = 2 + HISTOGRAM;

/// Single cells, before those of the routes.
#[derive(Clone, Copy)]
enum Cell {
    Connections,
    ConnectionsTotal,
    ConnectionsRefused,
    VerifyHit,
    VerifyMiss,
    VerifyKnownBad,
    MailQueued,
    MailTriedInVain,
    /// One for each of [`MailEnd::ALL`], in their order.
    MailEnds,
    Count = Cell::MailEnds as isize + MailEnd::ALL.len() as isize,
}

/// How a token's verification began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It had been found good before.
    Hit,
    /// It had been found bad before.
    KnownBad,
    /// It was not known.
    Miss,
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailEnd {
    /// It was taken.
    Sent,
    /// It was refused for good, or could not be made.
    Refused,
    /// It was of no use before it was taken.
    Expired,
    /// Who waited for it gave up.
    Withdrawn,
    /// There was no room in the queue, or no time left.
    Dropped,
    /// It was still in the queue when the server ended.
    Left,
}

impl MailEnd {
    const ALL: [Self; 6] = [Self::Sent, Self::Refused, Self::Expired, Self::Withdrawn, Self::Dropped, Self::Left];

    /// As the metrics and the log have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Dropped => "dropped",
            Self::Left => "left",
        }
    }
}

/// What other rooms count for themselves, at the moment the page is made.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The queue in front of the threads that hash passwords.
    pub hashing: Hashing,
    /// How many revocations are remembered.
    pub revocations: u64,
    /// When the store that spreads revocations last answered.
    pub revocations_heard: Option<Timestamp>,
    /// Since when the key that signs has been signing.
    pub signing_since: Option<Timestamp>,
    /// How many log lines were lost because nobody took them.
    pub log_lines_lost: u64,
}

/// How the threads that hash passwords are doing. What is not said to be of this moment counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashing {
    /// How many hashes wait at this moment.
    pub waiting: usize,
    /// How many are being made at this moment.
    pub running: usize,
    /// How many were made.
    pub done: u64,
    /// How many were turned away by a full queue.
    pub shed_full: u64,
    /// How many had waited too long when their turn came.
    pub shed_late: u64,
    /// How many had nobody waiting for them any more when their turn came.
    pub abandoned: u64,
    /// How long those waited that had their turn, together.
    pub waited: Duration,
    /// How long the work took, together.
    pub worked: Duration,
}

/// Everything that is counted.
pub struct Metrics {
    bank: ShardedCounter,
    routes: Box<[Box<str>]>,
    started: Timestamp,
}

impl Observer for Metrics {
    fn observe(&self, operation: Operation, error: Option<&store::Error>, elapsed: Option<Duration>) {
        let first = self.operation(operation);
        match error {
            Some(store::Error::Unavailable { .. }) => self.bank.add(first, 1),
            Some(store::Error::Corrupt { .. }) => self.bank.add(first + 1, 1),
            None => {}
        }
        if let Some(elapsed) = elapsed {
            Histogram(first + 2).observe(&self.bank, elapsed);
        }
    }
}

impl Metrics {
    /// All nought. Requests are counted by the place of their route in `routes`.
    pub fn new<S: AsRef<str>>(routes: &[S], started: Timestamp) -> Self {
        let cells = Cell::Count as usize + routes.len() * ROUTE + Operation::ALL.len() * CALL;
        Self {
            bank: ShardedCounter::new(cells),
            routes: routes.iter().map(|route| route.as_ref().into()).collect(),
            started,
        }
    }

    /// A request was answered.
    pub fn answered(&self, route: usize, status: u16, took: Duration) {
        let first = self.route(route);
        let place = STATUSES.binary_search(&status).unwrap_or(STATUSES.len());
        self.bank.add(first + place, 1);
        Histogram(first + STATUSES.len() + 1).observe(&self.bank, took);
    }

    /// A connection was opened.
    pub fn connection_opened(&self) {
        self.count(Cell::ConnectionsTotal);
        self.count(Cell::Connections);
    }

    /// A connection is no more.
    pub fn connection_closed(&self) {
        self.bank.take(Cell::Connections as usize);
    }

    /// A connection was turned away, because there are too many or because it could not be set up.
    pub fn connection_refused(&self) {
        self.count(Cell::ConnectionsRefused);
    }

    /// A token was looked up before it was verified.
    pub fn looked_up(&self, lookup: Lookup) {
        self.count(match lookup {
            Lookup::Hit => Cell::VerifyHit,
            Lookup::KnownBad => Cell::VerifyKnownBad,
            Lookup::Miss => Cell::VerifyMiss,
        });
    }

    /// A mail was put into the queue.
    pub fn mail_queued(&self) {
        self.count(Cell::MailQueued);
    }

    /// A mail is no more in the queue.
    pub fn mail_unqueued(&self) {
        self.bank.take(Cell::MailQueued as usize);
    }

    /// A mail was not taken and will be tried again.
    pub fn mail_tried_in_vain(&self) {
        self.count(Cell::MailTriedInVain);
    }

    /// What became of a mail.
    pub fn mail_ended(&self, end: MailEnd) {
        self.bank.add(Cell::MailEnds as usize + end as usize, 1);
    }

    /// `/metrics`.
    pub fn page(&self, gathered: &Snapshot, readiness: &Readiness, now: Timestamp) -> Page {
        let mut page = Exposition::default();
        self.add_build(&mut page);
        self.add_requests(&mut page);
        self.add_stores(&mut page);
        self.add_verification(&mut page, gathered, now);
        add_hashing(&mut page, &gathered.hashing);
        self.add_mail(&mut page);
        let mut ready = page.gauge("signet_ready", "Whether a condition for being sent requests holds.");
        for (condition, reason) in readiness.conditions() {
            ready.labelled(&[("condition", condition.name())], u8::from(reason.is_none()));
        }
        page.counter("signet_log_lines_lost_total", "Log lines lost because nobody took them fast enough.")
            .value(gathered.log_lines_lost);
        process::add_to(&mut page);
        Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body: page.finish() }
    }

    fn add_build(&self, page: &mut Exposition) {
        page.gauge("signet_build_info", "Always 1; the version is in the label.")
            .labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.")
            .value(self.started.millis() as f64 / 1e3);
    }

    fn add_requests(&self, page: &mut Exposition) {
        let mut requests = page.counter("signet_http_requests_total", "Requests answered.");
        for (number, route) in self.routes.iter().enumerate() {
            let statuses = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
            for (place, status) in statuses.enumerate() {
                let count = self.bank.sum(self.route(number) + place);
                // Most routes never give most statuses.
                if count > 0 {
                    requests.labelled(&[("route", route), ("status", &status)], count);
                }
            }
        }
        let mut took = page.histogram("signet_http_request_duration_seconds", "From a request's head to its answer.");
        for (number, route) in self.routes.iter().enumerate() {
            let histogram = Histogram(self.route(number) + STATUSES.len() + 1);
            took.buckets(&[("route", route)], histogram.read(&self.bank));
        }
        page.gauge("signet_connections", "Open connections.").value(self.sum(Cell::Connections));
        page.counter("signet_connections_total", "Connections accepted.").value(self.sum(Cell::ConnectionsTotal));
        page.counter("signet_connections_refused_total", "Connections turned away.")
            .value(self.sum(Cell::ConnectionsRefused));
    }

    fn add_stores(&self, page: &mut Exposition) {
        let mut failed = page.counter("signet_store_errors_total", "Store calls that failed.");
        for &operation in Operation::ALL {
            for (place, kind) in ["unavailable", "corrupt"].into_iter().enumerate() {
                let labels = [("store", operation.role()), ("operation", operation.name()), ("kind", kind)];
                failed.labelled(&labels, self.bank.sum(self.operation(operation) + place));
            }
        }
        let mut took = page.histogram("signet_store_duration_seconds", "How long store calls took.");
        for &operation in Operation::ALL {
            let histogram = Histogram(self.operation(operation) + 2);
            let labels = [("store", operation.role()), ("operation", operation.name())];
            took.buckets(&labels, histogram.read(&self.bank));
        }
    }

    fn add_verification(&self, page: &mut Exposition, gathered: &Snapshot, now: Timestamp) {
        let mut lookups = page.counter("signet_verify_cache_lookups_total", "Tokens looked up before verification.");
        lookups.labelled(&[("result", "hit")], self.sum(Cell::VerifyHit));
        lookups.labelled(&[("result", "known_bad")], self.sum(Cell::VerifyKnownBad));
        lookups.labelled(&[("result", "miss")], self.sum(Cell::VerifyMiss));
        page.gauge("signet_revocations", "Revocations remembered.").value(gathered.revocations);
        if let Some(heard) = gathered.revocations_heard {
            page.gauge(
                "signet_revocation_lag_seconds",
                "Since when nothing was heard from the store that spreads revocations.",
            )
            .value(now.since(heard).as_secs_f64());
        }
        if let Some(since) = gathered.signing_since {
            page.gauge("signet_signing_key_age_seconds", "How long the key that signs has been signing.")
                .value(now.since(since).as_secs_f64());
        }
    }

    fn add_mail(&self, page: &mut Exposition) {
        page.gauge("signet_mail_queue", "Mails waiting to be sent, or to be tried again.")
            .value(self.sum(Cell::MailQueued));
        page.counter("signet_mail_failed_tries_total", "Mails not taken that were to be tried again.")
            .value(self.sum(Cell::MailTriedInVain));
        let mut mails = page.counter("signet_mails_total", "Mails, by what became of them.");
        for end in MailEnd::ALL {
            mails.labelled(&[("end", end.name())], self.bank.sum(Cell::MailEnds as usize + end as usize));
        }
    }

    fn route(&self, route: usize) -> usize {
        Cell::Count as usize + route * ROUTE
    }

    fn operation(&self, operation: Operation) -> usize {
        Cell::Count as usize + self.routes.len() * ROUTE + operation as usize * CALL
    }

    fn count(&self, cell: Cell) {
        self.bank.add(cell as usize, 1);
    }

    fn sum(&self, cell: Cell) -> u64 {
        self.bank.sum(cell as usize)
    }
}

fn add_hashing(page: &mut Exposition, hashing: &Hashing) {
    page.gauge("signet_hash_queue_waiting", "Password hashes waiting for a thread.").value(hashing.waiting);
    page.gauge("signet_hash_queue_running", "Password hashes being made.").value(hashing.running);
    page.counter("signet_hashes_total", "Password hashes made.").value(hashing.done);
    let mut shed = page.counter("signet_hashes_shed_total", "Password hashes given up.");
    shed.labelled(&[("reason", "queue_full")], hashing.shed_full);
    shed.labelled(&[("reason", "deadline")], hashing.shed_late);
    shed.labelled(&[("reason", "abandoned")], hashing.abandoned);
    page.counter("signet_hash_wait_seconds_total", "How long password hashes waited, together.")
        .value(hashing.waited.as_secs_f64());
    page.counter("signet_hash_work_seconds_total", "How long password hashes took, together.")
        .value(hashing.worked.as_secs_f64());
}
