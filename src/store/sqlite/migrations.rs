//! The schema and its history: each step is applied once, in order, under the write lock, and recorded with a digest of
//! its text. A file that a newer program has changed, or whose history reads otherwise than ours, is refused.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::time::Timestamp;

/// One step: its number, its name and its text, as in `migrations/sqlite`.
#[derive(Clone, Copy)]
struct Migration {
    number: u32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations! {
    1 "0001_accounts",
    2 "0002_ephemeral",
};

/// Why a file was not brought up to date.
pub(super) enum Failure {
    Newer { found: u32 },
    Changed { number: u32, name: String },
    Refused(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Refused(error)
    }
}

/// The newest step that this program knows.
pub(super) fn known() -> u32 {
    newest(MIGRATIONS)
}

fn newest(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(0, |migration| migration.number)
}

/// Applies what is missing and names it. All or nothing: a failing step leaves the file as it was.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<Vec<&'static str>, Failure> {
    apply(connection, MIGRATIONS, now)
}

fn apply(connection: &mut Connection, migrations: &[Migration], now: Timestamp) -> Result<Vec<&'static str>, Failure> {
    // IMMEDIATE: of all processes that start at once the first does it and the others find it done.
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    step.execute_batch(
        "CREATE TABLE IF NOT EXISTS signet_migrations (
             number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL, applied_at INTEGER NOT NULL
         ) STRICT",
    )?;
    let found = recorded(&step)?;
    if found > newest(migrations) {
        return Err(Failure::Newer { found });
    }
    let mut applied = Vec::new();
    for Migration { number, name, sql } in migrations {
        let checksum = digest(&SHA256, sql.as_bytes());
        let known: Option<Vec<u8>> = step
            .query_row("SELECT checksum FROM signet_migrations WHERE number = ?1", [number], |row| row.get(0))
            .optional()?;
        match known {
            Some(known) if known == checksum.as_ref() => {}
            Some(_) => return Err(Failure::Changed { number: *number, name: (*name).to_owned() }),
            None => {
                step.execute_batch(sql)?;
                step.execute(
                    "INSERT INTO signet_migrations (number, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
                    params![number, name, checksum.as_ref(), now],
                )?;
                applied.push(*name);
            }
        }
    }
    step.commit()?;
    Ok(applied)
}

/// The newest step that the file has seen.
pub(super) fn recorded(connection: &Connection) -> rusqlite::Result<u32> {
    connection.prepare_cached("SELECT coalesce(max(number), 0) FROM signet_migrations")?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
    const ONE: Migration = Migration { number: 1, name: "0001_one", sql: "CREATE TABLE one (a INTEGER) STRICT" };
    const TWO: Migration = Migration { number: 2, name: "0002_two", sql: "CREATE TABLE two (a INTEGER) STRICT" };

    fn applied(connection: &mut Connection, migrations: &[Migration]) -> Result<Vec<&'static str>, String> {
        apply(connection, migrations, NOW).map_err(|failure| match failure {
            Failure::Newer { found } => format!("newer: {found}"),
            Failure::Changed { number, name } => format!("changed: {number} {name}"),
            Failure::Refused(error) => format!("refused: {error}"),
        })
    }

    #[test]
    fn each_step_is_applied_once_and_in_order() {
        let mut file = Connection::open_in_memory().unwrap();
        assert_eq!(applied(&mut file, &[ONE]), Ok(vec!["0001_one"]));
        assert_eq!(applied(&mut file, &[ONE, TWO]), Ok(vec!["0002_two"]));
        assert_eq!(applied(&mut file, &[ONE, TWO]), Ok(vec![]));
        assert_eq!(recorded(&file).unwrap(), 2);
    }

    #[test]
    fn an_older_program_refuses_a_newer_file() {
        let mut file = Connection::open_in_memory().unwrap();
        applied(&mut file, &[ONE, TWO]).unwrap();
        assert_eq!(applied(&mut file, &[ONE]), Err("newer: 2".into()));
    }

    #[test]
    fn a_step_whose_text_has_changed_is_refused() {
        let mut file = Connection::open_in_memory().unwrap();
        applied(&mut file, &[ONE]).unwrap();
        let other = Migration { sql: "CREATE TABLE one (b INTEGER) STRICT", ..ONE };
        assert_eq!(applied(&mut file, &[other]), Err("changed: 1 0001_one".into()));
    }

    #[test]
    fn a_failing_step_leaves_nothing_of_any() {
        let mut file = Connection::open_in_memory().unwrap();
        let broken = Migration { sql: "CREATE TABLE two (a INTEGER) STRICT; nonsense", ..TWO };
        assert!(applied(&mut file, &[ONE, broken]).unwrap_err().starts_with("refused"));
        assert_eq!(applied(&mut file, &[ONE, TWO]), Ok(vec!["0001_one", "0002_two"]));
    }
}
