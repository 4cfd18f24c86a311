//! Time: a [`Timestamp`], and a [`Clock`] that is passed in.
//!
//! Nothing else may read the machine's time of day (`clippy.toml` forbids it), so that a test can run at any time
//! without sleeping. Knows nothing of the things that expire.

pub mod request_budget;

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use signet_verify::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The largest clock difference tolerated: two clocks may differ by this much, or one may be set back by it, and
/// revocations still hold. Far more than the leeway for checking tokens: users notice a token that is refused too
/// early, but nobody notices a revocation that fails. `auth::retention` computes with it.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(120);

/// A point in time: milliseconds since 1970, UTC. The arithmetic is that of the crate for verifiers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(UnixTime);

impl Timestamp {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(UnixTime::from_millis(millis))
    }

    /// From seconds since 1970, as in JWT claims (RFC 7519, 2: NumericDate).
    pub const fn from_secs(secs: i64) -> Self {
        Self(UnixTime::from_secs(secs))
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0.millis()
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.secs()
    }

    /// The time from `earlier` to this timestamp; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.since(earlier.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0 + span)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0 - span)
    }
}

impl From<Timestamp> for UnixTime {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

/// RFC 3339, UTC, to the millisecond: the form in every API but one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.millis()) * 1_000_000).map_err(|_| fmt::Error)?;
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

/// A source of time: the system's clock, or one that a test sets.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` until a test moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.millis()))))
    }

    /// The time now.
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the system's clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(since.as_millis() as i64)
            }
            Source::Manual(at) => Timestamp::from_millis(at.load(Ordering::Relaxed)),
        }
    }

    /// Monotonic time since the first call: never goes back, even if the system's time of day is set back.
    pub fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Source::System => START.get_or_init(Instant::now).elapsed(),
            Source::Manual(at) => Duration::from_millis(at.load(Ordering::Relaxed).max(0) as u64),
        }
    }

    /// Moves a manual clock forward. Does nothing to the system's clock.
    pub fn advance(&self, span: Duration) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_add(span.as_millis() as i64, Ordering::Relaxed);
        }
    }

    /// Moves a manual clock back. Does nothing to the system's clock.
    pub fn set_back(&self, span: Duration) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_sub(span.as_millis() as i64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_written_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_763_130_320_050).to_string(), "2025-11-14T14:25:20.05Z");
        assert_eq!(Timestamp::from_secs(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn manual_clock_moves_only_when_advanced() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.clone().now(), Timestamp::from_secs(105));
    }
}
