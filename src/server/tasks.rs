//! The tasks of a worker: measures how long each poll keeps the thread, polls HTTP/2 streams, and resets those whose
//! client reads nothing.
//!
//! **Stalls.** All connections of a worker wait while one task is polled. So each poll of a connection is measured,
//! together with the streams that it has opened, and each later poll of a stream; those over [`STALL`] are reported. An
//! HTTP/1.1 request that is answered within one poll, which nearly every request is, needs no additional clock reading.
//! The poll begins with the request, and after the response it only writes a bounded number of bytes. Knows nothing of
//! HTTP but that a response may begin in a poll.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::observer::Observer;
use super::unread_responses::UnreadResponse;

/// A poll that takes longer is a stall. A cached verification takes microseconds, so a stall delays hundreds of them.
const STALL: Duration = Duration::from_millis(1);

/// The future of a stream, from its request to the last byte of its response.
type StreamFuture = Pin<Box<dyn Future<Output = ()>>>;

/// State shared by the tasks of one worker.
pub(super) struct TaskContext {
    worker: usize,
    observer: Arc<dyn Observer>,
    write_timeout: Duration,
    /// When the current poll began; `None` once it was measured.
    poll_began: Cell<Option<Instant>>,
    /// The response over HTTP/2 that began in the current poll.
    response_begun: Cell<Option<Arc<UnreadResponse>>>,
    /// Streams that the current poll of a connection has opened.
    new_streams: RefCell<VecDeque<StreamFuture>>,
}

impl TaskContext {
    pub(super) fn new(worker: usize, observer: Arc<dyn Observer>, write_timeout: Duration) -> Self {
        Self {
            worker,
            observer,
            write_timeout,
            poll_began: Cell::new(None),
            response_begun: Cell::new(None),
            new_streams: RefCell::default(),
        }
    }

    /// Time in which a client must read at least one byte of a pending response.
    pub(super) fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// Polls with `poll` and measures it.
    pub(super) fn measure<T>(&self, poll: impl FnOnce() -> T) -> T {
        self.poll_began.set(Some(Instant::now()));
        let result = poll();
        if let Some(began) = self.poll_began.take() {
            self.report(began, Instant::now());
        }
        result
    }

    /// When the current poll began. Now, if it is already measured; it is then measured again from now on.
    pub(super) fn poll_began(&self) -> Instant {
        let began = self.poll_began.get().unwrap_or_else(Instant::now);
        self.poll_began.set(Some(began));
        began
    }

    /// Measures the current poll up to `now`, which saves reading the clock again.
    pub(super) fn measured_until(&self, now: Instant) {
        if let Some(began) = self.poll_began.take() {
            self.report(began, now);
        }
    }

    fn report(&self, began: Instant, ended: Instant) {
        let elapsed = ended.saturating_duration_since(began);
        if elapsed >= STALL {
            self.observer.worker_stalled(self.worker, elapsed);
        }
    }

    /// Records that a response over HTTP/2 begins in the current poll.
    pub(super) fn response_begins(&self, response: Arc<UnreadResponse>) {
        self.response_begun.set(Some(response));
    }
}

/// Runs the streams of an HTTP/2 connection on its own worker. [`TaskContext::run_streams`] polls them first.
#[derive(Clone)]
pub(super) struct LocalExecutor(pub(super) Rc<TaskContext>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        self.0.new_streams.borrow_mut().push_back(Box::pin(future));
    }
}

impl TaskContext {
    /// Polls the streams that the last poll of a connection has opened, and returns whether any is complete. Nearly
    /// every request is answered within one poll, so only the others get a task. The caller measures it.
    pub(super) fn run_streams(self: &Rc<Self>) -> bool {
        let mut any_complete = false;
        loop {
            let Some(future) = self.new_streams.borrow_mut().pop_front() else { return any_complete };
            let mut stream = Stream { tasks: self.clone(), future, response: None, pieces: 0, timer: None };
            // No waker, because a stream that waits is polled again by its task. A panic resets its stream only, as in
            // a task.
            let poll = AssertUnwindSafe(|| stream.advance(&mut Context::from_waker(Waker::noop())));
            if catch_unwind(poll).is_ok_and(|polled| polled.is_pending()) {
                tokio::task::spawn_local(stream);
            } else {
                any_complete = true;
            }
        }
    }
}

/// A stream. Once it has a response, it must make progress within the write timeout again and again. Otherwise it is
/// dropped, which resets the stream.
struct Stream {
    tasks: Rc<TaskContext>,
    future: StreamFuture,
    response: Option<Arc<UnreadResponse>>,
    /// Pieces of the response that were passed on when the timer was set.
    pieces: u32,
    /// Set while the response waits for the client, which few do.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { tasks, future, response, pieces, timer } = self;
        let polled = future.as_mut().poll(cx);
        if let Some(begun) = tasks.response_begun.take() {
            *response = Some(begun);
        }
        let Some(response) = response else { return polled };
        if polled.is_ready() {
            response.pass_on();
            return Poll::Ready(());
        }
        let timer = timer.get_or_insert_with(|| {
            *pieces = response.pieces();
            Box::pin(tokio::time::sleep(tasks.write_timeout))
        });
        while timer.as_mut().poll(cx).is_ready() {
            if response.pieces() == *pieces {
                tasks.observer.stream_timed_out(tasks.worker);
                return Poll::Ready(());
            }
            *pieces = response.pieces();
            timer.as_mut().reset(tokio::time::Instant::now() + tasks.write_timeout);
        }
        Poll::Pending
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stream = self.get_mut();
        let tasks = stream.tasks.clone();
        tasks.measure(|| stream.advance(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Executor;
    use std::future::poll_fn;
    use std::sync::Mutex;
    use tokio::sync::oneshot;

    struct Silent;
    impl Observer for Silent {}

    fn tasks() -> Rc<TaskContext> {
        Rc::new(TaskContext::new(0, Arc::new(Silent), Duration::from_secs(5)))
    }

    #[tokio::test]
    async fn stream_that_waits_continues_in_a_task() {
        let local = tokio::task::LocalSet::new();
        let (tasks, (go, gone), (done, is_done)) = (tasks(), oneshot::channel::<()>(), oneshot::channel());
        local
            .run_until(async {
                LocalExecutor(tasks.clone()).execute(async {
                    gone.await.unwrap();
                    done.send(()).unwrap();
                });
                assert!(!tasks.run_streams(), "nothing is complete");
                go.send(()).unwrap();
                is_done.await.unwrap();
            })
            .await;
    }

    #[derive(Default)]
    struct Stalls(Mutex<Vec<Duration>>);
    impl Observer for Stalls {
        fn worker_stalled(&self, _: usize, stall: Duration) {
            self.0.lock().unwrap().push(stall);
        }
    }

    #[test]
    fn streams_of_one_poll_are_one_stall() {
        let stalls = Arc::new(Stalls::default());
        let tasks = Rc::new(TaskContext::new(0, stalls.clone(), Duration::from_secs(5)));
        for _ in 0..2 {
            LocalExecutor(tasks.clone()).execute(async { std::thread::sleep(STALL) });
        }
        assert!(tasks.measure(|| tasks.run_streams()));
        let reported = stalls.0.lock().unwrap();
        assert!(reported.len() == 1 && reported[0] >= 2 * STALL, "{reported:?}");
    }

    #[test]
    fn panic_in_a_stream_leaves_the_others() {
        let (tasks, complete) = (tasks(), Rc::new(Cell::new(false)));
        let executor = LocalExecutor(tasks.clone());
        executor.execute(poll_fn(|_| -> Poll<()> { panic!("a bug") }));
        let completed = complete.clone();
        executor.execute(async move { completed.set(true) });
        assert!(tasks.run_streams() && complete.get());
    }
}
