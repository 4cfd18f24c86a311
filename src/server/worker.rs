//! One worker: a thread, a runtime, a listener and the connections it accepted, from start to drain.
//!
//! Knows nothing of HTTP: `connection` does.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::connection::{self, Protocols};
use super::socket::Passage;
use super::tls::Certificates;
use super::{Observer, StartError, bind};
use crate::config;
use crate::http::{Bounds, Intake, Proxies, RequestIds, Router};
use crate::rng::Rng;

/// How long accepting rests when there is no descriptor or memory for another connection. Those that wait stay in the
/// kernel's queue; asking again at once would only burn the time that the open ones need to finish.
const REST: Duration = Duration::from_millis(50);

/// After so long without a request, or a part of the idle time-out where that is short, a connection gives back the room that
/// HTTP had. It is made again with the next one.
const REST_AFTER: Duration = Duration::from_secs(2);

/// How many tasks have their turn before the kernel is asked for news, if any is left to have one: they take microseconds.
const TURNS: u32 = 128;

/// For how long handshakes that are under way when the server stops may still finish.
const LAST_HANDSHAKES: Duration = Duration::from_millis(50);

/// What a worker is started with.
pub(super) struct Plan<C> {
    pub(super) index: usize,
    pub(super) listener: StdListener,
    pub(super) settings: config::Server,
    pub(super) router: Arc<Router<C>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) rng: Rng,
    pub(super) tls: Option<Arc<Certificates>>,
    pub(super) room: Arc<Semaphore>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections may stay.
    Serving,
    /// Since then each connection ends with its next answer, or for want of a question.
    Draining(Instant),
    /// All is over.
    Cut,
}

/// What a worker's connections share.
pub(super) struct Worker<C> {
    pub(super) index: usize,
    pub(super) context: C,
    pub(super) router: Arc<Router<C>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) intake: Intake,
    pub(super) protocols: Protocols,
    pub(super) passage: Passage,
    pub(super) tls: Option<Arc<Certificates>>,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) rest_after: Duration,
    phase: Cell<Phase>,
    phase_changed: Notify,
    open: Cell<usize>,
    closed: Notify,
}

impl<C> Worker<C> {
    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Comes back when the phase is another than when this was called (not when it was first waited for).
    pub(super) fn phase_changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.phase_changed.notified()
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.phase_changed.notify_waiters();
    }

    async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open.get() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// Runs a worker on this thread until it is drained, and tells how many connections had to be cut.
pub(super) fn run<C, F, E>(
    plan: Plan<C>,
    make_context: impl FnOnce(usize) -> F,
    started: &mpsc::Sender<Result<(), StartError<E>>>,
) -> usize
where
    C: Clone + 'static,
    F: Future<Output = Result<C, E>>,
    E: fmt::Debug + fmt::Display,
{
    let mut runtime = Builder::new_current_thread();
    let runtime = match runtime.enable_all().event_interval(TURNS).build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(StartError::Worker(error.to_string())));
            return 0;
        }
    };
    runtime.block_on(async {
        let begun = async {
            let context = make_context(plan.index).await.map_err(StartError::Context)?;
            let listener =
                TcpListener::from_std(plan.listener).map_err(|error| StartError::Worker(error.to_string()))?;
            Ok((context, listener))
        };
        let (context, listener) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                let _ = started.send(Err(error));
                return 0;
            }
        };
        let settings = &plan.settings;
        let bounds = Bounds {
            max_body: settings.max_body,
            max_held: settings.max_held,
            body_timeout: settings.body_timeout,
            request_timeout: settings.request_timeout,
        };
        let worker = Rc::new(Worker {
            index: plan.index,
            context,
            router: plan.router,
            observer: plan.observer,
            intake: Intake::new(bounds, Proxies::new(settings.trusted_proxies.clone()), RequestIds::new(&plan.rng)),
            protocols: Protocols::new(settings.max_body),
            passage: Passage::new(),
            tls: plan.tls,
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            rest_after: REST_AFTER.min(settings.idle_timeout / 32),
            phase: Cell::new(Phase::Serving),
            phase_changed: Notify::new(),
            open: Cell::new(0),
            closed: Notify::new(),
        });
        if let (0, Some(tls)) = (worker.index, worker.tls.clone()) {
            tokio::task::spawn_local(tls.follow());
        }
        let _ = started.send(Ok(()));
        let mut stopped = plan.stopped;
        let mut waiting = None;
        tokio::select! {
            biased;
            // An error means that nobody is left to stop it: the same.
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = accept(&worker, &listener, &plan.room, &mut waiting) => {}
        }
        if let Some((stream, peer)) = waiting {
            admit(&worker, stream, peer, None);
        }
        drain(&worker, listener, settings.drain_timeout).await
    })
}

/// Accepts for ever. A connection for which there is no room yet waits in `waiting`, where it outlives this future.
async fn accept<C: Clone + 'static>(
    worker: &Rc<Worker<C>>,
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    waiting: &mut Option<(TcpStream, SocketAddr)>,
) {
    let mut resting = false;
    loop {
        *waiting = match listener.accept().await {
            Ok(accepted) => Some(accepted),
            Err(error) if lacks_resources(&error) => {
                worker.observer.not_accepted(worker.index);
                if !std::mem::replace(&mut resting, true) {
                    tracing::warn!(%error, "connections wait: none can be accepted");
                }
                tokio::time::sleep(REST).await;
                continue;
            }
            // The client went away between its connecting and our accepting.
            Err(_) => continue,
        };
        resting = false;
        // All places taken: this one waits for one, and behind it the kernel's queue.
        let Ok(place) = room.clone().acquire_owned().await else { return };
        if let Some((stream, peer)) = waiting.take() {
            admit(worker, stream, peer, Some(place));
        }
    }
}

fn lacks_resources(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A connection's place; given back however the connection ends.
struct Open<C> {
    worker: Rc<Worker<C>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        self.worker.open.set(self.worker.open.get() - 1);
        self.worker.closed.notify_waiters();
        self.worker.observer.closed(self.worker.index);
    }
}

fn admit<C: Clone + 'static>(
    worker: &Rc<Worker<C>>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<OwnedSemaphorePermit>,
) {
    worker.open.set(worker.open.get() + 1);
    worker.observer.opened(worker.index);
    let open = Open { worker: worker.clone(), _place: place };
    tokio::task::spawn_local(async move {
        connection::serve(&open.worker, stream, peer).await;
        drop(open);
    });
}

/// Accepts what has connected so far and nothing more, lets all finish, and cuts what did not in time.
async fn drain<C: Clone + 'static>(worker: &Rc<Worker<C>>, listener: TcpListener, patience: Duration) -> usize {
    let begun = Instant::now();
    worker.enter(Phase::Draining(begun));
    if let Ok(listener) = listener.into_std() {
        bind::refuse_new(&listener);
        let until = begun + LAST_HANDSHAKES.min(patience);
        loop {
            while let Some((stream, peer)) = queued(&listener) {
                admit(worker, stream, peer, None);
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(LAST_HANDSHAKES / 10).await;
        }
    }
    if tokio::time::timeout(patience.saturating_sub(begun.elapsed()), worker.all_closed()).await.is_ok() {
        return 0;
    }
    let cut = worker.open.get();
    worker.enter(Phase::Cut);
    // Each connection ends the next time it is polled, which it now is; a handler that blocks its thread is the exception.
    worker.all_closed().await;
    cut
}

fn queued(listener: &StdListener) -> Option<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    return Some((stream, peer));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || lacks_resources(&error) => return None,
            Err(_) => {}
        }
    }
}
