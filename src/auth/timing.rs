//! Rounds response times up to a fixed step, so that timing does not reveal whether an account exists.
//!
//! For a known and an unknown address the same is read, written and hashed. Yet a row that exists takes longer to read
//! than one that does not, a queued mail wakes the mail worker, and with few cores the worker's next steps delay the
//! response too. The difference was 0.03 to 0.4 ms of 0.6 ms (two cores, Redis and Postgres, unoptimized), which 200
//! samples reveal. Knows nothing of the operations.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The step for requests of mails: longer than they take, unless a store is slow.
const MAIL_STEP: Duration = Duration::from_millis(25);

/// The step for attempts that a counter of the account refuses: longer than a hash and its usual wait. Attempts from a
/// network that the owner signed in from are compared nevertheless (`crate::auth::rate_limit`). The response to a wrong
/// one is rounded up to the same step, so that its time does not reveal the comparison.
const LIMITED_STEP: Duration = Duration::from_millis(100);

/// Runs an operation that mails something, and returns its result at the next step.
pub(in crate::auth) async fn respond_on_step<T>(operation: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = operation.await;
    sleep_to_step(start, MAIL_STEP).await;
    result
}

/// Waits for the next step before a sign-in that began at `start` is refused. The default step of five milliseconds
/// (`passwords.refusal_step`) is a fraction of the time of a hash, and many times the difference to hide. Imported
/// hashes take another time, for which operators set a longer step.
pub(in crate::auth) async fn delay_refusal(start: Instant, step: Duration) {
    sleep_to_step(start, step).await;
}

/// Waits for the next step before an attempt that began at `start` is refused because a counter is exhausted.
pub(in crate::auth) async fn delay_limited(start: Instant) {
    sleep_to_step(start, LIMITED_STEP).await;
}

async fn sleep_to_step(start: Instant, step: Duration) {
    sleep(time_to_next_step(start.elapsed(), step)).await;
}

fn time_to_next_step(elapsed: Duration, step: Duration) -> Duration {
    let over = elapsed.as_micros() % step.as_micros();
    step - Duration::from_micros(over as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_waits_for_the_next_whole_step() {
        for (elapsed, waits) in [(0, 5_000), (1, 4_999), (4_999, 1), (5_000, 5_000), (12_300, 2_700)] {
            let wait = time_to_next_step(Duration::from_micros(elapsed), Duration::from_millis(5));
            assert_eq!(wait, Duration::from_micros(waits), "{elapsed}");
        }
    }
}
