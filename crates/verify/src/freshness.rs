//! Freshness: for how long a follower may have missed revocations.
//!
//! An attacker, or a broken network, can withhold frames but cannot forge them. The server signs a frame every second,
//! so silence shows. Knows nothing of how frames travel: the times are passed in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::UnixTime;

/// A frame whose `time` differs by more than this from the wall clock proves nothing. If an attacker delays every frame,
/// no longer delay can stay hidden.
pub const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(120);

/// Offsets are forgotten after this time, because the clocks of server and follower drift apart.
const OFFSET_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Offsets are kept in groups of a minute, of which only the smallest counts.
const OFFSET_STEP: Duration = Duration::from_secs(60);

const NEVER: i64 = i64::MIN;

/// The freshness of a follower's state. [`is_fresh`](Self::is_fresh) takes two atomic loads and no lock.
pub struct Freshness {
    /// On the follower's monotonic clock, in milliseconds: until when the state is complete.
    complete_until: AtomicI64,
    /// On the wall clock, in milliseconds: when the last frame arrived that moved `complete_until`. A monotonic clock
    /// may stand still while the machine sleeps.
    progress_at: AtomicI64,
    received: Mutex<Received>,
}

struct Received {
    greatest_time: i64,
    /// The smallest offset of each minute of the window, and when that minute began, oldest first.
    offsets: VecDeque<(Duration, i64)>,
}

impl Default for Freshness {
    fn default() -> Self {
        let received = Received { greatest_time: NEVER, offsets: VecDeque::new() };
        Self {
            complete_until: AtomicI64::new(NEVER),
            progress_at: AtomicI64::new(NEVER),
            received: Mutex::new(received),
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Freshness {
    /// The greatest time at which the state was complete, by the clock of the server; `None` if it never was.
    pub fn complete_at(&self) -> Option<UnixTime> {
        let greatest = self.received.lock().unwrap_or_else(PoisonError::into_inner).greatest_time;
        (greatest != NEVER).then(|| UnixTime::from_millis(greatest))
    }

    /// Records that the state was complete at `time`, as a frame says that was received at `now` on the monotonic clock
    /// and at `wall` on the wall clock. Returns false if the frame proves nothing because the clocks differ too much.
    pub fn record(&self, time: UnixTime, now: Duration, wall: UnixTime) -> bool {
        if wall.since(time).max(time.since(wall)) > MAX_CLOCK_DIFFERENCE {
            return false;
        }
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = millis(now).saturating_sub(time.millis());
        match received.offsets.back_mut() {
            Some((began, smallest)) if now < *began + OFFSET_STEP => *smallest = (*smallest).min(offset),
            _ => received.offsets.push_back((now, offset)),
        }
        while received.offsets.front().is_some_and(|(began, _)| now >= *began + OFFSET_WINDOW) {
            received.offsets.pop_front();
        }
        if time.millis() > received.greatest_time {
            received.greatest_time = time.millis();
            self.progress_at.store(wall.millis(), Ordering::Relaxed);
        }
        let smallest = received.offsets.iter().map(|(_, offset)| *offset).min().unwrap_or(offset);
        self.complete_until.store(received.greatest_time.saturating_add(smallest), Ordering::Release);
        true
    }

    /// The time since the state was complete, at `now` on the monotonic clock and `wall` on the wall clock; `None` if
    /// it never was.
    pub fn staleness(&self, now: Duration, wall: UnixTime) -> Option<Duration> {
        let complete_until = self.complete_until.load(Ordering::Acquire);
        if complete_until == NEVER {
            return None;
        }
        let staleness = Duration::from_millis(millis(now).saturating_sub(complete_until).max(0) as u64);
        let silence = wall.since(UnixTime::from_millis(self.progress_at.load(Ordering::Relaxed)));
        Some(staleness.max(silence))
    }

    /// Returns true if the state was complete no longer than `limit` ago.
    pub fn is_fresh(&self, now: Duration, wall: UnixTime, limit: Duration) -> bool {
        self.staleness(now, wall).is_some_and(|staleness| staleness <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: UnixTime = UnixTime::from_secs(1_763_130_320);

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The staleness when both clocks have run for so long.
    fn after(freshness: &Freshness, now: u64) -> Option<Duration> {
        freshness.staleness(ms(now), WALL + ms(now))
    }

    /// A frame with the time `WALL + time`, received at `now` on both clocks.
    fn record(freshness: &Freshness, time: u64, now: u64) -> bool {
        freshness.record(WALL + ms(time), ms(now), WALL + ms(now))
    }

    #[test]
    fn state_is_stale_until_the_first_frame() {
        let freshness = Freshness::default();
        assert_eq!(after(&freshness, 5), None);
        assert!(!freshness.is_fresh(ms(5), WALL, Duration::MAX));
        assert!(record(&freshness, 10, 10));
        assert_eq!(after(&freshness, 10), Some(ms(0)));
        assert_eq!(after(&freshness, 1010), Some(ms(1000)));
        assert!(freshness.is_fresh(ms(1010), WALL, ms(1000)) && !freshness.is_fresh(ms(1011), WALL, ms(1000)));
    }

    #[test]
    fn replayed_or_delayed_frames_do_not_reduce_the_staleness() {
        let freshness = Freshness::default();
        record(&freshness, 0, 0);
        record(&freshness, 1000, 1000);
        for now in [2000, 3000] {
            record(&freshness, 0, now);
            assert_eq!(after(&freshness, now), Some(ms(now - 1000)));
        }
        record(&freshness, 2000, 7000);
        assert_eq!(after(&freshness, 7000), Some(ms(5000)));
    }

    #[test]
    fn first_frame_may_be_old_and_later_ones_correct_it() {
        let freshness = Freshness::default();
        // A snapshot from a cache, eight seconds old.
        freshness.record(WALL, ms(0), WALL + ms(8000));
        assert_eq!(freshness.staleness(ms(0), WALL + ms(8000)), Some(ms(0)));
        freshness.record(WALL + ms(8100), ms(100), WALL + ms(8100));
        freshness.record(WALL + ms(8100), ms(2100), WALL + ms(10_100));
        assert_eq!(freshness.staleness(ms(2100), WALL + ms(10_100)), Some(ms(2000)));
    }

    #[test]
    fn frame_far_from_the_wall_clock_proves_nothing() {
        let freshness = Freshness::default();
        for time in [WALL - ms(120_001), WALL + ms(120_001)] {
            assert!(!freshness.record(time, ms(0), WALL));
        }
        assert_eq!(after(&freshness, 0), None);
        // A wall clock that is off by 90 seconds is tolerated.
        assert!(freshness.record(WALL - ms(90_000), ms(0), WALL));
        assert_eq!(after(&freshness, 0), Some(ms(0)));
    }

    #[test]
    fn drift_of_the_clocks_is_forgotten_after_an_hour() {
        let freshness = Freshness::default();
        // The follower's monotonic clock gains a millisecond per second.
        for second in 0..10_000 {
            let wall = WALL + Duration::from_secs(second);
            freshness.record(wall, ms(second * 1001), wall);
        }
        let staleness = freshness.staleness(ms(9_999 * 1001), WALL + Duration::from_secs(9_999)).unwrap();
        assert!(staleness < ms(3_700), "{staleness:?}");
    }

    #[test]
    fn offsets_take_one_place_a_minute() {
        let freshness = Freshness::default();
        let places = |freshness: &Freshness| freshness.received.lock().unwrap().offsets.len();
        for second in 0..7200 {
            record(&freshness, second * 1000, second * 1000);
            assert_eq!(places(&freshness) as u64, (second / 60 + 1).min(60), "{second}");
        }
    }

    #[test]
    fn sleep_of_the_machine_shows() {
        let freshness = Freshness::default();
        record(&freshness, 0, 0);
        // The monotonic clock stood still.
        assert_eq!(freshness.staleness(ms(0), WALL + ms(60_000)), Some(ms(60_000)));
        freshness.record(WALL + ms(60_000), ms(100), WALL + ms(60_100));
        assert_eq!(freshness.staleness(ms(100), WALL + ms(60_100)), Some(ms(0)));
    }
}
