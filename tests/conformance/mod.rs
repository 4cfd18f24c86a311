//! The suites that every implementation of a store role passes: [`accounts`] and [`ephemeral`].
//!
//! A suite knows only its role's trait. It consists of cases, each an `async fn` that gets an empty store, and of one
//! list of them, from which a macro makes a test of every case for every implementation. A case that is missing from
//! the list is dead code, which the compiler reports.

pub(crate) mod accounts;
mod ephemeral;

use std::future::Future;
use std::time::Duration;

use signet::store::ephemeral::{Cursor, Revocation};
use signet::store::{self, Ephemeral};

/// Reads the stream of revocations without positions.
pub(crate) trait Follow {
    /// The revocations after `cursor`, and the cursor after them.
    async fn follow(&self, cursor: &Cursor, max_wait: Duration) -> store::Result<(Vec<Revocation>, Cursor)>;
}

impl<S: Ephemeral + ?Sized> Follow for S {
    async fn follow(&self, cursor: &Cursor, max_wait: Duration) -> store::Result<(Vec<Revocation>, Cursor)> {
        let page = self.read_stream(cursor, max_wait).await?;
        Ok((page.entries.into_iter().map(|entry| entry.revocation).collect(), page.cursor))
    }
}

/// Calls `call` with 0, 1, … `count - 1`, each on a task of its own, and returns the results in that order.
async fn run_concurrently<T, F>(count: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(call(number))).collect();
    let mut results = Vec::with_capacity(count);
    for task in tasks {
        results.push(task.await.expect("no caller panics"));
    }
    results
}
