//! Sessions: the statements. Each function is the whole of one atomic step.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::{
    Ended, Opened, Revocation, RotateRequest, Rotation, Session, SessionSnapshot, SignOutScope, Target,
};
use super::revocations;
use super::sweep::day_after;
use crate::clock::{MAX_CLOCK_SKEW, Timestamp};
use crate::id::{SessionId, UserId};
use crate::store::sqlite::{Count, Span};

/// How long a mark is kept: longer than a sign-in can take.
const MARK: Duration = Duration::from_secs(600);

/// The columns of a session in the order in which [`row`] reads them.
macro_rules! columns {
    () => {
        "id, user_id, counter, opened_at, used_at, rotated_at, idle, ends_at, dialect, address, agent, profile"
    };
}

fn row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        user: row.get(1)?,
        counter: row.get::<_, Count>(2)?.0,
        opened_at: row.get(3)?,
        used_at: row.get(4)?,
        rotated_at: row.get(5)?,
        idle: row.get::<_, Span>(6)?.0,
        ends_at: row.get(7)?,
        dialect: row.get(8)?,
        address: row.get(9)?,
        agent: row.get(10)?,
        profile: row.get(11)?,
    })
}

pub(super) fn open(
    tx: &Connection,
    session: &Session,
    valid_after: Timestamp,
    most: u32,
    remember_until: Timestamp,
) -> rusqlite::Result<Opened> {
    let now = session.used_at;
    let superseded = tx
        .prepare_cached("SELECT 1 FROM sign_in_marks WHERE user_id = ?1 AND valid_after > ?2 AND expires_at > ?3")?
        .exists(params![session.user, valid_after, now])?;
    if superseded {
        return Ok(Opened::Superseded);
    }
    drop_over(tx, session.user, now)?;
    tx.prepare_cached(concat!(
        "INSERT INTO sessions (",
        columns!(),
        ", sweep_on) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    ))?
    .execute(params![
        session.id,
        session.user,
        Count(session.counter),
        session.opened_at,
        session.used_at,
        session.rotated_at,
        Span(session.idle),
        session.ends_at,
        session.dialect,
        session.address,
        session.agent,
        session.profile,
        day_after(session.expires_at()),
    ])?;
    let ended: Vec<SessionId> = tx
        .prepare_cached(
            "DELETE FROM sessions WHERE rowid IN
                 (SELECT rowid FROM sessions WHERE user_id = ?1 AND id <> ?2
                  ORDER BY opened_at DESC, id DESC LIMIT -1 OFFSET ?3)
             RETURNING id",
        )?
        .query_map(params![session.user, session.id, most.saturating_sub(1)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let targets = ended.into_iter().map(Target::Session).collect();
    Ok(Opened::Opened { ended: publish(tx, targets, remember_until, now)? })
}

/// Publishes what was ended.
fn publish(
    tx: &Connection,
    targets: Vec<Target>,
    until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Vec<Revocation>> {
    let revocations: Vec<_> = targets.into_iter().map(|target| Revocation { target, until }).collect();
    for revocation in &revocations {
        revocations::publish(tx, revocation, now)?;
    }
    Ok(revocations)
}

/// What a presentation reads of a session, and where it lies.
struct Place {
    row: i64,
    rotated_at: Timestamp,
    idle: Duration,
    ends_at: Timestamp,
    standing: SessionSnapshot,
}

impl Place {
    fn find(tx: &Connection, user: UserId, session: SessionId) -> rusqlite::Result<Option<Self>> {
        tx.prepare_cached(
            "SELECT rowid, counter, opened_at, rotated_at, idle, ends_at, profile FROM sessions
             WHERE id = ?1 AND user_id = ?2",
        )?
        .query_row(params![session, user], |row| {
            let (rotated_at, idle, ends_at): (Timestamp, _, Timestamp) =
                (row.get(3)?, row.get::<_, Span>(4)?.0, row.get(5)?);
            let standing = SessionSnapshot {
                id: session,
                user,
                counter: row.get::<_, Count>(1)?.0,
                opened_at: row.get(2)?,
                expires_at: ends_at.min(rotated_at + idle),
                profile: row.get(6)?,
            };
            Ok(Self { row: row.get(0)?, rotated_at, idle, ends_at, standing })
        })
        .optional()
    }
}

pub(super) fn present(tx: &Connection, presented: RotateRequest, now: Timestamp) -> rusqlite::Result<Rotation> {
    let found = Place::find(tx, presented.user, presented.session)?;
    let in_force = |place: &Place| place.standing.expires_at > now && place.standing.opened_at >= presented.floor;
    let Some(Place { row, mut rotated_at, idle, ends_at, mut standing }) = found.filter(in_force) else {
        return Ok(Rotation::Absent);
    };
    if presented.counter >= standing.counter {
        let day_before = day_after(standing.expires_at);
        standing.counter = presented.counter;
        if presented.rotate {
            standing.counter = presented.counter.saturating_add(1);
            rotated_at = now;
            standing.expires_at = ends_at.min(now + idle);
        }
        tx.prepare_cached("UPDATE sessions SET counter = ?2, used_at = ?3, rotated_at = ?4 WHERE rowid = ?1")?
            .execute(params![row, Count(standing.counter), now, rotated_at])?;
        let day = day_after(standing.expires_at);
        if day != day_before {
            tx.prepare_cached("UPDATE sessions SET sweep_on = ?2 WHERE rowid = ?1")?.execute(params![row, day])?;
        }
        return Ok(Rotation::Rotated(standing));
    }
    // A rotation that is still to come was made before the clock was set back: the grace does not wait until it has come.
    let in_time = now.since(rotated_at) <= presented.grace && rotated_at.since(now) <= MAX_CLOCK_SKEW;
    let graced = !presented.grace.is_zero() && in_time;
    if presented.counter + 1 == standing.counter && graced {
        return Ok(Rotation::Repeated(standing));
    }
    tx.prepare_cached("DELETE FROM sessions WHERE rowid = ?1")?.execute([row])?;
    let reused = Revocation { target: Target::Session(standing.id), until: presented.remember_until };
    revocations::publish(tx, &reused, now)?;
    Ok(Rotation::Reused)
}

pub(super) fn one(
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

/// The newest first, with those that are over.
pub(super) fn of_user(tx: &Connection, user: UserId) -> rusqlite::Result<Vec<Session>> {
    tx.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM sessions WHERE user_id = ?1 ORDER BY opened_at DESC, id DESC"
    ))?
    .query_map([user], row)?
    .collect()
}

/// Drops the user's sessions that are over.
pub(super) fn drop_over(tx: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<usize> {
    tx.prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND min(ends_at, rotated_at + idle) <= ?2")?
        .execute(params![user, now])
}

pub(super) fn set_profile(tx: &Connection, user: UserId, profile: &str, now: Timestamp) -> rusqlite::Result<u64> {
    tx.prepare_cached("UPDATE sessions SET profile = ?2 WHERE user_id = ?1 AND min(ends_at, rotated_at + idle) > ?3")?
        .execute(params![user, profile, now])
        .map(|open| open as u64)
}

pub(super) fn end(
    tx: &Connection,
    user: UserId,
    which: SignOutScope,
    valid_after: Option<Timestamp>,
    remember_until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Ended> {
    if let Some(valid_after) = valid_after {
        mark(tx, user, valid_after, now)?;
    }
    drop_over(tx, user, now)?;
    let (one, others) = match which {
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
    // Before the clock was set back, sessions were opened and tokens made that are newer than `now`; they are ended too.
    let before = ended.iter().map(|(_, last)| *last).fold(now, Timestamp::max);
    let targets = match which {
        // Also when no session is left: tokens made in sessions that are over may still be good.
        SignOutScope::All => vec![Target::User { user, before }],
        SignOutScope::One(_) | SignOutScope::Others(_) => ended.iter().map(|(id, _)| Target::Session(*id)).collect(),
    };
    Ok(Ended { count: ended.len() as u64, revocations: publish(tx, targets, remember_until, now)? })
}

fn mark(tx: &Connection, user: UserId, valid_after: Timestamp, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO sign_in_marks (user_id, valid_after, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (user_id) DO UPDATE SET valid_after = max(valid_after, excluded.valid_after),
                                          expires_at = max(expires_at, excluded.expires_at)",
    )?
    .execute(params![user, valid_after, now + MARK])
    .map(drop)
}
