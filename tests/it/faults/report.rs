//! The figures of one fault, and the line that prints them.

use std::time::{Duration, Instant};

use serde_json::json;

use super::traffic::{Call, Outcome};
use super::{ALL_CALLS, MEMORY_CALLS, long, traffic};

/// The figures of one fault.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    /// From the end of the fault to the last 503.
    pub(super) recovery: Duration,
    /// From the end of the fault until every call has succeeded; none if one has not.
    pub(super) full_recovery: Option<Duration>,
    /// The number of 503 responses, and their times.
    pub(super) unavailable: usize,
    pub(super) unavailable_median: Duration,
    pub(super) unavailable_max: Duration,
    /// The call of the slowest 503.
    slowest_call: String,
    pub(super) succeeded: usize,
    /// The number of requests without a response.
    pub(super) lost: usize,
    /// The 99th percentile of calls that need no store, before and during the fault.
    pub(super) memory_before: Duration,
    pub(super) memory_during: Duration,
    /// The same for calls that need only the store that has not failed.
    other_store_before: Duration,
    other_store_during: Duration,
    summary: String,
}

impl Report {
    /// `other_store_calls`: the calls that need only the store that has not failed.
    pub(super) fn new(
        name: &str,
        outcomes: &[Outcome],
        (began, ended): (Instant, Instant),
        other_store_calls: &[Call],
    ) -> Self {
        let unavailable: Vec<_> = outcomes.iter().filter(|outcome| outcome.status == 503).collect();
        let last = unavailable.iter().map(|outcome| outcome.sent_at + outcome.duration).max();
        let recovery = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(ended));
        let slowest = unavailable.iter().max_by_key(|outcome| outcome.duration);
        let times = unavailable.iter().map(|outcome| outcome.duration).collect::<Vec<_>>();
        let p99 = |calls: &[Call], from: Option<Instant>, to: Instant| {
            let within = |it: &&Outcome| from.is_none_or(|from| it.sent_at >= from) && it.sent_at < to;
            let matching = outcomes.iter().filter(|it| calls.contains(&it.call) && it.succeeded()).filter(within);
            percentile(99, matching.map(|it| it.duration).collect())
        };
        let recovery_of = |call: Call| {
            let after = outcomes.iter().filter(|it| it.call == call && it.succeeded() && it.sent_at >= ended);
            after.map(|it| it.sent_at + it.duration - ended).min()
        };
        Self {
            name: name.to_owned(),
            recovery,
            full_recovery: ALL_CALLS
                .into_iter()
                .map(recovery_of)
                .try_fold(Duration::ZERO, |longest, recovery| Some(longest.max(recovery?))),
            unavailable: unavailable.len(),
            unavailable_median: percentile(50, times.clone()),
            unavailable_max: percentile(100, times),
            slowest_call: slowest.map(|outcome| format!("{:?}", outcome.call)).unwrap_or_default(),
            succeeded: outcomes.iter().filter(|outcome| outcome.succeeded()).count(),
            lost: outcomes.iter().filter(|outcome| outcome.status == 0).count(),
            memory_before: p99(&MEMORY_CALLS, None, began),
            memory_during: p99(&MEMORY_CALLS, Some(began), ended),
            other_store_before: p99(other_store_calls, None, began),
            other_store_during: p99(other_store_calls, Some(began), ended),
            summary: traffic::summary(outcomes),
        }
    }

    /// In the long form, asserts that calls without a store are at most twice as slow during the fault. The short form
    /// runs on a shared machine, where other programs influence the times.
    pub(super) fn assert_memory_calls_are_fast(&self) -> &Self {
        let fast = self.memory_during <= self.memory_before * 2;
        assert!(!long() || fast, "{}: calls that need no store are slow: {self:?}", self.name);
        self
    }

    /// The same for calls that need only the store that has not failed.
    pub(super) fn assert_other_store_calls_are_fast(&self) {
        let fast = self.other_store_during <= self.other_store_before * 2;
        assert!(!long() || fast, "{}: calls that need only the other store are slow: {self:?}", self.name);
    }

    pub(super) fn print(&self) {
        let line = json!({
            "row": self.name,
            "recovery_ms": as_millis(self.recovery),
            "full_recovery_ms": self.full_recovery.map(as_millis),
            "unavailable": self.unavailable,
            "unavailable_median_ms": as_millis(self.unavailable_median),
            "unavailable_max_ms": as_millis(self.unavailable_max),
            "unavailable_slowest_call": self.slowest_call,
            "succeeded": self.succeeded,
            "lost": self.lost,
            "memory_p99_before_ms": as_millis(self.memory_before),
            "memory_p99_during_ms": as_millis(self.memory_during),
            "other_store_p99_before_ms": as_millis(self.other_store_before),
            "other_store_p99_during_ms": as_millis(self.other_store_during),
        });
        println!("fault {line}\n  {}", self.summary);
    }
}

/// A percentile; zero if there are no times.
pub(super) fn percentile(percent: usize, mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Milliseconds, rounded to a tenth.
pub(super) fn as_millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
