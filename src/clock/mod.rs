//! Time as the rest of the program sees it: a [`Timestamp`] and a [`Clock`] that is handed down.
//!
//! Nothing else may ask the machine for the time of day (`clippy.toml` refuses it), so that a test can stand at any
//! moment without sleeping. Knows nothing of what expires.

pub mod request_budget;

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How far apart two clocks may be, or one be set back, without what was ended being kept alive. Far more than the leeway, by which
/// tokens are judged: a token that is refused too early is noticed, an ending that does not hold is not.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(120);

/// A moment: milliseconds since 1970, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that many milliseconds after 1970 began.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment that many seconds after 1970 began, as JWT claims count (RFC 7519, 2: NumericDate).
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long from `earlier` to this moment; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339, UTC, to the millisecond: how every API but one writes times.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Where the time comes from: the machine, or a test's hand.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Machine,
    Hand(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clock.
    pub fn machine() -> Self {
        Self(Source::Machine)
    }

    /// A clock that stands at `start` until a test moves it.
    pub fn by_hand(start: Timestamp) -> Self {
        Self(Source::Hand(Arc::new(AtomicI64::new(start.0))))
    }

    /// The time now.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Machine => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(since.as_millis() as i64)
            }
            Source::Hand(at) => Timestamp(at.load(Ordering::Relaxed)),
        }
    }

    /// How long the clock has been running: never goes back, whatever the machine's time of day is set to.
    pub fn running(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Source::Machine => BEGAN.get_or_init(Instant::now).elapsed(),
            Source::Hand(at) => Duration::from_millis(at.load(Ordering::Relaxed).max(0) as u64),
        }
    }

    /// Moves a clock that is set by hand; the machine's own stays as it is.
    pub fn advance(&self, span: Duration) {
        if let Source::Hand(at) = &self.0 {
            at.fetch_add(span.as_millis() as i64, Ordering::Relaxed);
        }
    }

    /// The same, back.
    pub fn set_back(&self, span: Duration) {
        if let Source::Hand(at) = &self.0 {
            at.fetch_sub(span.as_millis() as i64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_763_130_320_050).to_string(), "2025-11-14T14:25:20.05Z");
        assert_eq!(Timestamp::from_secs(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_clock_set_by_hand_moves_only_by_hand() {
        let clock = Clock::by_hand(Timestamp::from_secs(100));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.clone().now(), Timestamp::from_secs(105));
    }
}
