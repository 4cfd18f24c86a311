//! Listeners, one worker a core, limits, time-outs, drain: how requests get to a [`Router`] and answers back.
//!
//! Each worker is a thread with a runtime of its own, a listener of its own on the shared port (`SO_REUSEPORT`), and a context
//! of its own, made inside its runtime, so that no connection and no handler ever crosses threads and futures need not be
//! `Send`. Knows nothing of what is served: the context is generic.
//!
//! Reading order: [`start`] here, `worker` (accept and drain), `connection` (one connection's life), `pace`
//! (its time), `wire` and `socket` (its bytes), `bind`, `tls`.

mod bind;
mod connection;
mod descriptors;
mod socket;
mod timeouts;
mod tls;
mod wire;
mod worker;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::Method;
use tokio::sync::{Semaphore, watch};

pub use bind::BindError;
pub use tls::TlsError;

use crate::config;
use crate::http::{RequestId, Response, Router};
use crate::rng::Rng;

/// Is told what happens, on the worker's own thread, between a request's end and its answer's way out: it should take
/// nanoseconds.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered.
    fn answered(&self, _answered: &Answered<'_>) {}
    /// A connection was opened.
    fn opened(&self, _worker: usize) {}
    /// A connection that nothing came over for a while gave back the room that HTTP had.
    fn rested(&self, _worker: usize) {}
    /// A connection is no more.
    fn closed(&self, _worker: usize) {}
    /// A connection could not be accepted: out of file descriptors, or of memory.
    fn not_accepted(&self, _worker: usize) {}
}

/// One answered request. Its path is not here, since paths can hold tokens: the route's name is.
#[derive(Debug)]
pub struct Answered<'a> {
    /// Which worker answered it.
    pub worker: usize,
    /// Which of [`Router::names`] it is counted by.
    pub route: usize,
    /// That name.
    pub name: &'static str,
    /// The request's method.
    pub method: &'a Method,
    /// What the request goes by.
    pub id: &'a RequestId,
    /// Whose request it was.
    pub client: IpAddr,
    /// The answer, with its cause.
    pub response: &'a Response,
    /// From the end of the request's head to the answer.
    pub elapsed: Duration,
}

/// Why the server did not start. `E` is why a context could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError<E: fmt::Debug + fmt::Display> {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A worker's context could not be made.
    #[error("{0}")]
    Context(E),
    /// The machine gave no thread or no runtime.
    #[error("a worker cannot be started: {0}")]
    Worker(String),
}

/// The settings of the management listener, which is a server like the other: one worker, plain HTTP, few connections.
pub fn management(settings: &config::Server) -> Option<config::Server> {
    settings.management.map(|listen| config::Server {
        listen,
        workers: 1,
        max_connections: 256,
        tls: None,
        cors_origins: Vec::new(),
        ..settings.clone()
    })
}

/// Listens, and comes back when every worker has its context and answers.
///
/// `make_context` runs once in each worker, on its runtime: what it opens there belongs to that worker.
///
/// # Errors
/// [`StartError`]; nothing is left behind then.
pub fn start<C, M, F, E>(
    settings: &config::Server,
    router: Arc<Router<C>>,
    observer: Arc<dyn Observer>,
    rng: &Rng,
    make_context: M,
) -> Result<Running, StartError<E>>
where
    C: Clone + 'static,
    M: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<C, E>>,
    E: fmt::Debug + fmt::Display + Send + 'static,
{
    let listeners = bind::listeners(settings.listen, settings.workers.max(1))?;
    let address = listeners[0].local_addr().map_err(|error| BindError::other(settings.listen, &error))?;
    let tls = settings.tls.as_ref().map(tls::Certificates::load).transpose()?.map(Arc::new);
    let room = Arc::new(Semaphore::new(descriptors::room_for(settings.max_connections)));
    let (stop, stopped) = watch::channel(false);
    let make_context = Arc::new(make_context);
    let (started, starting) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let plan = worker::Plan {
            index,
            listener,
            settings: settings.clone(),
            router: router.clone(),
            observer: observer.clone(),
            rng: rng.clone(),
            tls: tls.clone(),
            room: room.clone(),
            stopped: stopped.clone(),
        };
        let (make_context, started) = (make_context.clone(), started.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let thread = thread.spawn(move || worker::run(plan, |index| make_context(index), &started));
        threads.push(thread.map_err(|error| StartError::Worker(error.to_string()))?);
    }
    drop(started);
    let running = Running { address, secure: tls.is_some(), stopper: Stopper(Arc::new(stop)), threads };
    for _ in 0..running.threads.len() {
        // Dropping `running` on the way out stops the workers that did start.
        starting.recv().unwrap_or_else(|_| Err(StartError::Worker("its thread ended".into())))?;
    }
    Ok(running)
}

/// A server that runs. Dropping it stops it, without waiting.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    secure: bool,
    stopper: Stopper,
    threads: Vec<JoinHandle<usize>>,
}

impl Running {
    /// Where it listens, with the port it was given where the settings say 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// What stops it, for whoever waits for the signal.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Stops it, waits until all requests are answered or the time for that is over, and tells how many connections
    /// had to be cut. Blocks.
    pub fn drain(mut self) -> usize {
        self.stopper.stop();
        self.join()
    }

    /// Waits until it was stopped and is drained. Blocks.
    pub fn wait(mut self) -> usize {
        self.join()
    }

    fn join(&mut self) -> usize {
        // A worker that panicked outside of every request has no count to give.
        self.threads.drain(..).map(|thread| thread.join().unwrap_or_default()).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

/// Stops a server: it accepts no more, answers what was asked, and ends.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    /// Stops it; again does nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
