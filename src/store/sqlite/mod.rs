//! The embedded store: one SQLite file that serves both roles when neither server is configured.
//!
//! [`Engine`] owns the file and knows neither role. One thread commits the writes of many callers together (`writer`);
//! a few threads serve reads (`readers`). No caller blocks on the disk itself, nor waits longer than the configured
//! timeout. Other processes (the command line, another server) may work on the same file. The roles' statements are in
//! `accounts::sqlite` and `ephemeral::sqlite`.

pub mod backup;
mod file;
mod readers;
mod schema;
#[cfg(test)]
mod tests;
mod turns;
mod values;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Timestamp;
use crate::config::{Durability, Embedded};
use crate::priority;
use crate::store;
use crate::store::migrations::{Migrated, Schema};
use crate::store::operation::{Observer, Operation, Probe};

pub(in crate::store) use values::{BitsU64, JsonList, Millis, refuse_nul, refuse_nul_in, unexpected};

/// The most callers that wait for the writer, and as many again for the readers: as many as are served well within the
/// default timeout. More are refused immediately, since they would wait in vain.
const QUEUE: usize = 4096;

/// Why the file cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or the file cannot be created or written.
    #[error(
        "data_dir {} cannot be written: {source}; give it to the user that runs signet, or set SIGNET_DATA_DIR",
        dir.display()
    )]
    Folder {
        /// `data_dir`.
        dir: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file can be read but not written.
    #[error(
        "{} cannot be written: give it and its folder to the user that runs signet, or set SIGNET_DATA_DIR",
        path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another process keeps the file locked.
    #[error("{} is held by another process: end it, or set SIGNET_DATA_DIR to a folder of its own", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full, and opening the file needs space.
    #[error("{} cannot be opened, since its disk is full: make room, or set SIGNET_DATA_DIR", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a Signet database, or it is damaged.
    #[error("{} cannot be opened: {detail}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        detail: String,
    },
    /// The schema is another one, or this program is too old for it.
    #[error("{}: {refusal}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Why the schema is refused.
        refusal: store::Error,
    },
    /// The operating system refused to start a thread.
    #[error("the embedded store could not start a thread: {0}")]
    Thread(io::Error),
}

/// Brings the file in `dir` up to date, creating it if it is missing. Any number of processes may do so at the same
/// time. Refuses a changed schema, or one that this program is too old for, without touching it.
pub fn migrate(dir: &Path, embedded: &Embedded, now: Timestamp) -> Result<Migrated, OpenError> {
    prepare(dir, embedded.durability, now).map(|(_, migrated)| migrated)
}

fn prepare(dir: &Path, durability: Durability, now: Timestamp) -> Result<(PathBuf, Migrated), OpenError> {
    let path = file::prepare(dir)?;
    let mut connection = file::open_for_migration(&path, durability)?;
    let migrated = schema::migrate(&mut connection, now).map_err(|error| OpenError::from_schema(&path, error))?;
    Ok((path, migrated))
}

/// The open file. Dropping the last handle finishes the queued work and closes it.
pub struct Engine {
    path: PathBuf,
    migrated: Option<Migrated>,
    jobs: Option<mpsc::Sender<Box<dyn writer::Job>>>,
    queries: Option<mpsc::Sender<readers::Query>>,
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    timeout: Duration,
    probe: Probe,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the file in `dir` and migrates it as [`migrate`] does. Blocks on the disk: call it only at start-up.
    pub fn open(dir: &Path, embedded: &Embedded, now: Timestamp) -> Result<Arc<Self>, OpenError> {
        let (path, migrated) = prepare(dir, embedded.durability, now)?;
        Self::start(path, embedded, Some(migrated))
    }

    /// Opens the file in `dir` if it exists, without migrating it. For checking a configuration.
    pub fn open_existing(dir: &Path, embedded: &Embedded) -> Result<Option<Arc<Self>>, OpenError> {
        file::find(dir)?.map(|path| Self::start(path, embedded, None)).transpose()
    }

    fn start(path: PathBuf, embedded: &Embedded, migrated: Option<Migrated>) -> Result<Arc<Self>, OpenError> {
        let open_error = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error);
        let (jobs, job_receiver) = mpsc::channel(QUEUE);
        let (queries, query_receiver) = mpsc::channel(QUEUE);
        let query_receiver = Arc::new(Mutex::new(query_receiver));

        let (connection, turn) = file::open_writer(&path, embedded.durability).map_err(open_error)?;
        let writer = Some(spawn("store-writer", move || writer::run(&connection, &turn, job_receiver))?);
        // Reads are index lookups: a few threads keep up with any number of workers.
        let mut readers = Vec::new();
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(4) {
            let connection = file::open_reader(&path).map_err(open_error)?;
            let query_receiver = Arc::clone(&query_receiver);
            readers.push(spawn("store-reader", move || readers::run(&connection, &query_receiver))?);
        }
        Ok(Arc::new(Self {
            path,
            migrated,
            jobs: Some(jobs),
            queries: Some(queries),
            readers,
            writer,
            timeout: embedded.timeout,
            probe: Probe::default(),
        }))
    }

    /// Reports every read and write to `observer`. The first observer stays.
    pub fn report_to(&self, observer: Arc<dyn Observer>) {
        self.probe.report_to(observer);
    }

    /// The number of writes in the queue; tests use it to put writes into one group.
    pub fn waiting(&self) -> usize {
        self.jobs.as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity())
    }

    /// How long a caller waits.
    pub(in crate::store) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in a transaction, isolated from all others: all of it is written or nothing. The result is durable
    /// when this returns `Ok`. After a timeout it may still be written.
    pub(in crate::store) async fn write<T, F>(&self, operation: Operation, work: F) -> store::Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.write_within(operation, self.timeout, work).await
    }

    /// Like [`Engine::write`], for work that is known to take long.
    pub(in crate::store) async fn write_within<T, F>(
        &self,
        operation: Operation,
        timeout: Duration,
        work: F,
    ) -> store::Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.probe
            .measure(operation, async {
                let (job, reply) = writer::Awaited::new(work);
                enqueue(&self.jobs, Box::new(job))?;
                wait(timeout, reply).await?
            })
            .await
    }

    /// Leaves `work` to the writer without waiting for it. Drops it if the queue is full.
    pub(in crate::store) fn write_in_background<F>(&self, work: F)
    where
        F: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let _ = enqueue(&self.jobs, Box::new(writer::Background(Some(work))));
    }

    /// Runs `work` on a reader. It sees every write that was acknowledged before.
    pub(in crate::store) async fn read<T, F>(&self, operation: Operation, work: F) -> store::Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.probe
            .measure(operation, async {
                let (sender, reply) = oneshot::channel();
                let query = move |connection: &Connection| {
                    if !sender.is_closed() {
                        let _ = sender.send(work(connection).map_err(|error| store_error(&error)));
                    }
                };
                enqueue(&self.queries, Box::new(query))?;
                wait(self.timeout, reply).await?
            })
            .await
    }

    /// The migrations that were applied when the file was opened; `None` if it was opened without migrating it.
    pub fn migrated(&self) -> Option<Migrated> {
        self.migrated
    }

    /// The schema of the file.
    pub async fn schema(&self) -> store::Result<Schema> {
        self.read(Operation::CheckAccounts, schema::applied).await.map(|applied| schema::schema(&applied))
    }

    /// Checks that the file can be read, and that no newer program has changed its schema since it was opened so that
    /// this one is too old for it.
    pub(in crate::store) async fn check_schema(&self, operation: Operation) -> store::Result<()> {
        schema::check(&self.read(operation, schema::applied).await?)
    }

    /// Checks that the file can be written. A successful read does not show that, nor does an empty write on a full
    /// disk; and writing real data at each check would wear the disk out.
    pub(in crate::store) async fn check_writable(&self, operation: Operation) -> store::Result<()> {
        if file::is_full(&self.path) {
            return Err(unavailable("the disk is full, make room"));
        }
        self.write(operation, |_| Ok(())).await
    }

    /// Warnings for the operator while the file still works.
    pub(in crate::store) fn warnings(&self) -> Vec<String> {
        file::warnings(&self.path)
    }
}

impl Drop for Engine {
    /// The writer closes last: SQLite copies the log into the file and removes it when the last connection closes, and
    /// of connections that close at the same moment none may find itself the last.
    fn drop(&mut self) {
        self.queries = None;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        self.jobs = None;
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// Starts a thread of the store, at a lower priority so that verifications do not wait for it. Measured on one core at
/// nice 10: beside another program that wants all of it, refreshing took 11.6 ms (p50) instead of 8.4. Workers that
/// want all of it leave the store enough: refreshing took 25 ms at nice 0 and at nice 10.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let work = move || {
        priority::lower();
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}

fn enqueue<T>(queue: &Option<mpsc::Sender<T>>, item: T) -> store::Result<()> {
    let queued = queue.as_ref().is_some_and(|queue| queue.try_send(item).is_ok());
    if queued { Ok(()) } else { Err(unavailable("too many callers are waiting")) }
}

async fn wait<T>(timeout: Duration, reply: oneshot::Receiver<T>) -> store::Result<T> {
    match tokio::time::timeout(timeout, reply).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err(unavailable("the call ended without a result")),
        Err(_) => Err(unavailable("the file did not respond in time")),
    }
}

const STORE: &str = "the embedded store";

fn unavailable(detail: &str) -> store::Error {
    store::Error::Unavailable { store: STORE, detail: detail.to_owned(), is_logged: false }
}

/// SQLite's errors name columns and never contain values: values are bound, not written into statements.
fn store_error(error: &rusqlite::Error) -> store::Error {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, ToSqlConversionFailure,
    };
    let detail = error.to_string();
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | ToSqlConversionFailure(_) => store::Error::Corrupt { store: STORE, detail },
        _ if matches!(error.sqlite_error_code(), Some(ConstraintViolation | DatabaseCorrupt | NotADatabase)) => {
            // A constraint that no result value covers (a duplicate id): trying again later does not help.
            store::Error::Corrupt { store: STORE, detail }
        }
        _ => store::Error::Unavailable { store: STORE, detail, is_logged: false },
    }
}
