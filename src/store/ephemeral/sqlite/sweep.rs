//! The sweep: what has expired leaves the file, a bounded portion at a time, found by index.
//!
//! Writes bring the time with them, so it is they that set it off; a store to which nobody writes does not grow. It
//! goes through the writer with nobody waiting for it, and follows at some distance: no caller whose `now` is a little
//! behind another's misses what it should see.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::time::Timestamp;

/// How long what has expired is left lying.
const DISTANCE: Duration = Duration::from_secs(600);

/// How often a portion is swept. With [`PORTION`] it keeps up with some two thousand rows a second in each table.
const EVERY: Duration = Duration::from_millis(200);

/// How many rows of a table leave at once: a few milliseconds of the writer's time.
const PORTION: u32 = 500;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

/// The first day that begins after a moment.
pub(super) fn day_after(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(DAY).saturating_add(1)
}

/// The first hour that begins after a moment.
pub(super) fn hour_after(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(HOUR).saturating_add(1)
}

/// When the next portion is due.
#[derive(Debug)]
pub(super) struct Schedule(AtomicI64);

impl Default for Schedule {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Schedule {
    /// A portion, if it is time for one; of any number of callers one gets it.
    pub(super) fn due(&self, now: Timestamp) -> Option<impl FnOnce(&Connection) -> rusqlite::Result<()> + use<>> {
        let due = self.0.load(Ordering::Relaxed);
        let next = (now + EVERY).millis();
        let mine =
            now.millis() >= due && self.0.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        mine.then_some(move |connection: &Connection| sweep(connection, now - DISTANCE))
    }
}

/// Drops a portion of what had expired by `before`.
fn sweep(tx: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    let moment = before.millis();
    let (today, this_hour) = (moment.div_euclid(DAY), moment.div_euclid(HOUR));
    for (sql, limit) in [
        (
            "DELETE FROM sessions WHERE rowid IN
                 (SELECT rowid FROM sessions WHERE sweep_on <= ?1 ORDER BY sweep_on LIMIT ?2)",
            today,
        ),
        (
            "DELETE FROM limits WHERE key IN
                 (SELECT key FROM limits WHERE sweep_on <= ?1 ORDER BY sweep_on LIMIT ?2)",
            this_hour,
        ),
        (
            "DELETE FROM sign_in_marks WHERE user IN
                 (SELECT user FROM sign_in_marks WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            moment,
        ),
        (
            "DELETE FROM wrong_tries WHERE subject IN
                 (SELECT subject FROM wrong_tries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            moment,
        ),
        (
            "DELETE FROM claims WHERE (subject, purpose, id) IN
                 (SELECT subject, purpose, id FROM claims WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            moment,
        ),
    ] {
        tx.prepare_cached(sql)?.execute(params![limit, PORTION])?;
    }
    Ok(())
}
