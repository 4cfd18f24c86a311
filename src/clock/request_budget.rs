//! The time budget of one piece of work, such as a request: the time it waits for dependencies is added up, so that
//! three calls do not wait three times as long as one.
//!
//! Each call states the budget for the whole piece of work. Work without a shared budget, such as maintenance, has the
//! full time for each call.

use std::cell::Cell;
use std::time::{Duration, Instant};

tokio::task_local! {
    static WAITED: Cell<Duration>;
}

/// Runs a piece of work whose waits are added up.
pub fn with_budget<F: Future>(work: F) -> impl Future<Output = F::Output> {
    WAITED.scope(Cell::default(), work)
}

/// Runs a part of the current piece of work in another task. Its sum starts with what has been waited so far.
pub fn continue_budget<F: Future>(work: F) -> impl Future<Output = F::Output> {
    WAITED.scope(Cell::new(waited()), work)
}

/// The part of `budget` that is not used up.
pub fn remaining(budget: Duration) -> Duration {
    budget.saturating_sub(waited())
}

/// Awaits `call` and adds the time it takes to the sum.
pub async fn wait<F: Future>(call: F) -> F::Output {
    let began = Instant::now();
    let output = call.await;
    let _ = WAITED.try_with(|waited| waited.set(waited.get() + began.elapsed()));
    output
}

fn waited() -> Duration {
    WAITED.try_with(Cell::get).unwrap_or_default()
}
