//! The schema of the file: its steps, and bringing a file to the last of them. Knows nothing of what is kept in it.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::clock::Timestamp;
use crate::store::migrations::{Migration, Recorded, pending, sufficient};
use crate::store::{self, Error};

/// Every step, in order.
const STEPS: &[Migration] = &[
    Migration { number: 1, name: "accounts", sql: include_str!("../../../migrations/sqlite/0001_accounts.sql") },
    Migration { number: 2, name: "ephemeral", sql: include_str!("../../../migrations/sqlite/0002_ephemeral.sql") },
    Migration { number: 3, name: "endings", sql: include_str!("../../../migrations/sqlite/0003_endings.sql") },
];

/// Why a file was not brought up to date.
pub(super) enum Failure {
    /// Its schema is not a beginning of ours.
    Foreign(Error),
    /// SQLite refused.
    Refused(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Refused(error)
    }
}

/// Applies the steps that are due and gives them. All or nothing: a failing step leaves the file as it was.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<&'static [Migration], Failure> {
    apply(connection, STEPS, now)
}

fn apply<'a>(connection: &mut Connection, known: &'a [Migration], now: Timestamp) -> Result<&'a [Migration], Failure> {
    // IMMEDIATE: of all processes that start at once the first does it and the others find it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS signet_migrations (
             number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
         ) STRICT",
    )?;
    let due = pending(super::STORE, known, &recorded(&transaction)?).map_err(Failure::Foreign)?;
    for step in due {
        transaction.execute_batch(step.sql)?;
        transaction.execute(
            "INSERT INTO signet_migrations (number, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
            params![step.number, step.name, step.checksum(), now],
        )?;
    }
    transaction.commit()?;
    Ok(due)
}

/// The steps that the file has seen.
pub(super) fn recorded(connection: &Connection) -> rusqlite::Result<Vec<Recorded>> {
    connection
        .prepare_cached("SELECT number, name, checksum FROM signet_migrations ORDER BY number")?
        .query_map([], |row| Ok(Recorded { number: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? }))?
        .collect()
}

/// Whether what the file has seen is a schema that will do.
pub(super) fn compare(recorded: &[Recorded]) -> store::Result<()> {
    sufficient(super::STORE, STEPS, recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
    const ONE: Migration = Migration { number: 1, name: "one", sql: "CREATE TABLE one (a INTEGER) STRICT" };
    const TWO: Migration = Migration { number: 2, name: "two", sql: "CREATE TABLE two (a INTEGER) STRICT" };

    fn applied(connection: &mut Connection, known: &[Migration]) -> Result<Vec<i32>, String> {
        match apply(connection, known, NOW) {
            Ok(due) => Ok(due.iter().map(|step| step.number).collect()),
            Err(Failure::Foreign(error)) => Err(error.to_string()),
            Err(Failure::Refused(error)) => Err(format!("refused: {error}")),
        }
    }

    #[test]
    fn each_step_is_applied_once_and_in_order() {
        let mut file = Connection::open_in_memory().unwrap();
        assert_eq!(applied(&mut file, &[ONE]), Ok(vec![1]));
        assert_eq!(applied(&mut file, &[ONE, TWO]), Ok(vec![2]));
        assert_eq!(applied(&mut file, &[ONE, TWO]), Ok(vec![]));
        assert!(applied(&mut file, &[ONE]).unwrap_err().contains("newer signet"));
    }

    #[test]
    fn a_failing_step_leaves_nothing_of_any() {
        let mut file = Connection::open_in_memory().unwrap();
        let broken = Migration { sql: "CREATE TABLE two (a INTEGER) STRICT; nonsense", ..TWO };
        assert!(applied(&mut file, &[ONE, broken]).unwrap_err().starts_with("refused"));
        assert_eq!(applied(&mut file, &[ONE, TWO]), Ok(vec![1, 2]));
    }
}
