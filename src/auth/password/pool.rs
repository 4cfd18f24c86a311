//! The threads that hash, and the queue in front of them.
//!
//! A hash costs tens of milliseconds of one core and tens of megabytes whatever the machine, so what is bounded here is
//! the number at work at once (and with it the memory), the number that wait, and how long they wait. Who has gone away
//! in the meantime costs nothing. Knows nothing of what the work is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::formats::Memory;
use crate::ops::metrics::Hashing;

/// There is more to hash than can be hashed in time; trying again in a second can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// The threads and their queue. Dropping it answers [`Busy`] to what waits, and joins the threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    room: usize,
    deadline: Duration,
}

struct State {
    waiting: VecDeque<Waiting>,
    closed: bool,
    load: Hashing,
}

struct Waiting {
    job: Box<dyn Job>,
    since: Instant,
}

/// One thing to do. Dropping it undone answers [`Busy`].
trait Job: Send {
    fn abandoned(&self) -> bool;
    fn run(self: Box<Self>, memory: &mut Memory);
}

struct Task<T, F> {
    work: F,
    reply: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce(&mut Memory) -> T + Send> Job for Task<T, F> {
    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, memory: &mut Memory) {
        // Nobody listening any more is no failure: the caller went away while the work was under way.
        let _ = self.reply.send((self.work)(memory));
    }
}

impl Pool {
    /// Starts `threads` threads with room for `room` jobs that wait at most until `deadline`. Each keeps `keep_kib`
    /// of memory from one job to the next.
    pub(super) fn start(threads: usize, room: usize, deadline: Duration, keep_kib: usize) -> std::io::Result<Self> {
        let state = State { waiting: VecDeque::with_capacity(room), closed: false, load: Hashing::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), room, deadline });
        let mut pool = Self { shared, threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let body = move || shared.work(keep_kib);
            pool.threads.push(std::thread::Builder::new().name(format!("signet-hash-{number}")).spawn(body)?);
        }
        Ok(pool)
    }

    /// Has the work done by one of the threads. Dropping the future before its turn comes undoes it.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce(&mut Memory) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.shared.queue(Box::new(Task { work, reply }))?;
        answer.await.map_err(|_| Busy)
    }

    pub(super) fn load(&self) -> Hashing {
        let state = self.shared.lock();
        Hashing { waiting: state.waiting.len(), ..state.load }
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

    fn queue(&self, job: Box<dyn Job>) -> Result<(), Busy> {
        let mut state = self.lock();
        if state.waiting.len() >= self.room {
            // Who no longer waits must not keep out who does. Only a full queue pays for the look.
            state.sweep(self.deadline);
        }
        if state.waiting.len() >= self.room {
            state.load.shed_full += 1;
            return Err(Busy);
        }
        state.waiting.push_back(Waiting { job, since: Instant::now() });
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self, keep_kib: usize) {
        yield_to_the_workers();
        let mut memory = Memory::keeping(keep_kib);
        while let Some(job) = self.next() {
            let began = Instant::now();
            // A job that panics answers Busy to its caller by being dropped, and must not cost the thread too.
            if catch_unwind(AssertUnwindSafe(|| job.run(&mut memory))).is_err() {
                memory = Memory::keeping(keep_kib);
            }
            memory.release_excess();
            let mut state = self.lock();
            state.load.running -= 1;
            state.load.done += 1;
            state.load.worked += began.elapsed();
        }
    }

    /// The next job whose turn it is, or `None` at the end.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Waiting { job, since }) if state.load.judge(&*job, since.elapsed(), self.deadline) => {
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

/// Lets the threads that answer requests go first where there are fewer cores than work: five steps nicer, a hashing
/// thread gets about a quarter of a core that it shares with one of them, and all of a core that nobody else wants. A
/// sign-in can wait 50 ms longer; `/verify` is answered in microseconds and would feel every time slice.
///
/// On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"); elsewhere it would slow the
/// whole process down, so it is left alone. Lowering it needs no privilege, and if it fails nothing is wrong but the time.
fn yield_to_the_workers() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pool(room: usize, deadline: Duration) -> Pool {
        Pool::start(1, room, deadline, 0).unwrap()
    }

    fn until(what: &str, mut happened: impl FnMut() -> bool) {
        let began = Instant::now();
        while !happened() {
            assert!(began.elapsed() < 20 * SECOND, "{what}");
            std::thread::yield_now();
        }
    }

    fn begin<F: Future>(future: std::pin::Pin<&mut F>) {
        assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    /// Keeps the only thread at work until the sender is used or dropped.
    fn hold(pool: &Pool) -> (impl Future<Output = Result<(), Busy>> + '_, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel();
        let work = pool.run(move |_| {
            let _ = held.recv();
        });
        (work, release)
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once() {
        let pool = pool(2, 60 * SECOND);
        let (held, release) = hold(&pool);
        let (mut held, mut first, mut second) = (pin!(held), pin!(pool.run(|_| 1)), pin!(pool.run(|_| 2)));
        begin(held.as_mut());
        until("the thread takes the job", || pool.load().running == 1);
        begin(first.as_mut());
        begin(second.as_mut());
        assert_eq!(pool.run(|_| 3).await, Err(Busy));
        assert_eq!((pool.load().waiting, pool.load().shed_full), (2, 1));
        drop(release);
        assert_eq!((held.await, first.await, second.await), (Ok(()), Ok(1), Ok(2)));
        until("all is counted", || pool.load().done == 3 && pool.load().running == 0);
    }

    #[tokio::test]
    async fn a_job_that_waited_too_long_is_not_done() {
        let pool = pool(2, Duration::from_millis(20));
        let done = Arc::new(AtomicBool::new(false));
        let (held, release) = hold(&pool);
        let mut held = pin!(held);
        begin(held.as_mut());
        until("the thread takes the job", || pool.load().running == 1);
        let mut late = pin!(pool.run({
            let done = Arc::clone(&done);
            move |_| done.store(true, Ordering::SeqCst)
        }));
        let since = Instant::now();
        begin(late.as_mut());
        until("the deadline passes", || since.elapsed() > Duration::from_millis(20));
        drop(release);
        assert_eq!(late.await, Err(Busy));
        assert_eq!(pool.load().shed_late, 1);
        assert!(!done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn who_went_away_costs_neither_work_nor_room() {
        let pool = pool(1, 60 * SECOND);
        let done = Arc::new(AtomicBool::new(false));
        let (held, release) = hold(&pool);
        let mut held = pin!(held);
        begin(held.as_mut());
        until("the thread takes the job", || pool.load().running == 1);
        {
            let done = Arc::clone(&done);
            begin(pin!(pool.run(move |_| done.store(true, Ordering::SeqCst))));
        }
        let mut next = pin!(pool.run(|_| 7));
        begin(next.as_mut());
        drop(release);
        assert_eq!(next.await, Ok(7));
        assert_eq!((pool.load().abandoned, pool.load().shed_full), (1, 0));
        assert!(!done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer() {
        let pool = pool(1, 60 * SECOND);
        assert_eq!(pool.run(|_| -> u8 { panic!("meant to") }).await, Err(Busy));
        assert_eq!(pool.run(|_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn the_end_joins_the_threads_and_answers_who_waits() {
        let pool = pool(1, 60 * SECOND);
        let shared = Arc::clone(&pool.shared);
        let (release, held) = mpsc::channel::<()>();
        let (working, worked) = oneshot::channel();
        shared.queue(Box::new(Task { work: move |_: &mut Memory| held.recv().is_err(), reply: working })).unwrap();
        until("the thread takes the job", || pool.load().running == 1);
        let (waiting, waited) = oneshot::channel();
        shared.queue(Box::new(Task { work: |_: &mut Memory| (), reply: waiting })).unwrap();
        let end = std::thread::spawn(move || drop(pool));
        until("the queue is closed", || shared.lock().closed);
        drop(release);
        end.join().unwrap();
        assert_eq!(worked.await, Ok(true), "what is under way is finished");
        assert!(waited.await.is_err(), "what waits is answered");
        assert_eq!(Arc::strong_count(&shared), 1, "a thread is still there");
    }

    #[tokio::test]
    async fn no_more_are_at_work_than_there_are_threads() {
        let pool = Pool::start(2, 8, 60 * SECOND, 0).unwrap();
        let ((first, release_first), (second, release_second), (third, release_third)) =
            (hold(&pool), hold(&pool), hold(&pool));
        let (mut first, mut second, mut third) = (pin!(first), pin!(second), pin!(third));
        begin(first.as_mut());
        begin(second.as_mut());
        begin(third.as_mut());
        until("both threads are at work", || pool.load().running == 2);
        assert_eq!(pool.load().waiting, 1);
        drop(release_first);
        assert_eq!(first.await, Ok(()));
        until("the third has its turn", || pool.load().waiting == 0 && pool.load().running == 2);
        drop((release_second, release_third));
        assert_eq!((second.await, third.await), (Ok(()), Ok(())));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_let_others_go_first_and_only_they_do() {
        let outside = || rustix::process::getpriority_process(None).unwrap();
        let before = outside();
        let pool = pool(1, 60 * SECOND);
        let inside = pool.run(move |_| outside()).await;
        assert_eq!((inside, outside()), (Ok((before + 5).min(19)), before));
    }
}
