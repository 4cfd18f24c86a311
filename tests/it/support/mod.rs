//! The servers that tests start for themselves: real ones, each on a free port and in a folder of its own.

pub(crate) mod postgres;
//! Starters of the processes that tests need. Each dies with the test that started it.

pub(crate) mod redis;

use std::time::{Duration, Instant};

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not within `patience`.
#[track_caller]
pub(crate) fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
