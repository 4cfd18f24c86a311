//! The one thread of this process that writes. It takes what many callers want written, as much as is waiting, into one
//! transaction, and tells each of them only after the commit: so the price of a commit is shared by all who wait for
//! it, and rises with nobody's patience. Knows no table.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::unavailable;
use crate::store;

/// How many jobs share a transaction at the most: so many take some ten milliseconds, which all of them wait.
const GROUP: usize = 256;

/// After so long without a rest the writer leaves the lock alone for [`REST`], so that another process (the
/// command line beside a busy server) gets its turn: SQLite's lock knows no queue.
const UNBROKEN: Duration = Duration::from_millis(100);

/// See [`UNBROKEN`]. Twice what others wait between tries (`file::TRY_EVERY`).
const REST: Duration = Duration::from_millis(2);

/// Something to be written. It runs in a savepoint of its own, then learns what became of the group.
pub(super) trait Job: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work; `false` if what it did is to be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller.
    fn settle(self: Box<Self>, committed: Result<(), store::Error>);
}

/// A job whose caller waits for its answer.
pub(super) struct Awaited<F, T> {
    work: Option<F>,
    outcome: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<store::Result<T>>,
}

impl<F, T> Awaited<F, T> {
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<store::Result<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work: Some(work), outcome: None, reply }, answer)
    }
}

impl<F, T> Job for Awaited<F, T>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> bool {
        self.outcome = self.work.take().map(|work| work(connection));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn settle(self: Box<Self>, committed: Result<(), store::Error>) {
        let answer = match (self.outcome, committed) {
            (Some(Ok(answer)), Ok(())) => Ok(answer),
            (Some(Ok(_)), Err(error)) => Err(error),
            (Some(Err(error)), _) => Err(super::refused(&error)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(unavailable("a write ended without an answer")),
        };
        // The caller may have stopped waiting; what it wanted is written all the same.
        let _ = self.reply.send(answer);
    }
}

/// A job for which nobody waits: tidying.
pub(super) struct Unattended<F>(pub(super) Option<F>);

impl<F> Job for Unattended<F>
where
    F: FnOnce(&Connection) -> rusqlite::Result<()> + Send,
{
    fn is_abandoned(&self) -> bool {
        false
    }

    fn run(&mut self, connection: &Connection) -> bool {
        match self.0.take().map(|work| work(connection)) {
            Some(Err(error)) => {
                tracing::debug!(%error, "the embedded store could not be tidied");
                false
            }
            _ => true,
        }
    }

    fn settle(self: Box<Self>, _committed: Result<(), store::Error>) {}
}

/// Writes until every handle of the channel is gone.
pub(super) fn run(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP);
    let mut unbroken_since = Instant::now();
    loop {
        if let ControlFlow::Break(()) = gather(&mut jobs, &mut group, &mut unbroken_since) {
            return;
        }
        let committed = commit_group(connection, &mut group);
        for job in group.drain(..) {
            job.settle(committed.clone());
        }
        if unbroken_since.elapsed() > UNBROKEN {
            std::thread::sleep(REST);
            unbroken_since = Instant::now();
        }
    }
}

/// Waits for a job and takes what else is there.
fn gather(
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
    group: &mut Vec<Box<dyn Job>>,
    unbroken_since: &mut Instant,
) -> ControlFlow<()> {
    match jobs.try_recv() {
        Ok(job) => group.push(job),
        Err(_) => {
            let idle_since = Instant::now();
            let Some(job) = jobs.blocking_recv() else { return ControlFlow::Break(()) };
            // Callers who come back as soon as they were answered leave gaps, but none that another process would meet.
            if idle_since.elapsed() >= REST {
                *unbroken_since = Instant::now();
            }
            group.push(job);
        }
    }
    while group.len() < GROUP {
        match jobs.try_recv() {
            Ok(job) => group.push(job),
            Err(_) => break,
        }
    }
    ControlFlow::Continue(())
}

/// Runs the jobs and commits what they wrote. A job that fails is undone alone; a commit that fails undoes all.
fn commit_group(connection: &Connection, group: &mut Vec<Box<dyn Job>>) -> Result<(), store::Error> {
    group.retain(|job| !job.is_abandoned());
    if group.is_empty() {
        return Ok(());
    }
    let written = execute(connection, "BEGIN IMMEDIATE").and_then(|()| {
        for job in group.iter_mut() {
            run_alone(connection, job.as_mut())?;
        }
        execute(connection, "COMMIT")
    });
    written.map_err(|error| {
        // A full disk, or a failing one, may have ended the transaction already.
        if !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            tracing::error!(%error, "the embedded store could not undo a transaction");
        }
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            begin_log_anew(connection);
        }
        super::refused(&error)
    })
}

/// On a full disk the log of writes cannot grow. SQLite copies it into the file, to begin it anew in the room that it has, only after
/// a commit, of which there would be none: so this does, as far as the file itself need not grow.
fn begin_log_anew(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::debug!(%error, "the embedded store's log could not be begun anew");
    }
}

fn run_alone(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<()> {
    execute(connection, "SAVEPOINT job")?;
    // A panic costs its caller an answer and nobody else anything; the panic hook has logged it.
    let done = catch_unwind(AssertUnwindSafe(|| job.run(connection))).unwrap_or(false);
    if connection.is_autocommit() {
        // A full or failing disk made SQLite give up the whole transaction: what follows must not run outside of one.
        let gone = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK);
        return Err(rusqlite::Error::SqliteFailure(gone, None));
    }
    if !done {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
