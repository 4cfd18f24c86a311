//! SQL of idempotency keys. Each function is one atomic step.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::KeyReservation;
use crate::clock::Timestamp;

pub(super) fn reserve(
    tx: &Connection,
    key: &str,
    fingerprint: [u8; 32],
    reserved_until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<KeyReservation> {
    let found: Option<([u8; 32], Option<Vec<u8>>)> = tx
        .prepare_cached("SELECT fingerprint, response FROM idempotency_keys WHERE key = ?1 AND expires_at > ?2")?
        .query_row(params![key, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((known, _)) if known != fingerprint => return Ok(KeyReservation::OtherRequest),
        Some((_, Some(response))) => return Ok(KeyReservation::Completed(response)),
        Some((_, None)) => return Ok(KeyReservation::InProgress),
        None => {}
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO idempotency_keys (key, fingerprint, response, expires_at) VALUES (?1, ?2, NULL, ?3)",
    )?
    .execute(params![key, fingerprint, reserved_until])?;
    Ok(KeyReservation::Reserved)
}

pub(super) fn complete(
    tx: &Connection,
    key: &str,
    fingerprint: [u8; 32],
    response: &[u8],
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO idempotency_keys (key, fingerprint, response, expires_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (key) DO UPDATE SET response = ?3, expires_at = ?4 WHERE fingerprint = ?2",
    )?
    .execute(params![key, fingerprint, response, expires_at])
    .map(drop)
}

pub(super) fn release(tx: &Connection, key: &str, fingerprint: [u8; 32]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM idempotency_keys WHERE key = ?1 AND fingerprint = ?2 AND response IS NULL")?
        .execute(params![key, fingerprint])
        .map(drop)
}
