//! Copies of the file: taken beside running processes, verified, and exclusive access to a file that is to be replaced.
//! Knows the tables only to count their rows.

use std::path::Path;

use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase};
use rusqlite::{Connection, OpenFlags};

use super::{OpenError, file, schema};
use crate::clock::Timestamp;
use crate::config::Durability;
use crate::store::migrations::{SQLITE, pending};

/// The name of the file in `data_dir`.
pub const FILE: &str = file::NAME;

/// The endings of the files that SQLite keeps beside the file while it is open.
pub const FILES_BESIDE: [&str; 2] = ["-wal", "-shm"];

/// The schema and the numbers of rows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The number of its newest migration.
    pub schema: i32,
    /// Users.
    pub users: u64,
    /// API keys, active or not.
    pub api_keys: u64,
    /// Sessions that have not been removed yet.
    pub sessions: u64,
}

/// Copies the file in `dir` to `target`, which must not exist, as it is at one moment. Readers and writers of other
/// processes go on meanwhile. The copy has no free pages, so it holds nothing that was deleted.
pub fn copy(dir: &Path, target: &Path) -> Result<(), OpenError> {
    let source = file::find(dir)?.unwrap_or_else(|| dir.join(FILE));
    let unreadable = |error: rusqlite::Error| OpenError::from_sqlite(&source, &error);
    let connection = file::open_for_copy(&source).map_err(unreadable)?;
    let Some(name) = target.to_str() else {
        return Err(OpenError::Unreadable { path: target.to_owned(), detail: "its path is not UTF-8".to_owned() });
    };
    match connection.execute("VACUUM INTO ?1", [name]) {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(DiskFull) => Err(OpenError::from_sqlite(target, &error)),
        Err(error) => Err(unreadable(error)),
    }
}

/// Verifies a copy, which no process has open: every page, every reference and the schema. Refuses a schema that this
/// program is too old for.
pub fn inspect(path: &Path) -> Result<Contents, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| damaged(path, &error))?;
    let problem = check_integrity(&connection).map_err(|error| damaged(path, &error))?;
    if let Some(detail) = problem {
        return Err(OpenError::Unreadable { path: path.to_owned(), detail });
    }
    let applied = schema::applied(&connection).map_err(|error| damaged(path, &error))?;
    pending(super::STORE, SQLITE, &applied).map_err(|refusal| OpenError::Schema { path: path.to_owned(), refusal })?;
    let count = |table| count(&connection, table).map_err(|error| damaged(path, &error));
    Ok(Contents {
        schema: applied.last().map_or(0, |migration| migration.number),
        users: count("users")?,
        api_keys: count("api_keys")?,
        sessions: count("sessions")?,
    })
}

/// The first problem, if there is one.
fn check_integrity(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    let dangling = connection.prepare("PRAGMA foreign_key_check")?.exists([])?;
    Ok(dangling.then(|| "a row refers to one that does not exist".to_owned()))
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn damaged(path: &Path, error: &rusqlite::Error) -> OpenError {
    OpenError::Unreadable { path: path.to_owned(), detail: error.to_string() }
}

/// A file that may be replaced.
pub enum Existing {
    /// There is none.
    Missing,
    /// No other process has it open, or can open it while this lives.
    Locked {
        /// Holds the lock.
        connection: Connection,
        /// The number of users.
        users: u64,
    },
    /// It is no database, or damaged.
    Damaged,
}

/// Takes the file in `dir` for this process alone, with everything in the file itself and no log beside it. Fails with
/// [`OpenError::Busy`] if another process has it open, even idle.
pub fn lock(dir: &Path) -> Result<Existing, OpenError> {
    let Some(path) = file::find(dir)? else { return Ok(Existing::Missing) };
    let locked = file::open_for_copy(&path).and_then(|connection| {
        // Leaving WAL mode needs the file alone: each connection of another process holds a shared lock on it.
        connection.query_row("PRAGMA journal_mode = delete", [], |_| Ok(()))?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        count(&connection, "users").map(|users| (connection, users))
    });
    match locked {
        Ok((connection, users)) => Ok(Existing::Locked { connection, users }),
        Err(error) => match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked) => Err(OpenError::Busy { path }),
            Some(DatabaseCorrupt | NotADatabase) => Ok(Existing::Damaged),
            // No table of users: a file of another program, or one that never got a schema.
            _ if error.to_string().contains("no such table") => Ok(Existing::Damaged),
            _ => Err(OpenError::from_sqlite(&path, &error)),
        },
    }
}

/// Brings the file in `dir` up to date and changes it in one transaction, before any store is opened on it.
pub(in crate::store) fn change(
    dir: &Path,
    now: Timestamp,
    work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), OpenError> {
    let (path, _) = super::prepare(dir, Durability::Power, now)?;
    let changed = file::open_writer(&path, Durability::Power).and_then(|(mut connection, _)| {
        let transaction = connection.transaction()?;
        work(&transaction)?;
        transaction.commit()
    });
    changed.map_err(|error| OpenError::from_sqlite(&path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Embedded;
    use crate::store::sqlite::{Engine, migrate};

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

    /// As root. Any other user follows the link.
    #[test]
    fn root_opens_no_file_that_another_owner_links_to() {
        use std::os::unix::fs::{PermissionsExt, chown, symlink};
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), dir.path().join(FILE)).unwrap();
        std::fs::set_permissions(outside.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(dir.path(), Some(65_534), Some(65_533)).unwrap();
            let copied = copy(dir.path(), &outside.path().join("copy"));
            assert!(matches!(copied, Err(OpenError::Folder { .. })), "{copied:?}");
            assert!(matches!(lock(dir.path()), Err(OpenError::Folder { .. })));
            assert!(matches!(Engine::open_existing(dir.path(), &Embedded::default()), Err(OpenError::Folder { .. })));
            let opened = Engine::open(dir.path(), &Embedded::default(), NOW);
            assert!(matches!(opened, Err(OpenError::Folder { .. })), "{opened:?}");
            assert_eq!(outside.path().metadata().unwrap().permissions().mode() & 0o777, 0o755, "it is as it was");
        }
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert!(Engine::open(dir.path(), &Embedded::default(), NOW).is_ok());
    }

    #[test]
    fn an_open_file_cannot_be_locked() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(lock(dir.path()), Ok(Existing::Missing)));
        let engine = Engine::open(dir.path(), &Embedded::default(), NOW).unwrap();
        assert!(matches!(lock(dir.path()), Err(OpenError::Busy { .. })));
        drop(engine);
        let locked = lock(dir.path()).unwrap();
        assert!(matches!(locked, Existing::Locked { users: 0, .. }));
        assert!(matches!(lock(dir.path()), Err(OpenError::Busy { .. })));
        drop(locked);
        std::fs::write(dir.path().join(FILE), [7; 8192]).unwrap();
        assert!(matches!(lock(dir.path()), Ok(Existing::Damaged)));
    }

    #[test]
    fn damaged_copy_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        migrate(dir.path(), &Embedded::default(), NOW).unwrap();
        let target = dir.path().join("copy");
        copy(dir.path(), &target).unwrap();
        let contents = inspect(&target).unwrap();
        assert_eq!((contents.schema, contents.users), (i32::try_from(SQLITE.len()).unwrap(), 0));
        let mut bytes = std::fs::read(&target).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4096].fill(0xff);
        std::fs::write(&target, bytes).unwrap();
        assert!(inspect(&target).is_err());
    }

    #[test]
    fn copy_with_a_schema_that_needs_a_newer_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        migrate(dir.path(), &Embedded::default(), NOW).unwrap();
        let target = dir.path().join("copy");
        for (name, oldest_reader, is_refused) in [("expanded", 11, false), ("contracted", 9999, true)] {
            change(dir.path(), NOW, |connection| {
                let row = "INSERT INTO signet_migrations SELECT max(number) + 1, ?1, '', 0, ?2 FROM signet_migrations";
                connection.execute(row, rusqlite::params![name, oldest_reader]).map(drop)
            })
            .unwrap();
            copy(dir.path(), &target).unwrap();
            let refusal = inspect(&target).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(refusal.contains("newer signet"), is_refused, "{name}: {refusal}");
            std::fs::remove_file(&target).unwrap();
        }
    }
}
