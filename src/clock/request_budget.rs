//! How long one piece of work, such as a request, waits for others: added up, so that who asks three times is not three times as late.
//!
//! What is waited for says how long it may take altogether. Work that nobody adds up, such as upkeep, has that long each time.

use std::cell::Cell;
use std::time::{Duration, Instant};

tokio::task_local! {
    static WAITED: Cell<Duration>;
}

/// Does a piece of work whose waits are added up.
pub fn with_budget<F: Future>(work: F) -> impl Future<Output = F::Output> {
    WAITED.scope(Cell::default(), work)
}

/// Part of this piece of work, for another task to do: it begins with what was waited so far.
pub fn continue_budget<F: Future>(work: F) -> impl Future<Output = F::Output> {
    WAITED.scope(Cell::new(waited()), work)
}

/// How much is left of this patience.
pub fn left(patience: Duration) -> Duration {
    patience.saturating_sub(waited())
}

/// Waits for an answer, and adds up how long that took.
pub async fn wait<F: Future>(answer: F) -> F::Output {
    let began = Instant::now();
    let answer = answer.await;
    let _ = WAITED.try_with(|waited| waited.set(waited.get() + began.elapsed()));
    answer
}

fn waited() -> Duration {
    WAITED.try_with(Cell::get).unwrap_or_default()
}
