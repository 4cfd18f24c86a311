//! Claims and the wrong tries of a day: the statements. Each function is the whole of one atomic step.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use subtle::ConstantTimeEq;

use super::super::{Allowance, Claim, Redeem, Redemption};
use crate::clock::Timestamp;

/// The day in which a subject's wrong tries are counted together. It begins with the first of them.
const DAY: Duration = Duration::from_secs(86_400);

/// A try at a claim, owned, so that the writer's thread can have it.
pub(super) struct Attempt {
    subject: String,
    purpose: String,
    id: String,
    digest: [u8; 32],
    daily_tries: u32,
    spend: bool,
}

impl From<Redeem<'_>> for Attempt {
    fn from(redeem: Redeem<'_>) -> Self {
        Self {
            subject: redeem.subject.to_owned(),
            purpose: redeem.purpose.to_owned(),
            id: redeem.id.to_owned(),
            digest: redeem.digest,
            daily_tries: redeem.daily_tries,
            spend: redeem.spend,
        }
    }
}

pub(super) fn put(tx: &Connection, claim: &Claim) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO claims (subject, purpose, id, digest, payload, tries_left, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        claim.subject,
        claim.purpose,
        claim.id,
        claim.digest,
        claim.payload,
        claim.tries,
        claim.expires_at
    ])
    .map(drop)
}

pub(super) fn redeem(tx: &Connection, attempt: &Attempt, now: Timestamp) -> rusqlite::Result<Redemption> {
    let (wrong_today, day_ends) = tries_of(tx, &attempt.subject, now)?;
    if wrong_today >= attempt.daily_tries {
        return Ok(Redemption::Capped { retry_after: day_ends.since(now) });
    }
    let found: Option<([u8; 32], Vec<u8>, u32)> = tx
        .prepare_cached(
            "SELECT digest, payload, tries_left FROM claims
             WHERE subject = ?1 AND purpose = ?2 AND id = ?3 AND expires_at > ?4 AND tries_left > 0",
        )?
        .query_row(params![attempt.subject, attempt.purpose, attempt.id, now], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((digest, payload, tries)) = found else {
        return Ok(Redemption::Absent);
    };
    let Attempt { subject, purpose, id, .. } = attempt;
    if bool::from(digest.ct_eq(&attempt.digest)) {
        if attempt.spend {
            forget(tx, subject, purpose, id)?;
        }
        return Ok(Redemption::Redeemed(payload));
    }
    let tries_left = tries - 1;
    if tries_left == 0 {
        forget(tx, subject, purpose, id)?;
    } else {
        tx.prepare_cached(
            "UPDATE claims SET tries_left = tries_left - 1 WHERE subject = ?1 AND purpose = ?2 AND id = ?3",
        )?
        .execute([subject, purpose, id])?;
    }
    keep_tries(tx, subject, wrong_today + 1, day_ends)?;
    Ok(Redemption::Wrong { tries_left })
}

pub(super) fn peek(
    tx: &Connection,
    subject: &str,
    purpose: &str,
    id: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Vec<u8>>> {
    tx.prepare_cached(
        "SELECT payload FROM claims
         WHERE subject = ?1 AND purpose = ?2 AND id = ?3 AND expires_at > ?4 AND tries_left > 0",
    )?
    .query_row(params![subject, purpose, id, now], |row| row.get(0))
    .optional()
}

pub(super) fn forget(tx: &Connection, subject: &str, purpose: &str, id: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM claims WHERE subject = ?1 AND purpose = ?2 AND id = ?3")?
        .execute([subject, purpose, id])
        .map(drop)
}

pub(super) fn count_try(
    tx: &Connection,
    subject: &str,
    daily_tries: u32,
    now: Timestamp,
) -> rusqlite::Result<Allowance> {
    let (tries, day_ends) = tries_of(tx, subject, now)?;
    if tries >= daily_tries {
        return Ok(Allowance::Limited { retry_after: day_ends.since(now) });
    }
    keep_tries(tx, subject, tries + 1, day_ends)?;
    Ok(Allowance::Allowed)
}

pub(super) fn forgive_try(tx: &Connection, subject: &str, now: Timestamp) -> rusqlite::Result<()> {
    match tries_of(tx, subject, now)? {
        (0, _) => Ok(()),
        (tries, day_ends) => keep_tries(tx, subject, tries - 1, day_ends),
    }
}

/// How many wrong tries a subject has had in its day, and when that ends.
fn tries_of(tx: &Connection, subject: &str, now: Timestamp) -> rusqlite::Result<(u32, Timestamp)> {
    let found = tx
        .prepare_cached("SELECT tries, expires_at FROM wrong_tries WHERE subject = ?1 AND expires_at > ?2")?
        .query_row(params![subject, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.unwrap_or((0, now + DAY)))
}

fn keep_tries(tx: &Connection, subject: &str, tries: u32, day_ends: Timestamp) -> rusqlite::Result<()> {
    if tries == 0 {
        return tx.prepare_cached("DELETE FROM wrong_tries WHERE subject = ?1")?.execute([subject]).map(drop);
    }
    tx.prepare_cached("INSERT OR REPLACE INTO wrong_tries (subject, tries, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![subject, tries, day_ends])
        .map(drop)
}
