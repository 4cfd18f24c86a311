//! The embedded store: one SQLite file that serves both roles when neither server is configured.
//!
//! [`Engine`] owns the file and knows neither role. Writes go to one thread that commits many callers' work at once
//! (`writer`), reads to a few threads of their own (`readers`); no caller waits for the disk by itself, nor longer
//! than the settings say. Other processes (the command line, another server) may work on the same file. The roles'
//! statements are in `accounts::sqlite` and `ephemeral::sqlite`.

mod file;
mod readers;
mod schema;
#[cfg(test)]
mod tests;
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
use crate::store;
use crate::store::migrations::Migration;

pub(in crate::store) use values::{Count, Span, Words, refuse_nul, unreadable};

/// How many callers may wait for the writer, and as many again for the readers: what it gets through well within the time that
/// callers wait by default. More are turned away at once, since they would wait in vain.
const QUEUE: usize = 4096;

/// Why the file could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file can't be made or written.
    #[error("data_dir {} cannot be written: {source}; give it to the user that runs signet, or set SIGNET_DATA_DIR", dir.display())]
    Folder {
        /// `data_dir`.
        dir: PathBuf,
        /// What the system said.
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
    /// Another process holds the file and does not let go.
    #[error("{} is held by another process: end it, or set SIGNET_DATA_DIR to a folder of its own", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Opening it takes room, of which there is none.
    #[error("{} cannot be opened, since its disk is full: make room, or set SIGNET_DATA_DIR", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file is not one of ours, or it is damaged.
    #[error("{} cannot be opened: {detail}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// The file's schema is a newer program's, or not ours.
    #[error("{}: {refusal}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is found there.
        refusal: store::Error,
    },
    /// The system gives no thread.
    #[error("the embedded store could not start a thread: {0}")]
    Thread(io::Error),
}

/// Brings the file in `dir` up to date, making it where it is missing, and gives the steps that this took. Any
/// number of processes may do so at once. Refuses a schema that is newer, or that was changed, without touching it.
pub fn migrate(dir: &Path, embedded: &Embedded, now: Timestamp) -> Result<&'static [Migration], OpenError> {
    start(dir, embedded.durability, now).map(|(_, applied)| applied)
}

fn start(dir: &Path, durability: Durability, now: Timestamp) -> Result<(PathBuf, &'static [Migration]), OpenError> {
    let path = file::prepare(dir)?;
    let mut connection = file::starter(&path, durability)?;
    let applied = schema::migrate(&mut connection, now).map_err(|failure| OpenError::from_schema(&path, failure))?;
    Ok((path, applied))
}

/// The open file. Dropping the last handle finishes what was asked for and closes it.
pub struct Engine {
    path: PathBuf,
    jobs: Option<mpsc::Sender<Box<dyn writer::Job>>>,
    queries: Option<mpsc::Sender<readers::Query>>,
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    patience: Duration,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the file in `dir`, brought up to date as by [`migrate`]. Waits for the disk, as only a start may.
    pub fn open(dir: &Path, embedded: &Embedded, now: Timestamp) -> Result<Arc<Self>, OpenError> {
        let (path, _) = start(dir, embedded.durability, now)?;
        let refused = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error);
        let (jobs, jobs_in) = mpsc::channel(QUEUE);
        let (queries, queries_in) = mpsc::channel(QUEUE);
        let queries_in = Arc::new(Mutex::new(queries_in));

        let connection = file::writer(&path, embedded.durability).map_err(refused)?;
        let writer = Some(spawn("store-writer", move || writer::run(&connection, jobs_in))?);
        // Reads are look-ups by index: a few threads keep up with any number of workers.
        let mut readers = Vec::new();
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(4) {
            let connection = file::reader(&path).map_err(refused)?;
            let queries_in = Arc::clone(&queries_in);
            readers.push(spawn("store-reader", move || readers::run(&connection, &queries_in))?);
        }
        Ok(Arc::new(Self {
            path,
            jobs: Some(jobs),
            queries: Some(queries),
            readers,
            writer,
            patience: embedded.timeout,
        }))
    }

    /// How many writes wait for the writer: for metrics, and for tests that want them in one group.
    pub fn waiting(&self) -> usize {
        self.jobs.as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity())
    }

    /// How long a caller waits.
    pub(in crate::store) fn patience(&self) -> Duration {
        self.patience
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in a transaction, alone as far as it can tell: all of it is written or nothing. When this returns `Ok`
    /// it is durable. When it fails with time-out, it may yet be written.
    pub(in crate::store) async fn write<T, F>(&self, work: F) -> store::Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.write_within(self.patience, work).await
    }

    /// As [`Engine::write`], for work that is known to be long.
    pub(in crate::store) async fn write_within<T, F>(&self, patience: Duration, work: F) -> store::Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (job, answer) = writer::Awaited::new(work);
        hand_in(&self.jobs, Box::new(job))?;
        wait(patience, answer).await?
    }

    /// Leaves `work` to the writer, with nobody waiting; where there is no room it is forgotten.
    pub(in crate::store) fn write_behind<F>(&self, work: F)
    where
        F: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let _ = hand_in(&self.jobs, Box::new(writer::Unattended(Some(work))));
    }

    /// Runs `work` on a reader. It sees all that was acknowledged before.
    pub(in crate::store) async fn read<T, F>(&self, work: F) -> store::Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let query = move |connection: &Connection| {
            if !reply.is_closed() {
                let _ = reply.send(work(connection).map_err(|error| refused(&error)));
            }
        };
        hand_in(&self.queries, Box::new(query))?;
        wait(self.patience, answer).await?
    }

    /// Whether the file answers and no newer program has changed it since it was opened.
    pub(in crate::store) async fn check_schema(&self) -> store::Result<()> {
        schema::compare(&self.read(schema::recorded).await?)
    }

    /// Whether the file can be written to. That it answers reads says nothing of that; nor does a write of nothing, of a disk that is
    /// full; and one of something each time would wear the disk out.
    pub(in crate::store) async fn check_writing(&self) -> store::Result<()> {
        if file::is_full(&self.path) {
            return Err(unavailable("the disk is full, make room"));
        }
        self.write(|_| Ok(())).await
    }

    /// What an operator should know while the file still answers.
    pub(in crate::store) fn warnings(&self) -> Vec<String> {
        file::warnings(&self.path)
    }
}

impl Drop for Engine {
    /// The writer is the last to go: of connections that close at the same moment none might find itself the last, which copies
    /// the log into the file and removes it.
    fn drop(&mut self) {
        self.queries = None;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        self.jobs = None;
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}

fn hand_in<T>(queue: &Option<mpsc::Sender<T>>, item: T) -> store::Result<()> {
    let handed_in = queue.as_ref().is_some_and(|queue| queue.try_send(item).is_ok());
    if handed_in { Ok(()) } else { Err(unavailable("too many callers are waiting")) }
}

async fn wait<T>(patience: Duration, answer: oneshot::Receiver<T>) -> store::Result<T> {
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(unavailable("the call ended without an answer")),
        Err(_) => Err(unavailable("the file did not answer in time")),
    }
}

const STORE: &str = "the embedded store";

fn unavailable(detail: &str) -> store::Error {
    store::Error::Unavailable { store: STORE, detail: detail.to_owned() }
}

/// SQLite's errors name columns, never what is in them: values are bound, not written into statements.
fn refused(error: &rusqlite::Error) -> store::Error {
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
            // A constraint that no answer foresees (an id that is taken): trying again later does not help.
            store::Error::Corrupt { store: STORE, detail }
        }
        _ => store::Error::Unavailable { store: STORE, detail },
    }
}
