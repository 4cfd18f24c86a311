//! SQL of claims and of the wrong attempts of a day. Each function is one atomic step.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use subtle::ConstantTimeEq;

use super::super::{Allowance, Claim, ClaimKey, OnMatch, RedeemRequest, Redemption};
use crate::clock::Timestamp;

/// The day over which a subject's wrong attempts are counted. It begins with the first of them.
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn store(tx: &Connection, claim: &Claim) -> rusqlite::Result<()> {
    let Claim { key: ClaimKey { subject, purpose, id }, digest, payload, attempts, expires_at } = claim;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO claims (subject, purpose, id, digest, payload, tries_left, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![subject, purpose, id, digest, payload, attempts, expires_at])
    .map(drop)
}

pub(super) fn redeem(tx: &Connection, request: RedeemRequest<'_>, now: Timestamp) -> rusqlite::Result<Redemption> {
    let key = request.key;
    let (wrong_today, day_ends) = read_attempts(tx, &key.subject, now)?;
    if wrong_today >= request.daily_attempts {
        return Ok(Redemption::Capped { retry_after: day_ends.since(now) });
    }
    let claim: Option<([u8; 32], Vec<u8>, u32)> = tx
        .prepare_cached(
            "SELECT digest, payload, tries_left FROM claims
             WHERE subject = ?1 AND purpose = ?2 AND id = ?3 AND expires_at > ?4 AND tries_left > 0",
        )?
        .query_row(params![key.subject, key.purpose, key.id, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((digest, payload, attempts)) = claim else {
        return Ok(Redemption::NotFound);
    };
    if bool::from(digest.ct_eq(&request.digest)) {
        match request.on_match {
            OnMatch::Keep => {}
            OnMatch::Hold => negate_attempts(tx, key)?,
        }
        return Ok(Redemption::Redeemed(payload));
    }
    let attempts_left = attempts - 1;
    if attempts_left == 0 {
        delete(tx, key)?;
    } else {
        tx.prepare_cached(
            "UPDATE claims SET tries_left = tries_left - 1 WHERE subject = ?1 AND purpose = ?2 AND id = ?3",
        )?
        .execute(columns(key))?;
    }
    write_attempts(tx, &key.subject, wrong_today + 1, day_ends)?;
    Ok(Redemption::Wrong { attempts_left })
}

pub(super) fn release(tx: &Connection, key: &ClaimKey, digest: [u8; 32]) -> rusqlite::Result<()> {
    let held = tx
        .prepare_cached("SELECT digest FROM claims WHERE subject = ?1 AND purpose = ?2 AND id = ?3 AND tries_left < 0")?
        .query_row(columns(key), |row| row.get::<_, [u8; 32]>(0))
        .optional()?;
    match held {
        Some(held) if bool::from(held.ct_eq(&digest)) => negate_attempts(tx, key),
        _ => Ok(()),
    }
}

/// Holds or releases a claim. One with a negative number of attempts left is held, and older nodes do not find it
/// either.
fn negate_attempts(tx: &Connection, key: &ClaimKey) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE claims SET tries_left = -tries_left WHERE subject = ?1 AND purpose = ?2 AND id = ?3")?
        .execute(columns(key))
        .map(drop)
}

pub(super) fn peek(tx: &Connection, key: &ClaimKey, now: Timestamp) -> rusqlite::Result<Option<Vec<u8>>> {
    tx.prepare_cached(
        "SELECT payload FROM claims
         WHERE subject = ?1 AND purpose = ?2 AND id = ?3 AND expires_at > ?4 AND tries_left > 0",
    )?
    .query_row(params![key.subject, key.purpose, key.id, now], |row| row.get(0))
    .optional()
}

pub(super) fn delete(tx: &Connection, key: &ClaimKey) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM claims WHERE subject = ?1 AND purpose = ?2 AND id = ?3")?
        .execute(columns(key))
        .map(drop)
}

/// The columns of the primary key, in the order of the statements.
fn columns(key: &ClaimKey) -> [&str; 3] {
    [&key.subject, key.purpose, &key.id]
}

pub(super) fn count_attempt(
    tx: &Connection,
    subject: &str,
    daily_attempts: u32,
    now: Timestamp,
) -> rusqlite::Result<Allowance> {
    let (attempts, day_ends) = read_attempts(tx, subject, now)?;
    if attempts >= daily_attempts {
        return Ok(Allowance::Limited { retry_after: day_ends.since(now) });
    }
    write_attempts(tx, subject, attempts + 1, day_ends)?;
    Ok(Allowance::Allowed)
}

pub(super) fn refund_attempt(tx: &Connection, subject: &str, now: Timestamp) -> rusqlite::Result<()> {
    match read_attempts(tx, subject, now)? {
        (0, _) => Ok(()),
        (attempts, day_ends) => write_attempts(tx, subject, attempts - 1, day_ends),
    }
}

/// Reads the number of wrong attempts in a subject's day, and when the day ends.
fn read_attempts(tx: &Connection, subject: &str, now: Timestamp) -> rusqlite::Result<(u32, Timestamp)> {
    let record = tx
        .prepare_cached("SELECT tries, expires_at FROM wrong_tries WHERE subject = ?1 AND expires_at > ?2")?
        .query_row(params![subject, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(record.unwrap_or((0, now + DAY)))
}

fn write_attempts(tx: &Connection, subject: &str, attempts: u32, day_ends: Timestamp) -> rusqlite::Result<()> {
    if attempts == 0 {
        return tx.prepare_cached("DELETE FROM wrong_tries WHERE subject = ?1")?.execute([subject]).map(drop);
    }
    tx.prepare_cached("INSERT OR REPLACE INTO wrong_tries (subject, tries, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![subject, attempts, day_ends])
        .map(drop)
}
