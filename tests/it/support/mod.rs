//! Starters of the processes that tests need. Each dies with the test that started it.

pub(crate) mod embedded;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod signet;

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
