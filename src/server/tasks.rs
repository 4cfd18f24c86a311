//! The tasks of a worker: measures how long each poll keeps the thread, and resets HTTP/2 streams whose client reads
//! nothing.
//!
//! **Stalls.** All connections of a worker wait while one task is polled. So each poll of a connection and of a stream
//! is measured, and those over [`STALL`] are reported. A request that is answered within one poll, which nearly every
//! request is, needs no additional clock reading. The poll begins with the request, and after the response it only
//! writes a bounded number of bytes. Knows nothing of HTTP but that a response may begin in a poll.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::observer::Observer;
use super::unread_responses::UnreadResponse;

/// A poll that takes longer is a stall. A cached verification takes microseconds, so a stall delays hundreds of them.
const STALL: Duration = Duration::from_millis(1);

/// State shared by the tasks of one worker.
pub(super) struct TaskContext {
    worker: usize,
    observer: Arc<dyn Observer>,
    write_timeout: Duration,
    /// When the current poll began; `None` once it was measured.
    poll_began: Cell<Option<Instant>>,
    /// The response over HTTP/2 that began in the current poll.
    response_begun: Cell<Option<Rc<UnreadResponse>>>,
}

impl TaskContext {
    pub(super) fn new(worker: usize, observer: Arc<dyn Observer>, write_timeout: Duration) -> Self {
        Self { worker, observer, write_timeout, poll_began: Cell::new(None), response_begun: Cell::new(None) }
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
    pub(super) fn response_begins(&self, response: Rc<UnreadResponse>) {
        self.response_begun.set(Some(response));
    }
}

/// Runs the streams of an HTTP/2 connection as tasks on its own worker.
#[derive(Clone)]
pub(super) struct LocalExecutor(pub(super) Rc<TaskContext>);

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        // Boxed, because a task that pins the future in its own state would have space for it twice.
        tokio::task::spawn_local(run_stream(self.0.clone(), Box::pin(future)));
    }
}

/// Runs a stream's task. Once it has a response, it must make progress within the write timeout again and again.
/// Otherwise it is dropped, which resets the stream.
async fn run_stream<F: Future + Unpin>(tasks: Rc<TaskContext>, mut future: F) {
    let mut response: Option<Rc<UnreadResponse>> = None;
    let mut pieces = 0;
    loop {
        let waits_for_client = response.is_some();
        let ended = poll_fn(|cx| {
            let polled = tasks.measure(|| std::pin::Pin::new(&mut future).poll(cx));
            if let Some(begun) = tasks.response_begun.take() {
                response = Some(begun);
            }
            match polled {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending if !waits_for_client && response.is_some() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        });
        let ended = if waits_for_client {
            // Boxed, because few streams need the timer and all would carry its size.
            Box::pin(tokio::time::timeout(tasks.write_timeout, ended)).await
        } else {
            Ok(ended.await)
        };
        match (ended, &response) {
            (Ok(true), None) => return,
            (Ok(true), Some(response)) => return response.pass_on(),
            (Err(_), Some(response)) if response.pieces() == pieces => {
                return tasks.observer.stream_timed_out(tasks.worker);
            }
            (_, response) => pieces = response.as_ref().map_or(0, |response| response.pieces()),
        }
    }
}
