//! The time by which expired revocations are removed. If the clock of this machine is ahead for a while, as after a
//! wrong answer of a time server, nothing may be missing when it is right again. Knows nothing of revocations.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// Follows the clock of this machine, but a jump ahead only after a delay. With the time for which a revocation is kept
/// as the delay, every revocation from before the jump has really expired by then.
#[derive(Debug)]
pub struct RemovalTime {
    delay: Duration,
    /// The readings within the delay, oldest first: when each was made on the monotonic clock, and how far the clock of
    /// the machine was ahead of that, in milliseconds.
    readings: VecDeque<(Duration, i64)>,
}

impl RemovalTime {
    /// Without a reading yet.
    pub fn new(delay: Duration) -> Self {
        Self { delay, readings: VecDeque::new() }
    }

    /// The time now. `monotonic` and `now` are read at the same moment. Each reading takes memory until the delay is
    /// over, so this is for a task that runs once a minute.
    pub fn read(&mut self, monotonic: Duration, now: Timestamp) -> Timestamp {
        while self.readings.front().is_some_and(|(at, _)| *at + self.delay <= monotonic) {
            self.readings.pop_front();
        }
        let monotonic_millis = i64::try_from(monotonic.as_millis()).unwrap_or(i64::MAX);
        let lead = now.millis().saturating_sub(monotonic_millis);
        self.readings.push_back((monotonic, lead));
        let smallest = self.readings.iter().fold(lead, |smallest, (_, lead)| smallest.min(*lead));
        Timestamp::from_millis(monotonic_millis.saturating_add(smallest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const START: Timestamp = Timestamp::from_secs(1_763_130_320);

    /// Reads each minute from `began` to `ended`, while the clock is ahead by `lead`. Returns the last time.
    fn read(time: &mut RemovalTime, began: Duration, ended: Duration, lead: Duration) -> Timestamp {
        let (mut at, mut last) = (began, Timestamp::default());
        while at <= ended {
            last = time.read(at, START + at + lead);
            at += MINUTE;
        }
        last
    }

    #[test]
    fn a_right_clock_is_followed() {
        let mut time = RemovalTime::new(HOUR);
        assert_eq!(read(&mut time, Duration::ZERO, 3 * HOUR, Duration::ZERO), START + 3 * HOUR);
        assert!(time.readings.len() <= 61);
    }

    #[test]
    fn a_jump_ahead_is_followed_after_the_delay() {
        let mut time = RemovalTime::new(HOUR);
        time.read(Duration::ZERO, START);
        assert_eq!(read(&mut time, MINUTE, HOUR - MINUTE, 10 * HOUR), START + HOUR - MINUTE);
        assert_eq!(time.read(HOUR, START + 11 * HOUR), START + 11 * HOUR);
    }

    #[test]
    fn a_clock_that_is_right_again_is_followed_at_once() {
        let mut time = RemovalTime::new(HOUR);
        assert_eq!(time.read(Duration::ZERO, START + 10 * HOUR), START + 10 * HOUR);
        assert_eq!(time.read(MINUTE, START + MINUTE), START + MINUTE);
    }
}
