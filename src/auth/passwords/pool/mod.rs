//! The threads that hash, and the queue in front of them.
//!
//! On any machine, a hash costs tens of milliseconds of one core and tens of megabytes. So three numbers are limited:
//! the jobs that run at the same time (and with them the memory), the jobs that wait, and the time that they wait. A
//! request whose expected wait is too long is held for a moment (`held`) and then rejected, if no slot has become free.
//! `hash_times` estimates the duration of a hash and chooses its priority. An abandoned job is not run. Knows nothing
//! of what a job does.

mod hash_times;
mod held;
mod job;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::hash_times::{HashTimes, JobTimes, Priority, Stopwatch};
use self::held::{Block, Held, Ticket};
use self::job::{Job, Task};
use super::Memory;
use crate::priority;
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
    /// How long a request for which there is no slot is held before it is rejected.
    pub(super) hold: Duration,
    /// Expected time of one hash, until the first has been measured.
    pub(super) initial_estimate: Duration,
    /// KiB of memory that a thread retains between jobs.
    pub(super) retained_kib: usize,
}

/// A reserved slot in the queue. Dropping it releases the slot.
pub(super) struct Slot(Arc<Shared>);

/// A request that is held. Dropping it, as when its client disconnects, removes it from the list.
struct HeldRequest<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the threads of low priority.
    low: Condvar,
    /// Wakes the threads of normal priority.
    normal: Condvar,
    limits: Limits,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// Number of reserved slots whose job is not in the queue yet.
    reserved: usize,
    held: Held<Slot>,
    hash_times: HashTimes,
    /// The memory of threads that have no job, the last used one at the end.
    unused: Vec<(Memory, Instant)>,
    closed: bool,
    load: Hashing,
}

/// Time after which unused memory is released. Longer than the pauses of a server with occasional sign-ins, because the
/// first hash in new memory takes longer (17 to 23 ms instead of 15). No longer, because an idle server should be
/// small.
const RELEASE_AFTER: Duration = Duration::from_secs(2);

struct Waiting {
    job: Box<dyn Job>,
    since: Instant,
}

impl Pool {
    /// Starts the threads. A thread cannot raise its priority again without a privilege, so there are as many threads
    /// of each priority as jobs may run.
    pub(super) fn start(limits: Limits) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(limits.threads, usize::from);
        let state = State {
            waiting: VecDeque::new(),
            reserved: 0,
            held: Held::new(),
            hash_times: HashTimes::new(limits.initial_estimate, cores),
            unused: Vec::new(),
            closed: false,
            load: Hashing::default(),
        };
        let (low, normal) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { state: Mutex::new(state), low, normal, limits });
        let mut pool = Self { shared, threads: Vec::with_capacity(2 * limits.threads) };
        for number in 0..2 * limits.threads {
            let shared = Arc::clone(&pool.shared);
            let priority = if number < limits.threads { Priority::Low } else { Priority::Normal };
            let body = move || shared.work(priority);
            pool.threads.push(std::thread::Builder::new().name(format!("signet-hash-{number}")).spawn(body)?);
        }
        Ok(pool)
    }

    /// Reserves a slot for one job, if the job can be done in time. If there is none, the request is held for a moment.
    /// `held` shares the slots that become free between the clients.
    pub(super) async fn acquire_slot(&self, client: Option<IpAddr>) -> Result<Slot, Busy> {
        self.shared.grant_slots();
        let held = {
            let mut state = self.shared.lock();
            if state.held.is_empty() && state.reserve(self.shared.limits) {
                return Ok(Slot(Arc::clone(&self.shared)));
            }
            state.held.hold(Block::of(client))
        };
        if let Some((ticket, granted)) = held {
            let _held = HeldRequest { shared: &self.shared, ticket };
            if let Ok(Ok(slot)) = tokio::time::timeout(self.shared.limits.hold, granted).await {
                return Ok(slot);
            }
        }
        self.shared.lock().load.shed_full += 1;
        Err(Busy)
    }

    pub(super) fn load(&self) -> Hashing {
        let state = self.shared.lock();
        Hashing { waiting: state.waiting.len(), held: state.held.count(), ..state.load }
    }
}

impl Slot {
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

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lock().reserved -= 1;
        self.0.grant_slots();
    }
}

impl Drop for HeldRequest<'_> {
    fn drop(&mut self) {
        self.shared.lock().held.remove(self.ticket);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.low.notify_all();
        self.shared.normal.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let mut state = self.shared.lock();
        state.waiting.clear();
        state.held.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans two fields of the state, so a panic in a holder leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, job: Box<dyn Job>) {
        let (mut state, now) = (self.lock(), Instant::now());
        state.waiting.push_back(Waiting { job, since: now });
        self.threads_of(state.hash_times.priority(now)).notify_one();
    }

    fn threads_of(&self, priority: Priority) -> &Condvar {
        match priority {
            Priority::Low => &self.low,
            Priority::Normal => &self.normal,
        }
    }

    /// Gives free slots to the requests that are held.
    fn grant_slots(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            if state.held.is_empty() || !state.reserve(self.limits) {
                return;
            }
            let mut free = Slot(Arc::clone(self));
            let unwanted = loop {
                let Some(held) = state.held.pop() else { break Some(free) };
                match held.send(free) {
                    Ok(()) => break None,
                    // This request has just ended, and is about to be removed.
                    Err(returned) => free = returned,
                }
            };
            // In this order: dropping a slot takes the lock.
            drop(state);
            drop(unwanted);
        }
    }

    /// Hashes until the pool is dropped. At low priority a sign-in can take 50 ms longer; `hash_times` decides when the
    /// hashes run at normal priority.
    ///
    /// Measured on one core under a storm of sign-ins (Linux 6.18): one verification in ten took longer than 1.7 ms at
    /// nice 0 and 0.5 ms at nice 5. At nice 10, at nice 19 and with `SCHED_IDLE` it was 0.2 to 0.3 ms, the same as
    /// without load. If verifications want the whole core, hashing keeps a quarter of it at nice 5, a tenth at nice 10,
    /// a seventieth at nice 19 and half of that with `SCHED_IDLE`: with the last two, no sign-in would be done before
    /// its deadline.
    ///
    /// On one core, the threads do not interrupt a worker when they wake up, and let one finish that was interrupted
    /// (`Computation`), at either priority.
    fn work(self: Arc<Self>, priority: Priority) {
        if priority == Priority::Low {
            priority::lower();
        }
        priority::wait_when_woken();
        while let Some((job, mut memory)) = self.next(priority) {
            self.grant_slots();
            let (hashes, stopwatch) = (job.hashes(), Stopwatch::start());
            // A job that panics is dropped, which fails its caller with Busy. It must not end the thread too.
            if catch_unwind(AssertUnwindSafe(|| job.run(&mut memory))).is_err() {
                memory = Memory::retaining(self.limits.retained_kib);
            }
            memory.release_excess();
            let (times, now) = (stopwatch.stop(), Instant::now());
            let mut state = self.lock();
            state.record_done(now, hashes, times, priority);
            if memory.is_allocated() {
                state.unused.push((memory, now));
            }
        }
    }

    /// The next job to run, with memory for it, or `None` when the pool is closed.
    fn next(&self, own: Priority) -> Option<(Box<dyn Job>, Memory)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let required = state.hash_times.priority(now);
            if required != own && !state.waiting.is_empty() {
                self.threads_of(required).notify_one();
            }
            if required == own
                && state.load.running < self.limits.threads
                && let Some(job) = state.next_job(now, self.limits.deadline)
            {
                state.load.running += 1;
                state.load.raised += u64::from(own == Priority::Normal);
                let memory = state.unused.pop().map(|(memory, _)| memory);
                return Some((job, memory.unwrap_or_else(|| Memory::retaining(self.limits.retained_kib))));
            }
            let wakes = self.threads_of(own);
            let Some(release_at) = state.unused.first().map(|(_, since)| *since + RELEASE_AFTER) else {
                state = wakes.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if release_at <= now {
                let released = state.unused.remove(0);
                // Unmapping takes a millisecond.
                drop(state);
                drop(released);
                state = self.lock();
            } else {
                let wait = wakes.wait_timeout(state, release_at - now);
                state = wait.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl State {
    /// Reserves a slot, if one more job is expected to start within half of the deadline. The other half allows for
    /// hashes that slow down meanwhile, as when the workers need the processor: an accepted job should be done.
    fn reserve(&mut self, limits: Limits) -> bool {
        let now = Instant::now();
        if self.waiting.is_empty() && self.load.running == 0 {
            self.hash_times.idle(now);
        }
        if !self.can_accept(limits) {
            // Abandoned and late jobs must not occupy the queue. Only a full queue pays for this scan.
            let load = &mut self.load;
            let waited = |waiting: &Waiting| now.saturating_duration_since(waiting.since);
            self.waiting.retain(|waiting| load.is_wanted(&*waiting.job, waited(waiting), limits.deadline));
            if !self.can_accept(limits) {
                return false;
            }
        }
        self.reserved += 1;
        true
    }

    fn can_accept(&self, limits: Limits) -> bool {
        // A reserved slot counts as one hash, because its job is not known yet.
        let hashes = self.waiting.iter().map(|waiting| waiting.job.hashes() as usize).sum::<usize>() + self.reserved;
        let expected_wait = self.hash_times.expected().as_secs_f64() * hashes as f64 / limits.threads as f64;
        self.waiting.len() + self.reserved < limits.queue && expected_wait <= limits.deadline.as_secs_f64() / 2.0
    }

    /// The job that has waited longest and is still wanted.
    fn next_job(&mut self, now: Instant, deadline: Duration) -> Option<Box<dyn Job>> {
        while let Some(Waiting { job, since }) = self.waiting.pop_front() {
            let waited = now.saturating_duration_since(since);
            if self.load.is_wanted(&*job, waited, deadline) {
                self.load.waits.observe(waited);
                return Some(job);
            }
        }
        None
    }

    fn record_done(&mut self, now: Instant, hashes: u32, times: JobTimes, priority: Priority) {
        self.load.running -= 1;
        self.load.done += u64::from(hashes);
        self.load.worked += times.elapsed;
        self.hash_times.record(now, hashes, times, priority);
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

#[cfg(test)]
mod tests;
