//! The database file: its path, its permissions and the settings of a connection to it. Knows no table.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::turns::{RETRY_INTERVAL, Turn};
use super::{OpenError, schema};
use crate::config::Durability;
use crate::files::{create_private_file, create_private_folder, free_space, refuse_link};

pub(super) const NAME: &str = "signet.db";

/// How long a writer waits for another process to finish its transaction. Half of a caller's default timeout, so that
/// the caller's own write still fits when it arrives while the writer waits.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1000);

/// How long a starting process waits for others that start at the same time.
const STARTUP_BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates the directory and the file if they are missing, and removes everyone else's access to the file: it contains
/// password hashes.
pub(super) fn prepare(dir: &Path) -> Result<PathBuf, OpenError> {
    let not_writable = |source: io::Error| OpenError::Folder { dir: dir.to_owned(), source };
    create_private_folder(dir).map_err(not_writable)?;
    let path = dir.join(NAME);
    {
        // Closing any descriptor of a file drops all locks that the process holds on it (POSIX), including those of
        // SQLite's connections. So only SQLite opens an existing file, and no connection is made to a new one before
        // its first descriptor is closed.
        static CREATING: Mutex<()> = Mutex::new(());
        let _guard = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
        match create_private_file(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(not_writable(error)),
        }
    }
    refuse_link(&path).map_err(not_writable)?;
    // SQLite gives `-wal` and `-shm` the mode of the file itself.
    let mode = path.metadata().map_err(not_writable)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(not_writable)?;
    }
    Ok(path)
}

/// The path of the file, if it exists.
pub(super) fn find(dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    let path = dir.join(NAME);
    if !path.exists() {
        return Ok(None);
    }
    refuse_link(&path).map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })?;
    Ok(Some(path))
}

/// Opens the connection that migrates the file, before any other is opened.
pub(super) fn open_for_migration(path: &Path, durability: Durability) -> Result<Connection, OpenError> {
    let deadline = Instant::now() + STARTUP_BUSY_TIMEOUT;
    loop {
        let opened = connect(path).and_then(|mut connection| {
            // Waits until the connection is closed, which is soon.
            set_busy_timeout(&mut connection, STARTUP_BUSY_TIMEOUT, Some(Arc::new(Turn::new(path))))?;
            configure_writes(&connection, durability)?;
            Ok(connection)
        });
        return match opened {
            Ok(connection) => match connection.is_readonly("main") {
                Ok(false) => Ok(connection),
                Ok(true) => Err(OpenError::ReadOnly { path: path.to_owned() }),
                Err(error) => Err(OpenError::from_sqlite(path, &error)),
            },
            // Switching to WAL mode does not use the busy handler.
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(RETRY_INTERVAL);
                continue;
            }
            Err(error) => Err(OpenError::from_sqlite(path, &error)),
        };
    }
}

/// Opens the writer's connection.
pub(super) fn open_writer(path: &Path, durability: Durability) -> rusqlite::Result<(Connection, Arc<Turn>)> {
    let (mut connection, turn) = (connect(path)?, Arc::new(Turn::new(path)));
    configure_writes(&connection, durability)?;
    set_busy_timeout(&mut connection, BUSY_TIMEOUT, Some(turn.clone()))?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    Ok((connection, turn))
}

/// Opens a connection that copies the whole file, or takes it for itself.
pub(super) fn open_for_copy(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = connect(path)?;
    set_busy_timeout(&mut connection, BUSY_TIMEOUT, None)?;
    Ok(connection)
}

/// Opens a reader's connection. Readers of a WAL never wait, except while another connection recovers it after a crash.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = connect(path)?;
    set_busy_timeout(&mut connection, BUSY_TIMEOUT, None)?;
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
    // No mmap: a disk read error would be a SIGBUS that kills the server, instead of an error in one call.
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

fn configure_writes(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    match durability {
        Durability::Power => {
            connection.pragma_update(None, "synchronous", "full")?;
            // On macOS fsync does not reach the disk itself; elsewhere this has no effect.
            connection.pragma_update(None, "fullfsync", true)
        }
        // An acknowledged commit is in the system's page cache: it survives the process, not the machine.
        Durability::Process => connection.pragma_update(None, "synchronous", "normal"),
    }?;
    // A WAL that grew during a long read is truncated once it has been checkpointed.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)
}

/// `turn`: where other processes see that this connection waits for the write lock.
fn set_busy_timeout(connection: &mut Connection, timeout: Duration, turn: Option<Arc<Turn>>) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    connection.busy_handler(Some(move |retries: i32| {
        if retries == 0 {
            since = Instant::now();
        }
        if let Some(turn) = &turn {
            turn.wait();
        }
        std::thread::sleep(RETRY_INTERVAL);
        since.elapsed() < timeout
    }))
}

/// Free space below which the operator is warned: under heavy use the file grows by this much within hours.
const LOW_SPACE: u64 = 256 * 1024 * 1024;

/// Warnings for the operator while the file still works. `statvfs` answers from memory.
pub(super) fn warnings(path: &Path) -> Vec<String> {
    match free_space(path) {
        Ok(free) if free < LOW_SPACE => {
            let free = free / (1024 * 1024);
            vec![format!(
                "only {free} MiB of disk space left for {}: writes fail when the disk is full",
                path.display()
            )]
        }
        Ok(_) => Vec::new(),
        Err(error) => vec![format!("cannot check the free space of {}: {error}", path.display())],
    }
}

/// With less free space than this, a group of writes may fail. One write may still fit, or reuse free pages, but that
/// does not show that the next one will.
const MIN_FREE_SPACE: u64 = 1024 * 1024;

/// True if the disk is full.
pub(super) fn is_full(path: &Path) -> bool {
    free_space(path).is_ok_and(|free| free < MIN_FREE_SPACE)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl OpenError {
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            // The log beside the file cannot be created, or the file cannot be changed.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly { path },
            _ if is_full(&path) => Self::Full { path },
            _ => Self::Unreadable { path, detail: error.to_string() },
        }
    }

    pub(super) fn from_schema(path: &Path, error: schema::MigrateError) -> Self {
        match error {
            schema::MigrateError::Refused(refusal) => Self::Schema { path: path.to_owned(), refusal },
            schema::MigrateError::Sqlite(error) => Self::from_sqlite(path, &error),
        }
    }
}
