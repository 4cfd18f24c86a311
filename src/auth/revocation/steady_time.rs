//! A time that follows a jump ahead of this machine's clock only after a delay. So what is removed by this time is not
//! removed too early if the clock is ahead for a while, as after a wrong answer of a time server. Knows nothing of
//! revocations.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// Follows the clock of this machine, but a jump ahead only after a delay. With the time for which a revocation is kept
/// as the delay, every revocation from before the jump has really expired by then.
#[derive(Debug, Default)]
pub struct SteadyTime {
    /// For the minimum of a sliding window: when a reading was made on the monotonic clock, and by how many
    /// milliseconds the machine's clock was ahead of that. Only readings within the delay that no later one undercuts:
    /// oldest first, and least ahead first.
    readings: VecDeque<(Duration, i64)>,
}

impl SteadyTime {
    /// The time now. `monotonic` and `now` are read at the same moment.
    pub fn read(&mut self, monotonic: Duration, now: Timestamp, delay: Duration) -> Timestamp {
        while self.readings.front().is_some_and(|(at, _)| *at + delay <= monotonic) {
            self.readings.pop_front();
        }
        let monotonic_millis = i64::try_from(monotonic.as_millis()).unwrap_or(i64::MAX);
        let lead = now.millis().saturating_sub(monotonic_millis);
        while self.readings.back().is_some_and(|(_, earlier)| *earlier >= lead) {
            self.readings.pop_back();
        }
        self.readings.push_back((monotonic, lead));
        let smallest = self.readings.front().map_or(lead, |(_, smallest)| *smallest);
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
    fn read(time: &mut SteadyTime, began: Duration, ended: Duration, lead: Duration) -> Timestamp {
        let (mut at, mut last) = (began, Timestamp::default());
        while at <= ended {
            last = time.read(at, START + at + lead, HOUR);
            at += MINUTE;
        }
        last
    }

    #[test]
    fn a_right_clock_is_followed() {
        let mut time = SteadyTime::default();
        assert_eq!(read(&mut time, Duration::ZERO, 3 * HOUR, Duration::ZERO), START + 3 * HOUR);
        assert_eq!(time.readings.len(), 1);
    }

    #[test]
    fn a_jump_ahead_is_followed_after_the_delay() {
        let mut time = SteadyTime::default();
        time.read(Duration::ZERO, START, HOUR);
        assert_eq!(read(&mut time, MINUTE, HOUR - MINUTE, 10 * HOUR), START + HOUR - MINUTE);
        assert_eq!(time.read(HOUR, START + 11 * HOUR, HOUR), START + 11 * HOUR);
    }

    #[test]
    fn a_clock_that_is_right_again_is_followed_at_once() {
        let mut time = SteadyTime::default();
        assert_eq!(time.read(Duration::ZERO, START + 10 * HOUR, HOUR), START + 10 * HOUR);
        assert_eq!(time.read(MINUTE, START + MINUTE, HOUR), START + MINUTE);
    }

    #[test]
    fn a_clock_that_gains_is_followed_with_the_delay() {
        let mut time = SteadyTime::default();
        let gained = |minutes: u32| Duration::from_secs(u64::from(minutes));
        let mut last = START;
        for minutes in 0..=180 {
            last = time.read(minutes * MINUTE, START + minutes * MINUTE + gained(minutes), HOUR);
        }
        assert_eq!(last, START + 3 * HOUR + gained(121));
        assert_eq!(time.readings.len(), 60);
    }
}
