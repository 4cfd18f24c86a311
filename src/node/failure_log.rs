//! Bounds the log lines of failed requests: while a store is down, anyone can cause as many failures as they send
//! requests. Knows nothing of requests.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time for which lines are counted, and the time between two reports of those that were left out.
const INTERVAL: Duration = Duration::from_secs(1);

/// The most lines in an interval. Enough to see which calls fail and why, at three kilobytes a second.
const LINES: u32 = 10;

/// Counts the failures of one listener.
#[derive(Default)]
pub(super) struct FailureLog(Mutex<Failures>);

#[derive(Default)]
struct Failures {
    interval_began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl FailureLog {
    /// Counts a failure. Returns true if it gets a line of its own.
    pub(super) fn admit(&self, now: Instant) -> bool {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.interval_began.is_none_or(|began| now.saturating_duration_since(began) >= INTERVAL) {
            (failures.interval_began, failures.lines) = (Some(now), 0);
        }
        if failures.lines < LINES {
            failures.lines += 1;
            return true;
        }
        failures.left_out += 1;
        false
    }

    /// Logs how many failures got no line of their own, if there were any. Never returns.
    pub(super) async fn report(&self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let count = self.take_left_out();
            if count > 0 {
                tracing::error!(count, "more requests failed");
            }
        }
    }

    fn take_left_out(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_ten_in_a_second_are_counted() {
        let (log, now) = (FailureLog::default(), Instant::now());
        let admitted = (0..25).filter(|_| log.admit(now)).count();
        assert_eq!((admitted, log.take_left_out()), (10, 15));
        assert!(!log.admit(now + INTERVAL / 2));
        assert!(log.admit(now + INTERVAL));
        assert_eq!((log.take_left_out(), log.take_left_out()), (1, 0));
    }
}
