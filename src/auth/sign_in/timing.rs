//! Answers on a beat that began with the question, and not when they are ready.
//!
//! For an address that has an account, as much is read, written and hashed as for one that has none. Yet a row that is there takes longer
//! to read than one that is not, a mail that is queued wakes the thread that sends it, and with few cores what that thread does
//! next is felt too: 0.03 to 0.4 ms of 0.6 (two cores, Redis and Postgres, not optimised), which two hundred samples tell apart.
//! Knows nothing of what is asked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// For what is asked for by mail: longer than that takes, unless a store is slow.
const ASKED: Duration = Duration::from_millis(25);

/// For a wrong name or password, and for one that was tried too often: a fraction of what a hash takes, and many times what there is to
/// tell.
const REFUSED: Duration = Duration::from_millis(5);

/// Does what somebody asks for by mail, and gives what came of it on the beat.
pub(in crate::auth) async fn respond_on_step<T>(operation: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = operation.await;
    beat(begun, ASKED).await;
    done
}

/// Waits for the beat before somebody who was not recognised is told so.
pub(in crate::auth) async fn delay_refusal(begun: Instant) {
    beat(begun, REFUSED).await;
}

async fn beat(begun: Instant, beat: Duration) {
    sleep(rest(begun.elapsed(), beat)).await;
}

/// How long until a whole number of beats will have passed.
fn rest(passed: Duration, beat: Duration) -> Duration {
    let over = passed.as_micros() % beat.as_micros();
    beat - Duration::from_micros(over as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_between_two_beats_waits_for_the_next() {
        for (passed, waits) in [(0, 5_000), (1, 4_999), (4_999, 1), (5_000, 5_000), (12_300, 2_700)] {
            let rest = rest(Duration::from_micros(passed), Duration::from_millis(5));
            assert_eq!(rest, Duration::from_micros(waits), "{passed}");
        }
    }
}
