//! SQL of rate limits by the generic cell rate algorithm (ITU-T I.371). A row stores the time at which its bucket will
//! be full again, so taking a permit is one read and one write at any rate, and a row whose time has passed can be
//! deleted.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Allowance, Limit};
use super::sweep::hour_after;
use crate::clock::Timestamp;

pub(super) fn take_permit(tx: &Connection, key: &str, limit: Limit, now: Timestamp) -> rusqlite::Result<Allowance> {
    if limit.burst == 0 {
        return Ok(Allowance::Limited { retry_after: limit.per });
    }
    // In microseconds, because milliseconds are too coarse for a thousand permits a second.
    let now_us = now.millis().saturating_mul(1000);
    let per = i64::try_from(limit.per.as_micros()).unwrap_or(i64::MAX);
    let row: Option<(i64, i64)> = tx
        .prepare_cached("SELECT full_at, sweep_on FROM limits WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let full_at = row.map_or(now_us, |(full_at, _)| full_at.max(now_us)).saturating_add(per / i64::from(limit.burst));
    let excess = full_at.saturating_sub(now_us).saturating_sub(per);
    if excess > 0 {
        // Rounded up, so that a retry at that time is allowed.
        return Ok(Allowance::Limited { retry_after: Duration::from_millis((excess as u64).div_ceil(1000)) });
    }
    let hour = hour_after(Timestamp::from_millis(full_at / 1000));
    match row {
        // Within one hour the index by hour is not touched.
        Some((_, sweep_on)) if sweep_on == hour => {
            tx.prepare_cached("UPDATE limits SET full_at = ?2 WHERE key = ?1")?.execute(params![key, full_at])?;
        }
        _ => {
            tx.prepare_cached("INSERT OR REPLACE INTO limits (key, full_at, sweep_on) VALUES (?1, ?2, ?3)")?
                .execute(params![key, full_at, hour])?;
        }
    }
    Ok(Allowance::Allowed)
}
