//! Rate limits: a row says when its limit will be whole again (the generic cell rate algorithm, ITU-T I.371), so taking
//! is one look and one write whatever the rate, and a row whose moment has passed says nothing.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Allowance, Limit};
use super::sweep::hour_after;
use crate::clock::Timestamp;

pub(super) fn take(tx: &Connection, key: &str, limit: Limit, now: Timestamp) -> rusqlite::Result<Allowance> {
    if limit.burst == 0 {
        return Ok(Allowance::Limited { retry_after: limit.per });
    }
    // Microseconds: a thousand a second would be lost in milliseconds.
    let at = now.millis().saturating_mul(1000);
    let per = i64::try_from(limit.per.as_micros()).unwrap_or(i64::MAX);
    let found: Option<(i64, i64)> = tx
        .prepare_cached("SELECT full_at, sweep_on FROM limits WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let full_at = found.map_or(at, |(full_at, _)| full_at.max(at)).saturating_add(per / i64::from(limit.burst));
    let over = full_at.saturating_sub(at).saturating_sub(per);
    if over > 0 {
        // Rounded up: whoever comes back at that moment is let in.
        return Ok(Allowance::Limited { retry_after: Duration::from_millis((over as u64).div_ceil(1000)) });
    }
    let hour = hour_after(Timestamp::from_millis(full_at / 1000));
    match found {
        // The index of the hours is left alone while the hour is the same.
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
