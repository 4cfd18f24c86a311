//! Applies the migrations to the file and checks which it has. Knows no table but `signet_migrations`.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::clock::Timestamp;
use crate::store::migrations::{AppliedMigration, Migrated, Migration, SQLITE, Schema, pending, require_all};
use crate::store::{self, Error};

/// Why the migrations could not be applied.
pub(super) enum MigrateError {
    /// The file's schema is another one, or this program is too old for it.
    Refused(Error),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Applies the pending migrations. All or nothing: if one fails, the file is left as it was.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<Migrated, MigrateError> {
    let applied = apply(connection, SQLITE, now)?;
    Ok(Migrated { applied, schema: schema(&self::applied(connection)?) })
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
    if !pending.is_empty() && !transaction.column_exists(None, "signet_migrations", "oldest_reader")? {
        // A file that an older program created has no such column.
        transaction.execute_batch("ALTER TABLE signet_migrations ADD COLUMN oldest_reader INTEGER")?;
    }
    for migration in pending {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO signet_migrations (number, name, checksum, applied_at, oldest_reader)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![migration.number, migration.name, migration.checksum(), now, migration.oldest_reader()],
        )?;
    }
    transaction.commit()?;
    Ok(pending)
}

/// The migrations that were applied to the file.
pub(super) fn applied(connection: &Connection) -> rusqlite::Result<Vec<AppliedMigration>> {
    // A file that an older program created has no column `oldest_reader`: the name then is that of the outer query, which
    // is NULL. One statement, because a program that migrates adds the column and rows together.
    connection
        .prepare_cached(
            "SELECT number, name, checksum,
                    (SELECT oldest_reader FROM signet_migrations AS same WHERE same.number = signet_migrations.number)
             FROM signet_migrations CROSS JOIN (SELECT NULL AS oldest_reader) ORDER BY number",
        )?
        .query_map([], |row| {
            Ok(AppliedMigration {
                number: row.get(0)?,
                name: row.get(1)?,
                checksum: row.get(2)?,
                oldest_reader: row.get(3)?,
            })
        })?
        .collect()
}

/// The schema of a file with these migrations.
pub(super) fn schema(applied: &[AppliedMigration]) -> Schema {
    Schema::of(SQLITE, applied)
}

/// Checks that the file has every migration that this program needs, and that this program can work on it.
pub(super) fn check(applied: &[AppliedMigration]) -> store::Result<()> {
    require_all(super::STORE, SQLITE, applied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::Effect;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
    const ONE: Migration =
        Migration { number: 1, name: "one", sql: "CREATE TABLE one (a INTEGER) STRICT", effect: Effect::Expand };
    const TWO: Migration =
        Migration { number: 2, name: "two", sql: "CREATE TABLE two (a INTEGER) STRICT", effect: Effect::Expand };
    const THREE: Migration =
        Migration { number: 3, name: "three", sql: "DROP TABLE one", effect: Effect::Contract { oldest_reader: 2 } };

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
    }

    #[test]
    fn older_program_works_unless_a_migration_excludes_it() {
        let mut file = Connection::open_in_memory().unwrap();
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![1, 2]));
        assert_eq!(apply_all(&mut file, &[ONE]), Ok(vec![]));
        assert_eq!(apply_all(&mut file, &[ONE, TWO, THREE]), Ok(vec![3]));
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![]));
        assert!(apply_all(&mut file, &[ONE]).unwrap_err().contains("newer signet"));
    }

    #[test]
    fn older_file_gets_records_from_the_next_migration_on() {
        let mut file = Connection::open_in_memory().unwrap();
        file.execute_batch(
            "CREATE TABLE signet_migrations (
                 number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
             ) STRICT;
             CREATE TABLE one (a INTEGER) STRICT;",
        )
        .unwrap();
        let row = "INSERT INTO signet_migrations VALUES (1, 'one', ?1, 0)";
        file.execute(row, [ONE.checksum()]).unwrap();
        let records = |file: &Connection| {
            let applied = applied(file).unwrap();
            applied.into_iter().map(|migration| migration.oldest_reader).collect::<Vec<_>>()
        };
        assert_eq!(records(&file), [None]);
        assert_eq!(apply_all(&mut file, &[ONE]), Ok(vec![]));
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![2]));
        assert_eq!(records(&file), [None, Some(0)]);
        // Its own statement still works.
        file.execute("INSERT INTO signet_migrations (number, name, checksum, applied_at) VALUES (9, '', '', 0)", [])
            .unwrap();
        assert_eq!(records(&file), [None, Some(0), None]);
    }

    #[test]
    fn failing_migration_rolls_back_all() {
        let mut file = Connection::open_in_memory().unwrap();
        let broken = Migration { sql: "CREATE TABLE two (a INTEGER) STRICT; nonsense", ..TWO };
        assert!(apply_all(&mut file, &[ONE, broken]).unwrap_err().starts_with("refused"));
        assert_eq!(apply_all(&mut file, &[ONE, TWO]), Ok(vec![1, 2]));
    }
}
