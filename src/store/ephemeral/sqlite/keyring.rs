//! SQL of the sealed keyring.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Revocation, SealedKeyring, SwapResult, Target};
use super::revocations;
use crate::clock::Timestamp;
use crate::store::sqlite::BitsU64;

pub(super) fn read(tx: &Connection) -> rusqlite::Result<Option<SealedKeyring>> {
    tx.prepare_cached("SELECT version, bytes FROM ring WHERE one = 1")?
        .query_row([], |row| Ok(SealedKeyring { version: row.get::<_, BitsU64>(0)?.0, bytes: row.get(1)? }))
        .optional()
}

pub(super) fn swap(tx: &Connection, expected: u64, bytes: &[u8], now: Timestamp) -> rusqlite::Result<SwapResult> {
    let version = tx
        .prepare_cached("SELECT version FROM ring WHERE one = 1")?
        .query_row([], |row| row.get::<_, BitsU64>(0))
        .optional()?
        .map_or(0, |version| version.0);
    if version != expected {
        return Ok(SwapResult::Conflict);
    }
    tx.prepare_cached("INSERT OR REPLACE INTO ring (one, version, bytes) VALUES (1, ?1, ?2)")?
        .execute(params![BitsU64(version + 1), bytes])?;
    revocations::publish(tx, &Revocation { target: Target::Keyring, expires_at: now }, now)?;
    Ok(SwapResult::Swapped)
}
