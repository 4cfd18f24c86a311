//! Freshness: for how long a follower may have missed revocations.
//!
//! An attacker, or a broken network, can withhold frames but cannot forge them. The server signs a frame every second,
//! so silence shows. Knows nothing of how frames travel: the times are passed in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::UnixTime;

/// A frame whose `time` differs by more than this from the wall clock proves nothing: it bounds the delay that someone
/// who delays every frame can hide.
pub const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(120);

/// Offsets are forgotten after this time, because the clocks of server and follower drift apart.
const OFFSET_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Offsets are kept by the minute.
const OFFSET_STEP: Duration = Duration::from_secs(60);

const NEVER: i64 = i64::MIN;

/// How fresh a follower's state is. Reading takes one load.
pub struct Freshness {
    /// On the follower's monotonic clock, in milliseconds: until when the state is complete.
    complete_until: AtomicI64,
    received: Mutex<Received>,
}

struct Received {
    greatest_time: i64,
    /// The smallest offset of each minute of the window, oldest first.
    offsets: VecDeque<(u64, i64)>,
}

impl Default for Freshness {
    fn default() -> Self {
        let received = Received { greatest_time: NEVER, offsets: VecDeque::new() };
        Self { complete_until: AtomicI64::new(NEVER), received: Mutex::new(received) }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Freshness {
    /// Records that the state was complete at `time`, as a frame says that was received at `now` on the monotonic clock
    /// and at `wall` on the wall clock. Returns false if the frame proves nothing because the clocks differ too much.
    pub fn record(&self, time: UnixTime, now: Duration, wall: UnixTime) -> bool {
        if wall.since(time).max(time.since(wall)) > MAX_CLOCK_DIFFERENCE {
            return false;
        }
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = millis(now).saturating_sub(time.millis());
        let step = now.as_secs() / OFFSET_STEP.as_secs();
        match received.offsets.back_mut() {
            Some((last, smallest)) if *last == step => *smallest = (*smallest).min(offset),
            _ => received.offsets.push_back((step, offset)),
        }
        let steps = OFFSET_WINDOW.as_secs() / OFFSET_STEP.as_secs();
        while received.offsets.front().is_some_and(|(first, _)| first + steps < step) {
            received.offsets.pop_front();
        }
        received.greatest_time = received.greatest_time.max(time.millis());
        let smallest = received.offsets.iter().map(|(_, offset)| *offset).min().unwrap_or(offset);
        self.complete_until.store(received.greatest_time.saturating_add(smallest), Ordering::Release);
        true
    }

    /// The time since the state was complete; `None` if it never was.
    pub fn staleness(&self, now: Duration) -> Option<Duration> {
        let complete_until = self.complete_until.load(Ordering::Acquire);
        (complete_until != NEVER)
            .then(|| Duration::from_millis(millis(now).saturating_sub(complete_until).max(0) as u64))
    }

    /// Returns true if the state was complete no longer than `limit` ago.
    pub fn is_fresh(&self, now: Duration, limit: Duration) -> bool {
        self.staleness(now).is_some_and(|staleness| staleness <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: UnixTime = UnixTime::from_secs(1_763_130_320);

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn state_is_stale_until_the_first_frame() {
        let freshness = Freshness::default();
        assert_eq!(freshness.staleness(ms(5)), None);
        assert!(!freshness.is_fresh(ms(5), Duration::MAX));
        assert!(freshness.record(WALL, ms(10), WALL));
        assert_eq!(freshness.staleness(ms(10)), Some(ms(0)));
        assert_eq!(freshness.staleness(ms(1010)), Some(ms(1000)));
        assert!(freshness.is_fresh(ms(1010), ms(1000)) && !freshness.is_fresh(ms(1011), ms(1000)));
    }

    #[test]
    fn replayed_or_delayed_frames_do_not_reduce_the_staleness() {
        let freshness = Freshness::default();
        freshness.record(WALL, ms(0), WALL);
        freshness.record(WALL + ms(1000), ms(1000), WALL);
        for now in [2000, 3000] {
            freshness.record(WALL, ms(now), WALL);
            assert_eq!(freshness.staleness(ms(now)), Some(ms(now - 1000)));
        }
        freshness.record(WALL + ms(2000), ms(7000), WALL);
        assert_eq!(freshness.staleness(ms(7000)), Some(ms(5000)));
    }

    #[test]
    fn first_frame_may_be_old_and_later_ones_correct_it() {
        let freshness = Freshness::default();
        // A snapshot from a cache, eight seconds old.
        freshness.record(WALL - ms(8000), ms(0), WALL);
        assert_eq!(freshness.staleness(ms(0)), Some(ms(0)));
        freshness.record(WALL + ms(100), ms(100), WALL);
        assert_eq!(freshness.staleness(ms(100)), Some(ms(0)));
        freshness.record(WALL + ms(100), ms(2100), WALL);
        assert_eq!(freshness.staleness(ms(2100)), Some(ms(2000)));
    }

    #[test]
    fn frame_far_from_the_wall_clock_proves_nothing() {
        let freshness = Freshness::default();
        for time in [WALL - ms(120_001), WALL + ms(120_001)] {
            assert!(!freshness.record(time, ms(0), WALL));
        }
        assert_eq!(freshness.staleness(ms(0)), None);
        // A wall clock that is off by 90 seconds is tolerated.
        assert!(freshness.record(WALL - ms(90_000), ms(0), WALL));
    }

    #[test]
    fn drift_of_the_clocks_is_forgotten_after_an_hour() {
        let freshness = Freshness::default();
        // The follower's clock gains a millisecond per second.
        for second in 0..10_000 {
            freshness.record(WALL + Duration::from_secs(second), ms(second * 1001), WALL + Duration::from_secs(second));
        }
        let staleness = freshness.staleness(ms(9_999 * 1001)).unwrap();
        assert!(staleness < ms(3_700), "{staleness:?}");
    }
}
