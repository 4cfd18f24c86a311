//! The file: where it lies, who may read it, and how a connection to it is set. Knows no table.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{OpenError, schema};
use crate::config::Durability;

const NAME: &str = "signet.db";

/// How long a writer waits for another process to finish its transaction. Half of what a caller is given, so that its
/// own turn still fits when it arrives while the writer waits.
const BUSY: Duration = Duration::from_millis(1000);

/// How long a start waits for the other processes that start with it.
const BUSY_AT_START: Duration = Duration::from_secs(10);

/// How often a waiting process tries. SQLite's own handler backs off to a tenth of a second, and could so miss every
/// rest that a busy writer gives (`writer::REST`).
const TRY_EVERY: Duration = Duration::from_millis(1);

/// Makes the folder and the file where they are missing, and closes the file to everyone else: it holds password hashes.
pub(super) fn prepare(dir: &Path) -> Result<PathBuf, OpenError> {
    let folder = |source: io::Error| OpenError::Folder { dir: dir.to_owned(), source };
    // An existing folder keeps its mode: it is the operator's.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(folder)?;
    let path = dir.join(NAME);
    {
        // Closing any descriptor of a file drops all locks that the process holds on it (POSIX), those of SQLite's
        // connections too. So nothing but SQLite opens a file that is there, and no connection is made to a new one
        // before its first descriptor is closed.
        static MAKING: Mutex<()> = Mutex::new(());
        let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(folder(error)),
        }
    }
    // SQLite gives its `-wal` and `-shm` the mode of the file itself.
    let mode = path.metadata().map_err(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(folder)?;
    }
    Ok(path)
}

/// The connection that brings the file up to date, before any other.
pub(super) fn starter(path: &Path, durability: Durability) -> Result<Connection, OpenError> {
    let deadline = Instant::now() + BUSY_AT_START;
    loop {
        let opened = connect(path).and_then(|mut connection| {
            wait_for_others(&mut connection, BUSY_AT_START)?;
            for_writing(&connection, durability)?;
            Ok(connection)
        });
        return match opened {
            Ok(connection) => match connection.is_readonly("main") {
                Ok(false) => Ok(connection),
                Ok(true) => Err(OpenError::ReadOnly { path: path.to_owned() }),
                Err(error) => Err(OpenError::from_sqlite(path, &error)),
            },
            // Turning to WAL does not wait for others by itself.
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(TRY_EVERY);
                continue;
            }
            Err(error) => Err(OpenError::from_sqlite(path, &error)),
        };
    }
}

/// The writer's connection.
pub(super) fn writer(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let mut connection = connect(path)?;
    for_writing(&connection, durability)?;
    wait_for_others(&mut connection, BUSY)?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    Ok(connection)
}

/// A reader's connection. Readers of a WAL wait for nobody, except while somebody recovers it after a crash.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = connect(path)?;
    wait_for_others(&mut connection, BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -4 * 1024)?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // No mmap: a read error of the disk would then be a SIGBUS that ends the server, not an error that one call gets.
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

fn for_writing(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    match durability {
        Durability::Power => {
            connection.pragma_update(None, "synchronous", "full")?;
            // Where fsync does not reach the disk itself (macOS); elsewhere without effect.
            connection.pragma_update(None, "fullfsync", true)
        }
        // A commit is in the system's page cache when it is acknowledged: it outlives the process, not the machine.
        Durability::Process => connection.pragma_update(None, "synchronous", "normal"),
    }?;
    // A WAL that grew while a long reader held it is cut back once it has been copied.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)
}

fn wait_for_others(connection: &mut Connection, patience: Duration) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    connection.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            since = Instant::now();
        }
        std::thread::sleep(TRY_EVERY);
        since.elapsed() < patience
    }))
}

/// Below so much free space the operator is warned: the file grows by this within hours of heavy use.
const LOW: u64 = 256 * 1024 * 1024;

/// What an operator should know while the file still answers. Asks the file system, which answers from memory.
pub(super) fn warnings(path: &Path) -> Vec<String> {
    match room(path) {
        Ok(free) if free < LOW => {
            let free = free / (1024 * 1024);
            vec![format!("{free} MiB are left for {}: writes fail when there is no room", path.display())]
        }
        Ok(_) => Vec::new(),
        Err(error) => vec![format!("{} is not where it was: {error}", path.display())],
    }
}

/// With so little room a group of writes may find none. That this or that still fits, or goes where something was before, says
/// nothing of the next.
const FULL: u64 = 1024 * 1024;

/// Whether the disk is full.
pub(super) fn is_full(path: &Path) -> bool {
    room(path).is_ok_and(|free| free < FULL)
}

/// How much can still be written.
fn room(path: &Path) -> rustix::io::Result<u64> {
    rustix::fs::statvfs(path).map(|space| space.f_bavail.saturating_mul(space.f_frsize))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl OpenError {
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            // The log beside the file can't be made, or the file can't be changed.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly { path },
            _ if is_full(&path) => Self::Full { path },
            _ => Self::Unreadable { path, detail: error.to_string() },
        }
    }

    pub(super) fn from_schema(path: &Path, failure: schema::Failure) -> Self {
        match failure {
            schema::Failure::Foreign(refusal) => Self::Schema { path: path.to_owned(), refusal },
            schema::Failure::Refused(error) => Self::from_sqlite(path, &error),
        }
    }
}
