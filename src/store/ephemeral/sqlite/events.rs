//! SQL of the lists of security events.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{EventBounds, EventClass, EventQuery, EventRange, EventScope, Position, StoredEvent};
use crate::clock::Timestamp;

/// How many events beyond the bound an append deletes besides those that it displaces. Only a bound that was lowered
/// leaves more.
const EXTRA_DELETED: usize = 100;

pub(super) fn append(
    tx: &Connection,
    scope: EventScope,
    events: &[(EventClass, String)],
    bounds: EventBounds,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (list, classes) = (key(&scope), scope.classes());
    let mut numbers = [0; 3];
    for class in classes {
        numbers[usize::from(code(*class))] = newest_number(tx, list, *class)?;
    }
    for (class, text) in events {
        let class = code(scope.class(*class));
        let number = &mut numbers[usize::from(class)];
        *number += 1;
        tx.prepare_cached(
            "INSERT INTO events (scope, is_attempt, number, at, expires_at, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![list, class, *number, now, now + bounds.keep, text])?;
    }
    let examined = (events.len() + EXTRA_DELETED) as i64;
    for class in classes {
        let class = code(*class);
        let last_displaced = numbers[usize::from(class)] - i64::from(bounds.count);
        tx.prepare_cached(
            "DELETE FROM events WHERE place IN (
                 SELECT place FROM (
                     SELECT place, number FROM events WHERE scope = ?1 AND is_attempt = ?2 ORDER BY place LIMIT ?3
                 ) WHERE number <= ?4
             )",
        )?
        .execute(params![list, class, examined, last_displaced])?;
    }
    Ok(())
}

/// The number of the newest event of a class; 0 if there is none.
fn newest_number(tx: &Connection, scope: &[u8], class: EventClass) -> rusqlite::Result<i64> {
    let number = tx
        .prepare_cached("SELECT number FROM events WHERE scope = ?1 AND is_attempt = ?2 ORDER BY place DESC LIMIT 1")?
        .query_row(params![scope, code(class)], |row| row.get(0))
        .optional()?;
    Ok(number.unwrap_or(0))
}

/// Reads the classes by the index, each up to the limit, and merges them.
pub(super) fn read(tx: &Connection, query: EventQuery) -> rusqlite::Result<Vec<StoredEvent>> {
    let (scope, mut found) = (key(&query.scope), Vec::new());
    let (sql, place) = match query.range {
        EventRange::Newest => (DESCENDING, i64::MAX),
        EventRange::Before(position) => (DESCENDING, place(position)),
        EventRange::After(position) => (ASCENDING, place(position)),
    };
    for class in query.scope.classes().iter().filter(|class| query.includes(**class)) {
        let mut statement = tx.prepare_cached(sql)?;
        let rows = statement.query_map(params![scope, code(*class), place, query.not_before, query.limit], |row| {
            let place: i64 = row.get(0)?;
            let position = Position { major: u64::try_from(place).unwrap_or_default(), minor: 0 };
            Ok(StoredEvent { position, text: row.get(1)? })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_unstable_by_key(|event| event.position);
    if sql == DESCENDING {
        found.reverse();
    }
    found.truncate(query.limit as usize);
    Ok(found)
}

const DESCENDING: &str = "SELECT place, event FROM events
     WHERE scope = ?1 AND is_attempt = ?2 AND place < ?3 AND at >= ?4 ORDER BY place DESC LIMIT ?5";

const ASCENDING: &str = "SELECT place, event FROM events
     WHERE scope = ?1 AND is_attempt = ?2 AND place > ?3 AND at >= ?4 ORDER BY place LIMIT ?5";

/// The id of the user; nothing for the fleet.
fn key(scope: &EventScope) -> &[u8] {
    match scope {
        EventScope::Fleet => &[],
        EventScope::User(user) => user.as_bytes(),
    }
}

/// The value of the column `is_attempt`. The third class came later. The column keeps its name, because the programs of
/// the version before name it.
fn code(class: EventClass) -> u8 {
    match class {
        EventClass::Action => 0,
        EventClass::Attempt => 1,
        EventClass::Privileged => 2,
    }
}

fn place(position: Position) -> i64 {
    i64::try_from(position.major).unwrap_or(i64::MAX)
}
