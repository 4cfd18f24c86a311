//! SQL of the reports of followers. There are at most [`MAX_FOLLOWERS`] rows, so they are not swept: those that do not
//! count any more are deleted when a new follower needs their place.

use rusqlite::{Connection, params};

use super::super::{FOLLOWER_REPORT_TTL, FollowerReport, MAX_FOLLOWERS};
use crate::clock::Timestamp;

pub(super) fn report(tx: &Connection, report: &FollowerReport) -> rusqlite::Result<bool> {
    let is_full = || -> rusqlite::Result<bool> {
        let mut count = tx.prepare_cached("SELECT count(*) FROM followers")?;
        count.query_row([], |row| row.get::<_, i64>(0)).map(|count| count >= MAX_FOLLOWERS as i64)
    };
    let is_known = tx.prepare_cached("SELECT 1 FROM followers WHERE name = ?1")?.exists([&report.name])?;
    if !is_known && is_full()? {
        tx.prepare_cached("DELETE FROM followers WHERE reported_at <= ?1")?
            .execute([(report.reported_at - FOLLOWER_REPORT_TTL).millis()])?;
        if is_full()? {
            return Ok(false);
        }
    }
    let FollowerReport { name, epoch, position, jwks, complete_at, reported_at } = report;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO followers (name, epoch, position, jwks, complete_at, reported_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![name, epoch, position, jwks, complete_at.millis(), reported_at.millis()])?;
    Ok(true)
}

pub(super) fn list(tx: &Connection, now: Timestamp) -> rusqlite::Result<Vec<FollowerReport>> {
    tx.prepare_cached("SELECT name, epoch, position, jwks, complete_at, reported_at FROM followers")?
        .query_map([], |row| {
            Ok(FollowerReport {
                name: row.get(0)?,
                epoch: row.get(1)?,
                position: row.get(2)?,
                jwks: row.get(3)?,
                complete_at: Timestamp::from_millis(row.get(4)?),
                reported_at: Timestamp::from_millis(row.get(5)?),
            })
        })?
        .filter(|report| report.as_ref().map_or(true, |report| report.counts_at(now)))
        .collect()
}
