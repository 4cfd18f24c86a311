//! The metrics and the page that Prometheus reads.
//!
//! Routes and store operations are numbered at start, so counting a request is a few additions to cells whose index is
//! computed, not looked up. Figures that other modules keep themselves are passed in as a [`Snapshot`]. Knows nothing
//! of HTTP types.

mod counters;
mod exposition;
mod history;
mod process;
mod sharded_counter;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub use counters::Counter;
use exposition::Exposition;
use history::History;
pub use history::{RouteTraffic, SAMPLE_INTERVAL, TrafficPoint};
pub use sharded_counter::LocalHistogram;
use sharded_counter::{HISTOGRAM, Histogram, ShardedCounter};

use super::Page;
use super::health::Readiness;
use crate::clock::Timestamp;
use crate::config::LimitedAction;
use crate::store::{self, Observer, Operation};

/// The statuses that the server sends, each with a cell of its own. A route's last status cell counts all others.
const STATUSES: [u16; 26] = [
    200, 201, 202, 204, 206, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 428, 429, 431, 500,
    502, 503, 504,
];

/// Cells before those of the routes: the counters, and one for each limit.
const FIRST_ROUTE: usize = Counter::COUNT + LimitedAction::REPORTED.len();

/// Cells of a route: its statuses, any other status, and the histogram of its durations.
const ROUTE_CELLS: usize = STATUSES.len() + 1 + HISTOGRAM;

/// Cells of a store operation: `unavailable` errors, `corrupt` errors, and the histogram of its durations.
const OPERATION_CELLS: usize = 2 + HISTOGRAM;

/// Bytes that this process buffers for its clients, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferedBytes {
    /// Request bodies of the usual size that arrive in pieces or are larger than 4 KiB.
    pub bodies: usize,
    /// Larger request bodies, and responses of that size that are not written yet.
    pub large_bodies: usize,
    /// Unfinished TLS handshakes, request heads, HTTP/2 streams, and responses of the usual size that are not written
    /// yet.
    pub connections: usize,
}

/// Figures that other modules keep, at the moment the page is made.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The password hashing queue.
    pub hashing: Hashing,
    /// Number of revocations in memory.
    pub revocations: u64,
    /// When the revocation stream last answered.
    pub revocations_fresh_at: Option<Timestamp>,
    /// When the signing key started to sign.
    pub signing_since: Option<Timestamp>,
    /// The age at which the next key takes over.
    pub signing_key_max_age: Duration,
    /// Number of lost log lines.
    pub log_lines_lost: u64,
    /// Bytes buffered for clients.
    pub buffered: BufferedBytes,
    /// The published revocation feed.
    pub revocation_feed: RevocationFeed,
    /// The time for which the oldest mail in the queue has waited; zero if there is none.
    pub oldest_mail: Duration,
    /// Bytes that can still be written to `data_dir`, if the system tells.
    pub disk_free: Option<u64>,
}

/// The size of the published revocation feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevocationFeed {
    /// Entries for followers that have fallen behind.
    pub history: usize,
    /// Entries of the last snapshot.
    pub snapshot_entries: usize,
    /// Bytes of the last snapshot, plain and compressed.
    pub snapshot_bytes: usize,
}

/// State of password hashing. `waiting`, `running` and `held` are current; the others count since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashing {
    /// Hashes waiting now.
    pub waiting: usize,
    /// Hashes running now.
    pub running: usize,
    /// Requests held now because the queue is full.
    pub held: usize,
    /// Hashes completed.
    pub done: u64,
    /// Hashes refused because the queue was full.
    pub shed_full: u64,
    /// Hashes that missed their deadline in the queue.
    pub shed_late: u64,
    /// Hashes whose caller had gone when their turn came.
    pub abandoned: u64,
    /// Jobs started at the priority of the process, because other programs use the processor.
    pub raised: u64,
    /// Waiting times of hashes that ran.
    pub waits: LocalHistogram,
    /// Total running time.
    pub worked: Duration,
}

impl Hashing {
    /// Requests refused since start, because the queue was full or they missed their deadline.
    pub fn refused(&self) -> u64 {
        self.shed_full + self.shed_late
    }
}

/// The metrics of this process.
pub struct Metrics {
    cells: ShardedCounter,
    routes: Box<[Box<str>]>,
    started: Timestamp,
    /// When the TLS certificate in use expires, in seconds since 1970; [`NO_CERTIFICATE`] if there is none.
    certificate_expires: AtomicI64,
    history: History,
}

/// The value of [`Metrics::certificate_expires`] without TLS.
const NO_CERTIFICATE: i64 = i64::MIN;

impl Observer for Metrics {
    fn observe(&self, operation: Operation, error: Option<&store::Error>, elapsed: Option<Duration>) {
        let first = self.operation(operation);
        match error {
            Some(store::Error::Unavailable { .. }) => self.cells.add(first, 1),
            Some(store::Error::Corrupt { .. }) => self.cells.add(first + 1, 1),
            None => {}
        }
        if let Some(elapsed) = elapsed {
            Histogram(first + 2).observe(&self.cells, elapsed);
        }
    }
}

impl Metrics {
    /// Creates the metrics, all zero. Requests are counted by the index of their route in `routes`.
    pub fn new<S: AsRef<str>>(routes: &[S], started: Timestamp) -> Self {
        let cells = FIRST_ROUTE + routes.len() * ROUTE_CELLS + Operation::ALL.len() * OPERATION_CELLS + HISTOGRAM;
        Self {
            cells: ShardedCounter::new(cells),
            routes: routes.iter().map(|route| route.as_ref().into()).collect(),
            started,
            certificate_expires: AtomicI64::new(NO_CERTIFICATE),
            history: History::default(),
        }
    }

    /// Counts a completed request.
    pub fn request_completed(&self, route: usize, status: u16, elapsed: Duration) {
        let first = self.route(route);
        let status_cell = STATUSES.binary_search(&status).unwrap_or(STATUSES.len());
        self.cells.add(first + status_cell, 1);
        Histogram(first + STATUSES.len() + 1).observe(&self.cells, elapsed);
    }

    /// Records that a task kept a worker's thread for that long.
    pub fn worker_stalled(&self, stall: Duration) {
        self.stalls().observe(&self.cells, stall);
    }

    /// Records when the TLS certificate in use expires.
    pub fn certificate_loaded(&self, expires: Timestamp) {
        self.certificate_expires.store(expires.secs(), Ordering::Relaxed);
    }

    /// Increments a counter or gauge.
    pub fn count(&self, counter: Counter) {
        self.cells.add(counter as usize, 1);
    }

    /// Decrements a gauge.
    pub fn decrement(&self, gauge: Counter) {
        self.cells.subtract(gauge as usize);
    }

    /// Counts a request that a limit refused. `limit`: one of [`LimitedAction::REPORTED`].
    pub fn limit_exceeded(&self, limit: &str) {
        if let Some(index) = LimitedAction::REPORTED.iter().position(|reported| *reported == limit) {
            self.cells.add(Counter::COUNT + index, 1);
        }
    }

    /// Renders `/metrics`.
    pub fn page(&self, snapshot: &Snapshot, readiness: &Readiness, now: Timestamp) -> Page {
        let mut page = Exposition::default();
        self.add_build(&mut page);
        self.add_requests(&mut page);
        self.add_stores(&mut page);
        self.add_verification(&mut page, snapshot, now);
        add_hashing(&mut page, &snapshot.hashing);
        counters::add_to(&mut page, &self.cells);
        self.add_limits(&mut page);
        page.gauge(
            "signet_mail_oldest_seconds",
            "Time for which the oldest queued mail has waited; 0 if there is none.",
        )
        .value(snapshot.oldest_mail.as_secs_f64());
        if let Some(free) = snapshot.disk_free {
            page.gauge("signet_disk_free_bytes", "Bytes that can still be written to data_dir.").value(free);
        }
        let expires = self.certificate_expires.load(Ordering::Relaxed);
        if expires != NO_CERTIFICATE {
            page.gauge("signet_tls_certificate_expiry_timestamp_seconds", "When the TLS certificate in use expires.")
                .value(expires);
        }
        page.histogram("signet_worker_stall_seconds", "Time for which one task kept a worker's thread, from 1 ms.")
            .buckets(&[], self.stalls().read(&self.cells));
        let mut buffered = page.gauge("signet_buffered_bytes", "Bytes buffered for clients.");
        buffered.labelled(&[("kind", "bodies")], snapshot.buffered.bodies);
        buffered.labelled(&[("kind", "large_bodies")], snapshot.buffered.large_bodies);
        buffered.labelled(&[("kind", "connections")], snapshot.buffered.connections);
        let mut ready = page.gauge("signet_ready", "1 if a condition for receiving requests holds, otherwise 0.");
        for (condition, reason) in readiness.conditions() {
            ready.labelled(&[("condition", condition.name())], u8::from(reason.is_none()));
        }
        page.counter("signet_log_lines_lost_total", "Log lines lost because they could not be written fast enough.")
            .value(snapshot.log_lines_lost);
        process::add_to(&mut page);
        Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body: page.finish() }
    }

    fn add_build(&self, page: &mut Exposition) {
        page.gauge("signet_build_info", "Always 1. The label has the version.")
            .labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.gauge("process_start_time_seconds", "Start time of the process in seconds since the epoch.")
            .value(self.started.millis() as f64 / 1e3);
    }

    fn add_limits(&self, page: &mut Exposition) {
        let mut refused = page.counter("signet_rate_limited_total", "Requests that a limit refused, by its setting.");
        for (index, limit) in LimitedAction::REPORTED.iter().enumerate() {
            refused.labelled(&[("limit", limit)], self.cells.sum(Counter::COUNT + index));
        }
    }

    fn add_requests(&self, page: &mut Exposition) {
        let mut requests = page.counter("signet_http_requests_total", "Completed requests.");
        for (number, route) in self.routes.iter().enumerate() {
            let statuses = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
            for (index, status) in statuses.enumerate() {
                let count = self.cells.sum(self.route(number) + index);
                // Most routes never send most statuses.
                if count > 0 {
                    requests.labelled(&[("route", route), ("status", &status)], count);
                }
            }
        }
        let mut took =
            page.histogram("signet_http_request_duration_seconds", "Time from a request's head to its response.");
        for (number, route) in self.routes.iter().enumerate() {
            let histogram = Histogram(self.route(number) + STATUSES.len() + 1);
            took.buckets(&[("route", route)], histogram.read(&self.cells));
        }
    }

    fn add_stores(&self, page: &mut Exposition) {
        let mut failed = page.counter("signet_store_errors_total", "Failed store operations.");
        for &operation in Operation::ALL {
            for (index, kind) in ["unavailable", "corrupt"].into_iter().enumerate() {
                let labels = [("store", operation.role()), ("operation", operation.name()), ("kind", kind)];
                let count = self.cells.sum(self.operation(operation) + index);
                if count > 0 {
                    failed.labelled(&labels, count);
                }
            }
        }
        let mut took = page.histogram("signet_store_duration_seconds", "Duration of store operations.");
        for &operation in Operation::ALL {
            let histogram = Histogram(self.operation(operation) + 2);
            let labels = [("store", operation.role()), ("operation", operation.name())];
            took.buckets(&labels, histogram.read(&self.cells));
        }
    }

    fn add_verification(&self, page: &mut Exposition, snapshot: &Snapshot, now: Timestamp) {
        page.gauge("signet_revocations", "Revocations in memory.").value(snapshot.revocations);
        if let Some(fresh_at) = snapshot.revocations_fresh_at {
            page.gauge("signet_revocation_lag_seconds", "Time since the revocation stream last answered.")
                .value(now.since(fresh_at).as_secs_f64());
        }
        let feed = &snapshot.revocation_feed;
        page.gauge("signet_revocation_feed_history", "Entries that the published revocation feed keeps.")
            .value(feed.history);
        page.gauge("signet_revocation_feed_snapshot_entries", "Entries of the last published snapshot.")
            .value(feed.snapshot_entries);
        page.gauge(
            "signet_revocation_feed_snapshot_bytes",
            "Bytes of the last published snapshot, plain and compressed together.",
        )
        .value(feed.snapshot_bytes);
        if let Some(since) = snapshot.signing_since {
            page.gauge("signet_signing_key_age_seconds", "Time since the signing key started to sign.")
                .value(now.since(since).as_secs_f64());
        }
        page.gauge("signet_signing_key_max_age_seconds", "Age at which the next signing key takes over.")
            .value(snapshot.signing_key_max_age.as_secs_f64());
    }

    fn route(&self, route: usize) -> usize {
        FIRST_ROUTE + route * ROUTE_CELLS
    }

    fn operation(&self, operation: Operation) -> usize {
        FIRST_ROUTE + self.routes.len() * ROUTE_CELLS + operation as usize * OPERATION_CELLS
    }

    fn stalls(&self) -> Histogram {
        Histogram(FIRST_ROUTE + self.routes.len() * ROUTE_CELLS + Operation::ALL.len() * OPERATION_CELLS)
    }
}

fn add_hashing(page: &mut Exposition, hashing: &Hashing) {
    page.gauge("signet_hash_queue_waiting", "Password hashes waiting for a thread.").value(hashing.waiting);
    page.gauge("signet_hash_queue_running", "Password hashes running.").value(hashing.running);
    page.gauge(
        "signet_hash_queue_held",
        "Requests held for a moment before they are refused, because the queue is full.",
    )
    .value(hashing.held);
    page.counter("signet_hashes_total", "Password hashes completed.").value(hashing.done);
    let mut shed = page.counter("signet_hashes_shed_total", "Password hashes refused or abandoned.");
    shed.labelled(&[("reason", "queue_full")], hashing.shed_full);
    shed.labelled(&[("reason", "deadline")], hashing.shed_late);
    shed.labelled(&[("reason", "abandoned")], hashing.abandoned);
    page.counter(
        "signet_hash_priority_raised_total",
        "Hashing jobs run at the priority of the process, beside busy programs.",
    )
    .value(hashing.raised);
    page.histogram("signet_hash_wait_seconds", "Time that password hashes waited for a thread.")
        .buckets(&[], hashing.waits.read());
    page.counter("signet_hash_work_seconds_total", "Total time that password hashes ran.")
        .value(hashing.worked.as_secs_f64());
}
