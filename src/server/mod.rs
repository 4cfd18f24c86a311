//! The server: listeners, one worker per core, limits, timeouts and drain. It brings requests to a [`Router`] and
//! sends the responses.
//!
//! Each worker is a thread with its own runtime, its own listener on the shared port (`SO_REUSEPORT`) and its own
//! context, created inside that runtime. So no connection and no handler moves between threads, and futures need not be
//! `Send`. Knows nothing of what is served: the context is generic.
//!
//! Reading order: [`start`] here, `worker` (accept and drain), `connection` (from the handshake to the close),
//! `timeouts`, `state` (shared by a worker's connections), `registry` and `connection_limit` (what is closed when
//! memory or connections run short), `tasks` (stalls, streams), `unread_responses` and `date` (responses over HTTP/2),
//! `wire` and `socket` (bytes), `bind`, `tls`.

mod activity;
mod bind;
mod certificate;
mod connection;
mod connection_limit;
mod date;
mod descriptors;
mod error;
mod in_flight;
mod observer;
mod protocols;
mod registry;
mod response_body;
mod socket;
mod state;
mod tasks;
mod timeouts;
mod tls;
mod unread_responses;
mod wire;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

pub use bind::BindError;
pub use error::ServerStartError;
pub use observer::{CompletedRequest, CutOffReason, Observer};
pub use tls::TlsError;

use connection_limit::ConnectionLimit;

use crate::config;
use crate::http::Router;
use crate::rng::Rng;

/// Checks that the server can listen on `address`, by listening on it for a moment.
pub fn check_address(address: SocketAddr) -> Result<(), BindError> {
    bind::listen(address, 1).map(drop)
}

/// Checks that the server can use these files for TLS, by reading them as it does when it starts.
pub fn check_certificate(files: &config::Tls) -> Result<(), TlsError> {
    struct Unobserved;
    impl Observer for Unobserved {}
    tls::Certificates::load(files, Arc::new(Unobserved)).map(drop)
}

/// The settings of the management server: one worker, plain HTTP, few connections.
pub fn management_settings(settings: &config::Server) -> Option<config::Server> {
    settings.management.map(|listen| config::Server {
        listen,
        workers: 1,
        max_connections: 256,
        tls: None,
        cors_origins: Vec::new(),
        ..settings.clone()
    })
}

/// Starts the server. Returns when every worker has its context and serves requests.
///
/// `make_context` runs once in each worker, on the worker's runtime, so that connections it opens belong to that
/// worker.
///
/// # Errors
/// [`ServerStartError`]; the workers that did start are stopped.
pub fn start<C, M, F, E>(
    settings: &config::Server,
    router: Arc<Router<C>>,
    observer: Arc<dyn Observer>,
    rng: &Rng,
    make_context: M,
) -> Result<RunningServer, ServerStartError<E>>
where
    C: Clone + 'static,
    M: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<C, E>>,
    E: fmt::Debug + fmt::Display + Send + 'static,
{
    let listeners = bind::listen(settings.listen, settings.workers.max(1))?;
    let address = listeners[0].local_addr().map_err(|error| BindError::new(settings.listen, &error))?;
    let tls =
        settings.tls.as_ref().map(|files| tls::Certificates::load(files, observer.clone())).transpose()?.map(Arc::new);
    let max_connections = descriptors::permitted_connections(settings.max_connections);
    let limit = Arc::new(ConnectionLimit::new(max_connections, observer.clone()));
    let (stop_sender, stop) = watch::channel(false);
    let make_context = Arc::new(make_context);
    let (started, starting) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let config = worker::WorkerConfig {
            index,
            listener,
            settings: settings.clone(),
            router: router.clone(),
            observer: observer.clone(),
            rng: rng.clone(),
            tls: tls.clone(),
            connection_limit: limit.clone(),
            stop: stop.clone(),
        };
        let (make_context, started) = (make_context.clone(), started.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let thread = thread.spawn(move || worker::run(config, |index| make_context(index), &started));
        threads.push(thread.map_err(|error| ServerStartError::Worker(error.to_string()))?);
    }
    drop(started);
    let running =
        RunningServer { address, secure: tls.is_some(), stop_handle: StopHandle(Arc::new(stop_sender)), threads };
    for _ in 0..running.threads.len() {
        // On error, dropping `running` stops the workers that did start.
        starting.recv().unwrap_or_else(|_| Err(ServerStartError::Worker("its thread ended".into())))?;
    }
    Ok(running)
}

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    secure: bool,
    stop_handle: StopHandle,
    threads: Vec<JoinHandle<usize>>,
}

impl RunningServer {
    /// The address it listens on; with port 0 in the settings, the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// A handle that stops the server, for signal handlers.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop_handle.clone()
    }

    /// Stops the server and waits until every request is answered or the drain timeout passes. Returns the number of
    /// connections that had to be aborted. Blocks.
    pub fn drain(mut self) -> usize {
        self.stop_handle.stop();
        self.join()
    }

    /// Waits until the server was stopped and has drained. Returns the same number as [`drain`](Self::drain). Blocks.
    pub fn wait(mut self) -> usize {
        self.join()
    }

    fn join(&mut self) -> usize {
        // A worker that panicked outside of a request returns no number.
        self.threads.drain(..).map(|thread| thread.join().unwrap_or_default()).sum()
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop_handle.stop();
    }
}

/// Stops a server: it accepts no more connections, answers the requests in flight, and ends.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<watch::Sender<bool>>);

impl StopHandle {
    /// Stops the server. Idempotent.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
