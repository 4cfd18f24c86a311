//! The suites that every implementation of a store passes. They know the roles alone, and begin from an empty store.
//!
//! A suite is a list of cases and one macro that makes a test of each: an implementation names its fixture and gets all
//! of them, so a case that is added is a case that all must pass.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite is a test, wherever it lives")]

pub mod accounts;
pub mod ephemeral;

use std::future::Future;

/// Runs `count` of them at once and gives their answers; that of the first to end comes first.
async fn together<T, F>(count: usize, mut make: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        tasks.spawn(make(number));
    }
    tasks.join_all().await
}
