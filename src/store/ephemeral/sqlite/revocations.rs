//! SQL of the stream of revocations and of the global `not_before`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::{Cursor, Position, Revocation, StreamEntry, StreamPage, Target};
use crate::clock::Timestamp;

/// The number of revocations that one reading of the stream returns.
const PAGE: u32 = 1000;

/// The number of revocations deleted in one transaction.
const DELETE_BATCH: u32 = 1000;

/// The position in a cursor. A cursor that is no number belongs to another store: everything is read again, which only
/// repeats revocations.
pub(super) fn position(cursor: &Cursor) -> i64 {
    cursor.0.parse().unwrap_or(0)
}

pub(super) fn cursor(position: i64) -> Cursor {
    Cursor(position.to_string())
}

pub(super) fn publish(tx: &Connection, revocation: &Revocation, now: Timestamp) -> rusqlite::Result<()> {
    let (kind, id, before) = match &revocation.target {
        Target::Token(id) => ("token", Some(id.as_bytes()), None),
        Target::Session(id) => ("session", Some(id.as_bytes()), None),
        Target::User { user, before } => ("user", Some(user.as_bytes()), Some(*before)),
        Target::ApiKey(id) => ("api-key", Some(id.as_bytes()), None),
        Target::Keyring => ("ring", None, None),
        Target::GlobalNotBefore => ("floor", None, None),
    };
    tx.prepare_cached("INSERT INTO revocations (kind, id, before, until, published_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![kind, id.map(|id| id.as_slice()), before, revocation.expires_at, now])
        .map(drop)
}

/// The place of a row, and its revocation if this version knows the kind.
fn row(row: &Row<'_>) -> rusqlite::Result<(i64, Option<StreamEntry>)> {
    let place = row.get(0)?;
    let target = match row.get_ref(1)?.as_str()? {
        "token" => Target::Token(row.get(2)?),
        "session" => Target::Session(row.get(2)?),
        "user" => Target::User { user: row.get(2)?, before: row.get(3)? },
        "api-key" => Target::ApiKey(row.get(2)?),
        "ring" => Target::Keyring,
        "floor" => Target::GlobalNotBefore,
        // A newer version may publish a kind that this one does not know and that concerns nothing it has issued.
        target => {
            tracing::warn!(target, "revocation of an unknown kind ignored");
            return Ok((place, None));
        }
    };
    let published_at = row.get::<_, Timestamp>(5)?;
    let position = Position { major: unsigned(place), minor: unsigned(published_at.millis()) };
    let revocation = Revocation { target, expires_at: row.get(4)? };
    Ok((place, Some(StreamEntry { position: Some(position), published_at, revocation })))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Reads the revocations after a position. One writer commits at a time, so a lower position never appears after a
/// higher one was read.
pub(super) fn read_after(tx: &Connection, position: i64) -> rusqlite::Result<StreamPage> {
    let (mut last, mut count) = (position, 0);
    let mut entries = Vec::new();
    let mut statement = tx.prepare_cached(
        "SELECT place, kind, id, before, until, published_at FROM revocations
         WHERE place > ?1 ORDER BY place LIMIT ?2",
    )?;
    for row in statement.query_map(params![position, PAGE], row)? {
        let (place, entry) = row?;
        (last, count) = (place, count + 1);
        entries.extend(entry);
    }
    let end = match entries.last().and_then(|entry: &StreamEntry| entry.position) {
        Some(end) => end,
        None => Position { major: unsigned(last_ever(tx)?), minor: 0 },
    };
    let epoch =
        tx.prepare_cached("SELECT epoch FROM revocation_epoch WHERE one = 1")?.query_row([], |row| row.get(0))?;
    let has_more = count >= PAGE;
    Ok(StreamPage { entries, cursor: cursor(last), epoch, end, has_more, store_time: None })
}

/// The place of the last revocation that was ever published, even if it was deleted since.
fn last_ever(tx: &Connection) -> rusqlite::Result<i64> {
    let last = tx
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// The place of the newest revocation; 0 if there is none.
pub(super) fn newest(tx: &Connection) -> rusqlite::Result<i64> {
    tx.prepare_cached("SELECT coalesce(max(place), 0) FROM revocations")?.query_row([], |row| row.get(0))
}

/// Deletes one batch. Returns true if there may be more.
pub(super) fn forget_batch(tx: &Connection, before: Timestamp) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "DELETE FROM revocations WHERE place IN (
             SELECT place FROM revocations WHERE published_at < ?1 ORDER BY published_at LIMIT ?2
         )",
    )?
    .execute(params![before, DELETE_BATCH])
    .map(|deleted| deleted == DELETE_BATCH as usize)
}

pub(super) fn not_before(tx: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    tx.prepare_cached("SELECT at FROM floor WHERE one = 1")?.query_row([], |row| row.get(0)).optional()
}

/// Sets `not_before` in an empty store. Concurrent callers all get the first value.
pub(super) fn initialize_not_before(tx: &Connection, now: Timestamp) -> rusqlite::Result<Timestamp> {
    tx.prepare_cached(
        "INSERT INTO floor (one, at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at = at RETURNING at",
    )?
    .query_row([now], |row| row.get(0))
}

pub(super) fn raise_not_before(tx: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO floor (one, at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at = max(at, excluded.at)",
    )?
    .execute([now])?;
    publish(tx, &Revocation { target: Target::GlobalNotBefore, expires_at: now }, now)
}
