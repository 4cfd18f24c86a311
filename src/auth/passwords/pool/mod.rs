//! The threads that hash, and the queue in front of them.
//!
//! A hash costs tens of milliseconds of one core and tens of megabytes whatever the machine, so what is bounded here is
//! the number at work at once (and with it the memory), the number that wait, and how long they wait. Who would wait too
//! long by what the work takes of late is turned away at once and not when that time is over: to be kept waiting for a
//! refusal is the worst of both. Who has gone away in the meantime costs nothing. Knows nothing of what the work is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Memory;
use crate::telemetry::metrics::Hashing;

/// There is more to hash than can be hashed in time; trying again in a second can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// The threads and their queue. Dropping it answers [`Busy`] to what waits, and joins the threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// How much is done at once and how much may wait.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How many threads there are.
    pub(super) threads: usize,
    /// How many may wait.
    pub(super) room: usize,
    /// How long one may.
    pub(super) deadline: Duration,
    /// How long one thing to do takes, as long as nothing was done and nobody knows.
    pub(super) guess: Duration,
    /// How many KiB of memory a thread keeps from one to the next.
    pub(super) keep_kib: usize,
}

/// A place in the queue. Dropping it gives it up.
pub(super) struct Place<'a>(&'a Shared);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    bounds: Bounds,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// How many places were given to those who do not wait yet.
    promised: usize,
    /// How long one thing takes of late: a mean that forgets.
    typical: Duration,
    closed: bool,
    load: Hashing,
}

/// After how long without work a thread gives its memory back: longer than the pauses of a server whose people sign in
/// now and then, since the first hash in new memory takes two fifths longer (28 ms and not 20); and no longer, since an idle
/// server is to be small.
const REST: Duration = Duration::from_secs(2);

struct Waiting {
    job: Box<dyn Job>,
    since: Instant,
}

/// One thing to do. Dropping it undone answers [`Busy`].
trait Job: Send {
    fn abandoned(&self) -> bool;
    /// How many hashes it is.
    fn hashes(&self) -> u32;
    fn run(self: Box<Self>, memory: &mut Memory);
}

struct Task<T, F> {
    work: F,
    hashes: u32,
    reply: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce(&mut Memory) -> T + Send> Job for Task<T, F> {
    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn hashes(&self) -> u32 {
        self.hashes
    }

    fn run(self: Box<Self>, memory: &mut Memory) {
        // Nobody listening any more is no failure: the caller went away while the work was under way.
        let _ = self.reply.send((self.work)(memory));
    }
}

impl Pool {
    /// Starts the threads.
    pub(super) fn start(bounds: Bounds) -> std::io::Result<Self> {
        let state = State {
            waiting: VecDeque::new(),
            promised: 0,
            typical: bounds.guess,
            closed: false,
            load: Hashing::default(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), bounds });
        let mut pool = Self { shared, threads: Vec::with_capacity(bounds.threads) };
        for number in 0..bounds.threads {
            let shared = Arc::clone(&pool.shared);
            let body = move || shared.work();
            pool.threads.push(std::thread::Builder::new().name(format!("signet-hash-{number}")).spawn(body)?);
        }
        Ok(pool)
    }

    /// A place for one thing to do, if that can be done in time.
    pub(super) fn place(&self) -> Result<Place<'_>, Busy> {
        let (mut state, bounds) = (self.shared.lock(), self.shared.bounds);
        if !state.has_room(bounds) {
            // Who no longer waits must not keep out who does. Only a full queue pays for the look.
            state.sweep(bounds.deadline);
        }
        if !state.has_room(bounds) {
            state.load.shed_full += 1;
            return Err(Busy);
        }
        state.promised += 1;
        Ok(Place(&self.shared))
    }

    pub(super) fn load(&self) -> Hashing {
        let state = self.shared.lock();
        Hashing { waiting: state.waiting.len(), ..state.load }
    }
}

impl Place<'_> {
    /// Has the work done by one of the threads, so many hashes in one turn. Dropping the future before its turn comes undoes it.
    pub(super) async fn run<T, F>(self, hashes: u32, work: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce(&mut Memory) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.queue(Box::new(Task { work, hashes, reply }));
        drop(self);
        answer.await.map_err(|_| Busy)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().promised -= 1;
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
        // No invariant spans two fields of the state, so a panic while it was held leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, job: Box<dyn Job>) {
        self.lock().waiting.push_back(Waiting { job, since: Instant::now() });
        self.changed.notify_one();
    }

    fn work(&self) {
        yield_to_the_workers();
        let keep_kib = self.bounds.keep_kib;
        let mut memory = Memory::keeping(keep_kib);
        while let Some(job) = self.next(&mut memory) {
            let (hashes, began) = (job.hashes(), Instant::now());
            // A job that panics answers Busy to its caller by being dropped, and must not cost the thread too.
            if catch_unwind(AssertUnwindSafe(|| job.run(&mut memory))).is_err() {
                memory = Memory::keeping(keep_kib);
            }
            memory.release_excess();
            self.lock().done(hashes, began.elapsed());
        }
    }

    /// The next job whose turn it is, or `None` at the end.
    fn next(&self, memory: &mut Memory) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                None if memory.is_held() => {
                    let rested = self.changed.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
                    state = rested.0;
                    if rested.1.timed_out() && state.waiting.is_empty() {
                        drop(state);
                        memory.release();
                        state = self.lock();
                    }
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Waiting { job, since }) if state.load.judge(&*job, since.elapsed(), self.bounds.deadline) => {
                    state.load.running += 1;
                    state.load.waited += since.elapsed();
                    return Some(job);
                }
                Some(_) => {}
            }
        }
    }
}

impl State {
    /// Whether one more would have its turn in half of the time that it may wait. The other half is for what becomes slower
    /// meanwhile: threads that give way to the workers do, and who was let in is to be served.
    fn has_room(&self, bounds: Bounds) -> bool {
        let ahead = self.waiting.len() + self.promised;
        let until_then = self.typical.as_secs_f64() * ahead as f64 / bounds.threads as f64;
        ahead < bounds.room && until_then <= bounds.deadline.as_secs_f64() / 2.0
    }

    fn done(&mut self, hashes: u32, took: Duration) {
        self.load.running -= 1;
        self.load.done += u64::from(hashes);
        self.load.worked += took;
        self.typical = (self.typical * 7 + took / hashes.max(1)) / 8;
    }

    fn sweep(&mut self, deadline: Duration) {
        let load = &mut self.load;
        self.waiting.retain(|waiting| load.judge(&*waiting.job, waiting.since.elapsed(), deadline));
    }
}

impl Hashing {
    /// Whether a job is still worth doing; counts it if it is not.
    fn judge(&mut self, job: &dyn Job, waited: Duration, deadline: Duration) -> bool {
        if job.abandoned() {
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

/// Lets the threads that answer requests go first where there are fewer cores than work. A sign-in can wait 50 ms longer;
/// `/verify` is answered in microseconds and would feel every time slice.
///
/// On one core under a storm of sign-ins, one verification in ten took longer than 1.7 ms at no steps, 0.5 ms at five, and
/// 0.2 to 0.3 ms, which is what it took in calm, at ten, at nineteen, and by `SCHED_IDLE` (Linux 6.18). What is left for hashing
/// when verifications want the whole core is a quarter of it at five steps, a tenth at ten, a seventieth at nineteen and half of
/// that by `SCHED_IDLE`: there, nobody would be served before the deadline.
///
/// On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"); elsewhere it would slow the
/// whole process down, so it is left alone. Lowering it needs no privilege, and if it fails nothing is wrong but the time.
fn yield_to_the_workers() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(10);
}

#[cfg(test)]
mod tests;
