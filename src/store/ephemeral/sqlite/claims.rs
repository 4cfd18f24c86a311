//! Claims and the wrong tries of a day: the statements. Each function is the whole of one atomic step.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use subtle::ConstantTimeEq;

use super::super::{Claim, Redeem, Redemption};
use crate::time::Timestamp;

/// The day in which a subject's wrong tries are counted together. It begins with the first of them.
const DAY: Duration = Duration::from_secs(86_400);

/// A try at a claim, owned, so that the writer's thread can have it.
pub(super) struct Attempt {
    subject: String,
    purpose: String,
    id: String,
    digest: [u8; 32],
    daily_tries: u32,
}

impl From<Redeem<'_>> for Attempt {
    fn from(redeem: Redeem<'_>) -> Self {
        Self {
            subject: redeem.subject.to_owned(),
            purpose: redeem.purpose.to_owned(),
            id: redeem.id.to_owned(),
            digest: redeem.digest,
            daily_tries: redeem.daily_tries,
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
    let (wrong_today, day_ends) = tx
        .prepare_cached("SELECT tries, expires_at FROM wrong_tries WHERE subject = ?1 AND expires_at > ?2")?
        .query_row(params![attempt.subject, now], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or((0, now + DAY));
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
    let claim = params![attempt.subject, attempt.purpose, attempt.id];
    if bool::from(digest.ct_eq(&attempt.digest)) {
        tx.prepare_cached("DELETE FROM claims WHERE subject = ?1 AND purpose = ?2 AND id = ?3")?.execute(claim)?;
        return Ok(Redemption::Redeemed(payload));
    }
    let tries_left = tries - 1;
    if tries_left == 0 {
        tx.prepare_cached("DELETE FROM claims WHERE subject = ?1 AND purpose = ?2 AND id = ?3")?.execute(claim)?;
    } else {
        tx.prepare_cached(
            "UPDATE claims SET tries_left = tries_left - 1 WHERE subject = ?1 AND purpose = ?2 AND id = ?3",
        )?
        .execute(claim)?;
    }
    tx.prepare_cached("INSERT OR REPLACE INTO wrong_tries (subject, tries, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![attempt.subject, wrong_today + 1, day_ends])?;
    Ok(Redemption::Wrong { tries_left })
}
