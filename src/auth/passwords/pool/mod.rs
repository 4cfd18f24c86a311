//! The threads that hash, and the queue in front of them.
//!
//! On any machine, a hash costs tens of milliseconds of one core and tens of megabytes. So three numbers are limited:
//! the jobs that run at the same time (and with them the memory), the jobs that wait, and how long they wait. A job
//! whose expected wait is too long is rejected immediately, not when its deadline has passed: making a client wait for
//! a refusal helps nobody. An abandoned job costs nothing. Knows nothing of what a job does.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Memory;
use crate::telemetry::metrics::Hashing;

/// More passwords wait than can be hashed in time. Trying again in a second may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// The threads and their queue. Dropping it fails waiting jobs with [`Busy`] and joins the threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The limits of a pool.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Number of threads.
    pub(super) threads: usize,
    /// Number of jobs that may wait.
    pub(super) queue: usize,
    /// Longest time that a job waits.
    pub(super) deadline: Duration,
    /// Expected time of one hash, until the first has been measured.
    pub(super) initial_estimate: Duration,
    /// KiB of memory that a thread retains between jobs.
    pub(super) retained_kib: usize,
}

/// A reserved slot in the queue. Dropping it releases the slot.
pub(super) struct Slot<'a>(&'a Shared);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    limits: Limits,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// Number of reserved slots whose job is not in the queue yet.
    reserved: usize,
    /// Expected time of one hash: a moving average.
    estimate: Duration,
    closed: bool,
    load: Hashing,
}

/// Time after which a thread without work releases its memory. Longer than the pauses of a server with occasional
/// sign-ins, because the first hash in new memory takes longer (17 to 23 ms instead of 15). No longer, because an
/// idle server should be small.
const RELEASE_AFTER: Duration = Duration::from_secs(2);

struct Waiting {
    job: Box<dyn Job>,
    since: Instant,
}

/// A unit of work. Dropping it without running it fails its caller with [`Busy`].
trait Job: Send {
    fn is_abandoned(&self) -> bool;
    /// Number of hashes in the job.
    fn hashes(&self) -> u32;
    fn run(self: Box<Self>, memory: &mut Memory);
}

struct Task<T, F> {
    work: F,
    hashes: u32,
    reply: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce(&mut Memory) -> T + Send> Job for Task<T, F> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn hashes(&self) -> u32 {
        self.hashes
    }

    fn run(self: Box<Self>, memory: &mut Memory) {
        // Fails if the caller went away while the job ran, which is not an error.
        let _ = self.reply.send((self.work)(memory));
    }
}

impl Pool {
    /// Starts the threads.
    pub(super) fn start(limits: Limits) -> std::io::Result<Self> {
        let state = State {
            waiting: VecDeque::new(),
            reserved: 0,
            estimate: limits.initial_estimate,
            closed: false,
            load: Hashing::default(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), limits });
        let mut pool = Self { shared, threads: Vec::with_capacity(limits.threads) };
        for number in 0..limits.threads {
            let shared = Arc::clone(&pool.shared);
            let body = move || shared.work();
            pool.threads.push(std::thread::Builder::new().name(format!("signet-hash-{number}")).spawn(body)?);
        }
        Ok(pool)
    }

    /// Reserves a slot for one job, if the job can be done in time.
    pub(super) fn reserve_slot(&self) -> Result<Slot<'_>, Busy> {
        let (mut state, limits) = (self.shared.lock(), self.shared.limits);
        if !state.can_accept(limits) {
            // Abandoned and late jobs must not occupy the queue. Only a full queue pays for this scan.
            state.discard_unwanted(limits.deadline);
        }
        if !state.can_accept(limits) {
            state.load.shed_full += 1;
            return Err(Busy);
        }
        state.reserved += 1;
        Ok(Slot(&self.shared))
    }

    pub(super) fn load(&self) -> Hashing {
        let state = self.shared.lock();
        Hashing { waiting: state.waiting.len(), ..state.load }
    }
}

impl Slot<'_> {
    /// Runs a job of so many hashes on one of the threads. Dropping the future before the job starts cancels it.
    pub(super) async fn run<T, F>(self, hashes: u32, work: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce(&mut Memory) -> T + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        self.0.queue(Box::new(Task { work, hashes, reply }));
        drop(self);
        result.await.map_err(|_| Busy)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().reserved -= 1;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.shared.lock().waiting.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans two fields of the state, so a panic in a holder leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, job: Box<dyn Job>) {
        self.lock().waiting.push_back(Waiting { job, since: Instant::now() });
        self.changed.notify_one();
    }

    fn work(&self) {
        lower_priority();
        let retained_kib = self.limits.retained_kib;
        let mut memory = Memory::retaining(retained_kib);
        while let Some(job) = self.next(&mut memory) {
            let (hashes, began) = (job.hashes(), Instant::now());
            // A job that panics is dropped, which fails its caller with Busy. It must not end the thread too.
            if catch_unwind(AssertUnwindSafe(|| job.run(&mut memory))).is_err() {
                memory = Memory::retaining(retained_kib);
            }
            memory.release_excess();
            self.lock().record_done(hashes, began.elapsed());
        }
    }

    /// The next job to run, or `None` when the pool is closed.
    fn next(&self, memory: &mut Memory) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                None if memory.is_held() => {
                    let (guard, timeout) =
                        self.changed.wait_timeout(state, RELEASE_AFTER).unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    if timeout.timed_out() && state.waiting.is_empty() {
                        drop(state);
                        memory.release();
                        state = self.lock();
                    }
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Waiting { job, since }) if state.load.is_wanted(&*job, since.elapsed(), self.limits.deadline) => {
                    state.load.running += 1;
                    state.load.waits.observe(since.elapsed());
                    return Some(job);
                }
                Some(_) => {}
            }
        }
    }
}

impl State {
    /// Returns true if one more job is expected to start within half of the deadline. The other half is a reserve for
    /// work that slows down meanwhile, as the threads do when they give way to the workers: an accepted job should be
    /// done.
    fn can_accept(&self, limits: Limits) -> bool {
        let ahead = self.waiting.len() + self.reserved;
        let expected_wait = self.estimate.as_secs_f64() * ahead as f64 / limits.threads as f64;
        ahead < limits.queue && expected_wait <= limits.deadline.as_secs_f64() / 2.0
    }

    fn record_done(&mut self, hashes: u32, took: Duration) {
        self.load.running -= 1;
        self.load.done += u64::from(hashes);
        self.load.worked += took;
        self.estimate = (self.estimate * 7 + took / hashes.max(1)) / 8;
    }

    fn discard_unwanted(&mut self, deadline: Duration) {
        let load = &mut self.load;
        self.waiting.retain(|waiting| load.is_wanted(&*waiting.job, waiting.since.elapsed(), deadline));
    }
}

impl Hashing {
    /// Returns true if a job is still worth running; counts it if it is not.
    fn is_wanted(&mut self, job: &dyn Job, waited: Duration, deadline: Duration) -> bool {
        if job.is_abandoned() {
            self.abandoned += 1;
            false
        } else if waited >= deadline {
            self.shed_late += 1;
            false
        } else {
            true
        }
    }
}

/// Gives the threads that serve requests priority where there is more work than cores. A sign-in can wait 50 ms longer;
/// `/verify` is answered in microseconds, and every lost time slice delays it.
///
/// Measured on one core under a storm of sign-ins (Linux 6.18): one verification in ten took longer than 1.7 ms at nice
/// 0 and 0.5 ms at nice 5. At nice 10, at nice 19 and with `SCHED_IDLE` it was 0.2 to 0.3 ms, the same as without load.
/// If verifications want the whole core, hashing keeps a quarter of it at nice 5, a tenth at nice 10, a seventieth at
/// nice 19 and half of that with `SCHED_IDLE`: with the last two, no sign-in would be done before its deadline.
///
/// On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"). Elsewhere it would slow
/// down the whole process, so it is left alone. Lowering it needs no privilege, and a failure affects only latency.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(10);
}

#[cfg(test)]
mod tests;
