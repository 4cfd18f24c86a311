//! The single writer thread of the process (group commit). It runs all waiting jobs in one transaction and replies to
//! each caller only after the commit, so that concurrent callers share the cost of a commit. Knows no table.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::turns::{PAUSE, Turn};
use super::unavailable;
use crate::{priority, store};

/// The most jobs in one transaction. So many take about ten milliseconds, and each caller waits for all of them.
const GROUP: usize = 256;

/// After this many jobs the writer yields the processor. Otherwise, before Linux 6.12, a worker that needs it waits for
/// the end of the writer's time slice. Groups that are no larger do not yield: beside a program that wants the whole
/// core, each yield costs a time slice of that program.
const YIELD_AFTER: usize = 8;

/// After this long without a pause the writer lets another process (the command line beside a busy server) have its
/// [`Turn`].
const MAX_BUSY: Duration = Duration::from_millis(100);

/// A unit of work. It runs in its own savepoint; after the commit of the group it replies to its caller.
pub(super) trait Job: Send {
    /// Returns true if the caller has stopped waiting.
    fn is_abandoned(&self) -> bool;
    /// Does the work; `false` rolls back its savepoint.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Replies to the caller.
    fn finish(self: Box<Self>, committed: Result<(), store::Error>);
}

/// A job whose caller waits for the result.
pub(super) struct Awaited<F, T> {
    work: Option<F>,
    outcome: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<store::Result<T>>,
}

impl<F, T> Awaited<F, T> {
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<store::Result<T>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { work: Some(work), outcome: None, reply }, receiver)
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

    fn finish(self: Box<Self>, committed: Result<(), store::Error>) {
        let result = match (self.outcome, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)), Err(error)) => Err(error),
            (Some(Err(error)), _) => Err(super::store_error(&error)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(unavailable("a write ended without a result")),
        };
        // The caller may have stopped waiting; the write is done all the same.
        let _ = self.reply.send(result);
    }
}

/// A clean-up job that no caller waits for.
pub(super) struct Background<F>(pub(super) Option<F>);

impl<F> Job for Background<F>
where
    F: FnOnce(&Connection) -> rusqlite::Result<()> + Send,
{
    fn is_abandoned(&self) -> bool {
        false
    }

    fn run(&mut self, connection: &Connection) -> bool {
        match self.0.take().map(|work| work(connection)) {
            Some(Err(error)) => {
                tracing::debug!(%error, "background clean-up of the embedded store failed");
                false
            }
            _ => true,
        }
    }

    fn finish(self: Box<Self>, _committed: Result<(), store::Error>) {}
}

/// Runs jobs until every sender is dropped.
pub(super) fn run(connection: &Connection, turn: &Turn, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP);
    let mut busy_since = Instant::now();
    loop {
        if let ControlFlow::Break(()) = receive_group(&mut jobs, &mut group, &mut busy_since) {
            return;
        }
        let committed = commit_group(connection, &mut group);
        turn.end_wait();
        for job in group.drain(..) {
            job.finish(committed.clone());
        }
        if busy_since.elapsed() > MAX_BUSY {
            turn.yield_to_others();
            busy_since = Instant::now();
        }
    }
}

/// Waits for a job and takes the others that are already queued.
fn receive_group(
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
    group: &mut Vec<Box<dyn Job>>,
    busy_since: &mut Instant,
) -> ControlFlow<()> {
    match jobs.try_recv() {
        Ok(job) => group.push(job),
        Err(_) => {
            let idle_since = Instant::now();
            let Some(job) = jobs.blocking_recv() else { return ControlFlow::Break(()) };
            // The worker that woke this thread has more to do, and perhaps more jobs.
            priority::let_worker_sleep();
            // Callers that call again right after a reply leave gaps, but too short for another process to use.
            if idle_since.elapsed() >= PAUSE {
                *busy_since = Instant::now();
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

/// Runs the jobs and commits. A job that fails is rolled back alone; a commit that fails rolls back all.
fn commit_group(connection: &Connection, group: &mut Vec<Box<dyn Job>>) -> Result<(), store::Error> {
    group.retain(|job| !job.is_abandoned());
    if group.is_empty() {
        return Ok(());
    }
    let written = execute(connection, "BEGIN IMMEDIATE").and_then(|()| {
        for (index, job) in group.iter_mut().enumerate() {
            if index > 0 && index.is_multiple_of(YIELD_AFTER) {
                std::thread::yield_now();
            }
            run_alone(connection, job.as_mut())?;
        }
        execute(connection, "COMMIT")
    });
    written.map_err(|error| {
        // On a full or failing disk, SQLite may have ended the transaction already.
        if !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            tracing::error!(%error, "the embedded store could not roll back a transaction");
        }
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            restart_wal(connection);
        }
        super::store_error(&error)
    })
}

/// Checkpoints the WAL, so that it restarts in the space it already has. On a full disk it cannot grow, and SQLite
/// checkpoints by itself only after a commit, which could never succeed. Works as far as the file need not grow.
fn restart_wal(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::debug!(%error, "the embedded store could not checkpoint its log");
    }
}

fn run_alone(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<()> {
    execute(connection, "SAVEPOINT job")?;
    // A panic fails this job only; the panic hook has logged it.
    let done = catch_unwind(AssertUnwindSafe(|| job.run(connection))).unwrap_or(false);
    if connection.is_autocommit() {
        // A full or failing disk made SQLite end the whole transaction: the rest must not run outside of one.
        let aborted = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK);
        return Err(rusqlite::Error::SqliteFailure(aborted, None));
    }
    if !done {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
