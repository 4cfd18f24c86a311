//! Pauses between attempts: longer after each failure, and random, so that many followers of a server that returns do
//! not all ask at the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// Not longer, because a follower is stale until it has asked a server that has returned. While the server works, a
/// follower asks as often.
const LONGEST: Duration = Duration::from_secs(2);

/// The pauses after successive failures.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after another failure: between half of the current length and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let length = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        length / 2 + random_part(length / 2)
    }

    /// The number of failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random part of a duration; all of it if there is no randomness.
pub(super) fn random_part(of: Duration) -> Duration {
    let mut random = [0; 2];
    let share = match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u32::from(u16::from_le_bytes(random)),
        Err(_) => u32::from(u16::MAX),
    };
    of * share / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut backoff = Backoff::default();
        for longest in [100, 200, 400, 800, 1600, 2000, 2000] {
            let (pause, longest) = (backoff.next(), Duration::from_millis(longest));
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} {longest:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
