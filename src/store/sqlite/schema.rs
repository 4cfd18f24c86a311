//! Applies the migrations to the file and checks which it has. Knows no table but `signet_migrations`.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::clock::Timestamp;
use crate::store::migrations::{AppliedMigration, Migration, SQLITE, pending, require_all};
use crate::store::{self, Error};

/// Why the migrations could not be applied.
pub(super) enum MigrateError {
    /// The file's schema is newer, or another one.
    Refused(Error),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Applies the pending migrations and returns them. All or nothing: if one fails, the file is left as it was.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<&'static [Migration], MigrateError> {
    apply(connection, SQLITE, now)
}

fn apply<'a>(
    connection: &mut Connection,
    known: &'a [Migration],
    now: Timestamp,
) -> Result<&'a [Migration], MigrateError> {
    // IMMEDIATE: of processes that start at the same time, the first migrates and the others find nothing pending.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS signet_migrations (
             number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
         ) STRICT",
    )?;
    let pending = pending(super::STORE, known, &applied(&transaction)?).map_err(MigrateError::Refused)?;
    for migration in pending {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO signet_migrations (number, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
            params![migration.number, migration.name, migration.checksum(), now],
        )?;
    }
    transaction.commit()?;
    Ok(pending)
}

/// The migrations that were applied to the file.
pub(super) fn applied(connection: &Connection) -> rusqlite::Result<Vec<AppliedMigration>> {
    connection
        .prepare_cached("SELECT number, name, checksum FROM signet_migrations ORDER BY number")?
        .query_map([], |row| Ok(AppliedMigration { number: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? }))?
        .collect()
}

/// Checks that the file has every migration that this program needs.
pub(super) fn check(applied: &[AppliedMigration]) -> store::Result<()> {
    require_all(super::STORE, SQLITE, applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
    const ONE: Migration = Migration { number: 1, name: "one", sql: "CREATE TABLE one (a INTEGER) STRICT" };
    const TWO: Migration = Migration { number: 2, name: "two", sql: "CREATE TABLE two (a INTEGER) STRICT" };

    fn apply_all(connection: &mut Connection, known: &[Migration]) -> Result<Vec<i32>, String> {
        match apply(connection, known, NOW) {
            Ok(applied) => Ok(applied.iter().map(|migration| migration.number).collect()),
            Err(MigrateError::Refused(error)) => Err(error.to_string()),
            Err(MigrateError::Sqlite(error)) => Err(format!("refused: {error}")),
        }
    }

    #[test]
    fn migrations_are_applied_once_and_in_order() {
        let mut file = Connection::open_in_memory().unwrap();
        assert_eq!(apply_all(&mut file, &[ONE]), Ok(vec![1]));
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![2]));
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![]));
        assert!(apply_all(&mut file, &[ONE]).unwrap_err().contains("newer signet"));
    }

    #[test]
    fn failing_migration_rolls_back_all() {
        let mut file = Connection::open_in_memory().unwrap();
        let broken = Migration { sql: "CREATE TABLE two (a INTEGER) STRICT; nonsense", ..TWO };
        assert!(apply_all(&mut file, &[ONE, broken]).unwrap_err().starts_with("refused"));
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![1, 2]));
    }
}
