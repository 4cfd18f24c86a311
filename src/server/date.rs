//! The `Date` field of responses over HTTP/2 (RFC 9110, 6.6.1).
//!
//! hyper's would enter the table of recent fields (RFC 7541, 2.3.2) once a second, and h2 compares a field with every
//! entry of its name: after 75 seconds on one connection, a response took 3,600 instructions more. A value marked as
//! sensitive stays out of the table. Knows nothing of requests.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use http::HeaderValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::clock::{Clock, Timestamp};

/// RFC 9110, 5.6.7.
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// The date of one worker, formatted once a second.
pub(super) struct Date {
    clock: Clock,
    /// The value, and the end of its second.
    current: RefCell<Option<(HeaderValue, Instant)>>,
}

impl Date {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, current: RefCell::default() }
    }

    /// The value at `now`, which saves reading the clock for each response.
    pub(super) fn at(&self, now: Instant) -> Option<HeaderValue> {
        let mut current = self.current.borrow_mut();
        if let Some((value, end)) = &*current
            && now < *end
        {
            return Some(value.clone());
        }
        let date = self.clock.now();
        let value = format(date)?;
        let elapsed = Duration::from_millis(date.millis().rem_euclid(1000) as u64);
        *current = Some((value.clone(), now + Duration::from_secs(1).saturating_sub(elapsed)));
        Some(value)
    }
}

fn format(date: Timestamp) -> Option<HeaderValue> {
    let text = OffsetDateTime::from_unix_timestamp(date.secs()).ok()?.format(FORMAT).ok()?;
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_renewed_at_the_end_of_its_second() {
        // The example of RFC 9110, 5.6.7, and 900 milliseconds.
        let clock = Clock::manual(Timestamp::from_millis(784_111_777_900));
        let (date, now) = (Date::new(clock.clone()), Instant::now());
        let first = date.at(now).unwrap();
        assert_eq!(first, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(first.is_sensitive());
        clock.advance(Duration::from_millis(100));
        assert_eq!(date.at(now + Duration::from_millis(99)).unwrap(), first);
        let second = date.at(now + Duration::from_millis(100)).unwrap();
        assert_eq!(second, "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
