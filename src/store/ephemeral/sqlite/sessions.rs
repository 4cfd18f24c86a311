//! SQL of sessions. Each function is one atomic step.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::{
    Ended, Opened, Revocation, RotateRequest, Rotation, Session, SessionClaims, SessionSnapshot, SignOutScope, Target,
};
use super::sweep::day_after;
use super::{limits, revocations};
use crate::clock::{MAX_CLOCK_SKEW, Timestamp};
use crate::id::{SessionId, UserId};
use crate::store::sqlite::{BitsU64, Millis};

/// How long a sign-in mark is kept: longer than a sign-in can take.
const MARK_TTL: Duration = Duration::from_secs(600);

/// The columns of a session, in the order in which [`row`] reads them.
macro_rules! columns {
    () => {
        "id, user_id, counter, opened_at, used_at, rotated_at, idle, ends_at, dialect, address, agent, profile, \
         auth_time, custom_claims"
    };
}

fn row(row: &Row<'_>) -> rusqlite::Result<Session> {
    let opened_at = row.get(3)?;
    Ok(Session {
        id: row.get(0)?,
        user: row.get(1)?,
        counter: row.get::<_, BitsU64>(2)?.0,
        opened_at,
        auth_time: row.get::<_, Option<_>>(12)?.unwrap_or(opened_at),
        used_at: row.get(4)?,
        rotated_at: row.get(5)?,
        idle_timeout: row.get::<_, Millis>(6)?.0,
        ends_at: row.get(7)?,
        dialect: row.get(8)?,
        client_ip: row.get(9)?,
        user_agent: row.get(10)?,
        claims: row.get(11)?,
        custom_claims: row.get::<_, Option<_>>(13)?.unwrap_or_default(),
    })
}

pub(super) fn open(
    tx: &Connection,
    session: &Session,
    network: &str,
    valid_after: Timestamp,
    max_sessions: u32,
    revocation_expires_at: Timestamp,
) -> rusqlite::Result<Opened> {
    let now = session.used_at;
    let superseded = tx
        .prepare_cached("SELECT 1 FROM sign_in_marks WHERE user_id = ?1 AND valid_after > ?2 AND expires_at > ?3")?
        .exists(params![session.user, valid_after, now])?;
    if superseded {
        return Ok(Opened::Superseded);
    }
    let from_new_network = limits::is_new_network(tx, session.user, network, now)?;
    limits::remember_network(tx, session.user, network, now)?;
    delete_expired(tx, session.user, now)?;
    tx.prepare_cached(concat!(
        "INSERT INTO sessions (",
        columns!(),
        ", sweep_on) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
    ))?
    .execute(params![
        session.id,
        session.user,
        BitsU64(session.counter),
        session.opened_at,
        session.used_at,
        session.rotated_at,
        Millis(session.idle_timeout),
        session.ends_at,
        session.dialect,
        session.client_ip,
        session.user_agent,
        session.claims,
        session.auth_time,
        stored(&session.custom_claims),
        day_after(session.expires_at()),
    ])?;
    let ended: Vec<SessionId> = tx
        .prepare_cached(
            "DELETE FROM sessions WHERE rowid IN
                 (SELECT rowid FROM sessions WHERE user_id = ?1 AND id <> ?2
                  ORDER BY opened_at DESC, id DESC LIMIT -1 OFFSET ?3)
             RETURNING id",
        )?
        .query_map(params![session.user, session.id, max_sessions.saturating_sub(1)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let targets = ended.into_iter().map(Target::Session).collect();
    Ok(Opened::Opened { ended: publish(tx, targets, revocation_expires_at, now)?, from_new_network })
}

/// Publishes a revocation of each target.
fn publish(
    tx: &Connection,
    targets: Vec<Target>,
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Vec<Revocation>> {
    let revocations: Vec<_> = targets.into_iter().map(|target| Revocation { target, expires_at }).collect();
    for revocation in &revocations {
        revocations::publish(tx, revocation, now)?;
    }
    Ok(revocations)
}

/// The columns that a refresh reads.
struct RefreshRow {
    rowid: i64,
    rotated_at: Timestamp,
    idle_timeout: Duration,
    ends_at: Timestamp,
    dialect: String,
    snapshot: SessionSnapshot,
}

impl RefreshRow {
    fn find(tx: &Connection, user: UserId, session: SessionId) -> rusqlite::Result<Option<Self>> {
        tx.prepare_cached(
            "SELECT rowid, counter, opened_at, rotated_at, idle, ends_at, profile, auth_time, dialect,
                    custom_claims
             FROM sessions
             WHERE id = ?1 AND user_id = ?2",
        )?
        .query_row(params![session, user], |row| {
            let (rotated_at, idle_timeout, ends_at): (Timestamp, _, Timestamp) =
                (row.get(3)?, row.get::<_, Millis>(4)?.0, row.get(5)?);
            let opened_at = row.get(2)?;
            let snapshot = SessionSnapshot {
                id: session,
                user,
                counter: row.get::<_, BitsU64>(1)?.0,
                opened_at,
                auth_time: row.get::<_, Option<_>>(7)?.unwrap_or(opened_at),
                expires_at: ends_at.min(rotated_at + idle_timeout),
                claims: row.get(6)?,
                custom_claims: row.get::<_, Option<_>>(9)?.unwrap_or_default(),
            };
            Ok(Self { rowid: row.get(0)?, rotated_at, idle_timeout, ends_at, dialect: row.get(8)?, snapshot })
        })
        .optional()
    }
}

pub(super) fn rotate(tx: &Connection, request: RotateRequest, now: Timestamp) -> rusqlite::Result<Rotation> {
    let found = RefreshRow::find(tx, request.user, request.session)?;
    let is_open = |row: &RefreshRow| row.snapshot.expires_at > now && row.snapshot.opened_at >= request.not_before;
    let Some(row) = found.filter(is_open) else {
        return Ok(Rotation::NotFound);
    };
    let violation = request.conditions.violation(&row.dialect, &row.snapshot.claims);
    let RefreshRow { rowid, mut rotated_at, idle_timeout, ends_at, mut snapshot, .. } = row;
    if request.counter >= snapshot.counter {
        if let Some(violation) = violation {
            return Ok(violation);
        }
        let day_before = day_after(snapshot.expires_at);
        snapshot.counter = request.counter;
        if request.rotate {
            snapshot.counter = request.counter.saturating_add(1);
            rotated_at = now;
            snapshot.expires_at = ends_at.min(now + idle_timeout);
        }
        tx.prepare_cached("UPDATE sessions SET counter = ?2, used_at = ?3, rotated_at = ?4 WHERE rowid = ?1")?
            .execute(params![rowid, BitsU64(snapshot.counter), now, rotated_at])?;
        let day = day_after(snapshot.expires_at);
        if day != day_before {
            tx.prepare_cached("UPDATE sessions SET sweep_on = ?2 WHERE rowid = ?1")?.execute(params![rowid, day])?;
        }
        return Ok(Rotation::Rotated(snapshot));
    }
    // A rotation in the future happened before the clock was set back. The grace must not last until that time has
    // come.
    let within_grace = now.since(rotated_at) <= request.grace && rotated_at.since(now) <= MAX_CLOCK_SKEW;
    let is_replay = !request.grace.is_zero() && within_grace && request.counter + 1 == snapshot.counter;
    if is_replay {
        return Ok(violation.unwrap_or(Rotation::Replayed(snapshot)));
    }
    tx.prepare_cached("DELETE FROM sessions WHERE rowid = ?1")?.execute([rowid])?;
    let reused = Revocation { target: Target::Session(snapshot.id), expires_at: request.revocation_expires_at };
    revocations::publish(tx, &reused, now)?;
    Ok(Rotation::Reused)
}

pub(super) fn find(
    tx: &Connection,
    user: UserId,
    session: SessionId,
    now: Timestamp,
) -> rusqlite::Result<Option<Session>> {
    let found = tx
        .prepare_cached(concat!("SELECT ", columns!(), " FROM sessions WHERE id = ?1 AND user_id = ?2"))?
        .query_row(params![session, user], row)
        .optional()?;
    Ok(found.filter(|session| session.expires_at() > now))
}

/// All sessions of the user, newest first, including expired ones.
pub(super) fn list(tx: &Connection, user: UserId) -> rusqlite::Result<Vec<Session>> {
    tx.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM sessions WHERE user_id = ?1 ORDER BY opened_at DESC, id DESC"
    ))?
    .query_map([user], row)?
    .collect()
}

/// Deletes the user's expired sessions.
pub(super) fn delete_expired(tx: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<usize> {
    tx.prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND min(ends_at, rotated_at + idle) <= ?2")?
        .execute(params![user, now])
}

pub(super) fn set_claims(
    tx: &Connection,
    user: UserId,
    claims: &SessionClaims,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    tx.prepare_cached(
        "UPDATE sessions SET profile = ?2, custom_claims = ?3
         WHERE user_id = ?1 AND min(ends_at, rotated_at + idle) > ?4",
    )?
    .execute(params![user, claims.claims, stored(&claims.custom_claims), now])
    .map(|open| open as u64)
}

/// Custom claims as they are stored: no claims are NULL, as in sessions that an older build opened.
fn stored(custom_claims: &str) -> Option<&str> {
    (!custom_claims.is_empty()).then_some(custom_claims)
}

pub(super) fn end(
    tx: &Connection,
    user: UserId,
    scope: SignOutScope,
    valid_after: Option<Timestamp>,
    revocation_expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Ended> {
    if let Some(valid_after) = valid_after {
        set_mark(tx, user, valid_after, now)?;
        // Someone who knew the old password may have signed in from them.
        limits::forget_networks(tx, user)?;
    }
    delete_expired(tx, user, now)?;
    let (one, others) = match scope {
        SignOutScope::One(session) => (Some(session), None),
        SignOutScope::Others(session) => (None, Some(session)),
        SignOutScope::All => (None, None),
    };
    let ended: Vec<(SessionId, Timestamp)> = tx
        .prepare_cached(
            "DELETE FROM sessions WHERE user_id = ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR id <> ?3)
             RETURNING id, max(opened_at, used_at)",
        )?
        .query_map(params![user, one, others], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    // Sessions and tokens from before the clock was set back can be newer than `now`. They are revoked too.
    let before = ended.iter().map(|(_, last)| *last).fold(now, Timestamp::max);
    let targets = match scope {
        // Also if no session is left: tokens of expired sessions may still be valid.
        SignOutScope::All => vec![Target::User { user, before }],
        SignOutScope::One(_) | SignOutScope::Others(_) => ended.iter().map(|(id, _)| Target::Session(*id)).collect(),
    };
    Ok(Ended { count: ended.len() as u64, revocations: publish(tx, targets, revocation_expires_at, now)? })
}

/// Keeps sign-ins that read an earlier `valid_after` from opening a session.
fn set_mark(tx: &Connection, user: UserId, valid_after: Timestamp, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO sign_in_marks (user_id, valid_after, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (user_id) DO UPDATE SET valid_after = max(valid_after, excluded.valid_after),
                                          expires_at = max(expires_at, excluded.expires_at)",
    )?
    .execute(params![user, valid_after, now + MARK_TTL])
    .map(drop)
}
