//! Revocations, in one sequence, and the floor: the statements.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::{Cursor, Revocation, Target};
use crate::clock::Timestamp;
use crate::store::sqlite::unreadable;

/// How many a follower gets at once.
const AT_ONCE: u32 = 1000;

/// How many are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 1000;

/// The number of a place. A text that is no number is of another store: everything is read again, which revokes
/// nothing that was not revoked.
pub(super) fn place(cursor: &Cursor) -> i64 {
    cursor.0.parse().unwrap_or(0)
}

pub(super) fn cursor(place: i64) -> Cursor {
    Cursor(place.to_string())
}

pub(super) fn publish(tx: &Connection, revocation: &Revocation, now: Timestamp) -> rusqlite::Result<()> {
    let (kind, id, before) = match &revocation.target {
        Target::Token(id) => ("token", Some(id.as_bytes()), None),
        Target::Session(id) => ("session", Some(id.as_bytes()), None),
        Target::User { user, before } => ("user", Some(user.as_bytes()), Some(*before)),
        Target::ApiKey(id) => ("api-key", Some(id.as_bytes()), None),
        Target::Ring => ("ring", None, None),
        Target::Floor => ("floor", None, None),
    };
    tx.prepare_cached("INSERT INTO revocations (kind, id, before, until, published_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![kind, id.map(|id| id.as_slice()), before, revocation.until, now])
        .map(drop)
}

fn row(row: &Row<'_>) -> rusqlite::Result<(i64, Revocation)> {
    let kind = row.get_ref(1)?.as_str()?;
    let target = match kind {
        "token" => Target::Token(row.get(2)?),
        "session" => Target::Session(row.get(2)?),
        "user" => Target::User { user: row.get(2)?, before: row.get(3)? },
        "api-key" => Target::ApiKey(row.get(2)?),
        "ring" => Target::Ring,
        "floor" => Target::Floor,
        // A newer program's, beside this one on one file: not understood is not the same as not revoked.
        _ => return Err(unreadable("a kind of revocation that this signet does not know").into()),
    };
    Ok((row.get(0)?, Revocation { target, until: row.get(4)? }))
}

/// What was published after a place, and the place after that. One writer at a time commits, so a lower place never
/// appears after a higher one was seen.
pub(super) fn after(tx: &Connection, place: i64) -> rusqlite::Result<(Vec<Revocation>, i64)> {
    let mut last = place;
    let found = tx
        .prepare_cached(
            "SELECT place, kind, id, before, until FROM revocations WHERE place > ?1 ORDER BY place LIMIT ?2",
        )?
        .query_map(params![place, AT_ONCE], row)?
        .map(|found| {
            found.map(|(place, revocation)| {
                last = place;
                revocation
            })
        })
        .collect::<rusqlite::Result<_>>()?;
    Ok((found, last))
}

/// Forgets a portion, and says whether there may be more.
pub(super) fn forget(tx: &Connection, before: Timestamp) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "DELETE FROM revocations WHERE place IN (
             SELECT place FROM revocations WHERE published_at < ?1 ORDER BY published_at LIMIT ?2
         )",
    )?
    .execute(params![before, FORGOTTEN_AT_ONCE])
    .map(|forgotten| forgotten == FORGOTTEN_AT_ONCE as usize)
}

pub(super) fn floor(tx: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    tx.prepare_cached("SELECT at FROM floor WHERE one = 1")?.query_row([], |row| row.get(0)).optional()
}

/// Gives an empty store its floor; whoever comes second gets the first one's.
pub(super) fn found_floor(tx: &Connection, now: Timestamp) -> rusqlite::Result<Timestamp> {
    tx.prepare_cached(
        "INSERT INTO floor (one, at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at = at RETURNING at",
    )?
    .query_row([now], |row| row.get(0))
}

pub(super) fn raise_floor(tx: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO floor (one, at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at = max(at, excluded.at)",
    )?
    .execute([now])?;
    publish(tx, &Revocation { target: Target::Floor, until: now }, now)
}
