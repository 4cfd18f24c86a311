//! The sealed keyring: the statements.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Revocation, SealedRing, Swap, Target};
use super::revocations;
use crate::clock::Timestamp;
use crate::store::sqlite::Count;

pub(super) fn read(tx: &Connection) -> rusqlite::Result<Option<SealedRing>> {
    tx.prepare_cached("SELECT version, bytes FROM ring WHERE one = 1")?
        .query_row([], |row| Ok(SealedRing { version: row.get::<_, Count>(0)?.0, bytes: row.get(1)? }))
        .optional()
}

pub(super) fn swap(tx: &Connection, expected: u64, bytes: &[u8], now: Timestamp) -> rusqlite::Result<Swap> {
    let version = tx
        .prepare_cached("SELECT version FROM ring WHERE one = 1")?
        .query_row([], |row| row.get::<_, Count>(0))
        .optional()?
        .map_or(0, |version| version.0);
    if version != expected {
        return Ok(Swap::Conflict);
    }
    tx.prepare_cached("INSERT OR REPLACE INTO ring (one, version, bytes) VALUES (1, ?1, ?2)")?
        .execute(params![Count(version + 1), bytes])?;
    revocations::publish(tx, &Revocation { target: Target::Ring, until: now }, now)?;
    Ok(Swap::Swapped)
}
