//! One worker: a thread with a runtime and a listener, the connections it accepts, and their drain when the server
//! stops.
//!
//! Knows nothing of HTTP; `connection` serves it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use super::activity::ConnectionActivity;
use super::connection_limit::{ConnectionLimit, ConnectionPermit};
use super::date::Date;
use super::error::ServerStartError;
use super::observer::{CutOffReason, Observer};
use super::protocols::Protocols;
use super::registry::ConnectionRegistry;
use super::socket::SharedBuffer;
use super::state::{ConnectionSlot, Lifecycle, Phase, WorkerState};
use super::tasks::TaskContext;
use super::tls::Certificates;
use super::{bind, connection};
use crate::clock::Clock;
use crate::config;
use crate::http::{RequestFactory, RequestIdGenerator, RequestLimits, Router, TrustedProxies, connection_counter};
use crate::priority;
use crate::rng::Rng;

/// Pause after `accept` fails for lack of file descriptors or memory. Waiting connections stay in the kernel's queue;
/// retrying without a pause would only take CPU time that the open connections need to finish.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// After this time without a request (or 1/32 of the idle timeout if that is shorter) a connection releases its HTTP
/// buffers. They are allocated again for the next request.
const HIBERNATE_AFTER: Duration = Duration::from_secs(2);

/// Number of tasks that the runtime polls before it asks the kernel for I/O events. Tasks take microseconds.
const EVENT_INTERVAL: u32 = 128;

/// Time in which TCP handshakes that are under way when the server stops may still finish.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(50);

/// Everything a worker needs to start.
pub(super) struct WorkerConfig<C> {
    pub(super) index: usize,
    pub(super) listener: StdListener,
    pub(super) settings: config::Server,
    pub(super) router: Arc<Router<C>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) rng: Rng,
    pub(super) tls: Option<Arc<Certificates>>,
    pub(super) connection_limit: Arc<ConnectionLimit>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Runs a worker on this thread until it is drained. Returns the number of connections that had to be aborted.
pub(super) fn run<C, F, E>(
    config: WorkerConfig<C>,
    make_context: impl FnOnce(usize) -> F,
    started: &mpsc::Sender<Result<(), ServerStartError<E>>>,
) -> usize
where
    C: Clone + 'static,
    F: Future<Output = Result<C, E>>,
    E: fmt::Debug + fmt::Display,
{
    priority::shorten_time_slice();
    let mut runtime = Builder::new_current_thread();
    if priority::has_one_core() {
        runtime.on_thread_unpark(priority::begin_work).on_thread_park(priority::end_work);
    }
    let runtime = match runtime.enable_all().event_interval(EVENT_INTERVAL).build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(ServerStartError::Worker(error.to_string())));
            return 0;
        }
    };
    runtime.block_on(async {
        let prepare = async {
            let context = make_context(config.index).await.map_err(ServerStartError::Context)?;
            let listener =
                TcpListener::from_std(config.listener).map_err(|error| ServerStartError::Worker(error.to_string()))?;
            Ok((context, listener))
        };
        let (context, listener) = match prepare.await {
            Ok(prepared) => prepared,
            Err(error) => {
                let _ = started.send(Err(error));
                return 0;
            }
        };
        let settings = &config.settings;
        let limits = RequestLimits {
            max_body: settings.max_body,
            max_held: settings.max_held,
            body_timeout: settings.body_timeout,
            request_timeout: settings.request_timeout,
        };
        let proxies = TrustedProxies::new(settings.trusted_proxies.clone());
        let tasks = Rc::new(TaskContext::new(config.index, config.observer.clone(), settings.write_timeout));
        let worker = Rc::new(WorkerState {
            index: config.index,
            context,
            router: config.router,
            observer: config.observer,
            request_factory: RequestFactory::new(limits, proxies.clone(), RequestIdGenerator::new(&config.rng)),
            proxies,
            protocols: Protocols::new(settings.max_body, &tasks),
            tasks,
            registry: ConnectionRegistry::new(settings.max_held, connection_counter()),
            socket_buffer: SharedBuffer::new(),
            date: Date::new(Clock::system()),
            tls: config.tls,
            max_body: settings.max_body,
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            hibernate_after: HIBERNATE_AFTER.min(settings.idle_timeout / 32),
            lifecycle: Lifecycle::new(),
        });
        if let (0, Some(tls)) = (worker.index, worker.tls.clone()) {
            tokio::task::spawn_local(tls.watch());
        }
        let _ = started.send(Ok(()));
        let mut stop = config.stop;
        let mut waiting = None;
        tokio::select! {
            biased;
            // An error means that every stop handle was dropped: stop as well.
            _ = stop.wait_for(|stop| *stop) => {}
            () = accept(&worker, &listener, &config.connection_limit, &mut waiting) => {}
        }
        if let Some((stream, peer)) = waiting {
            spawn_connection(&worker, stream, peer, None);
        }
        drain(&worker, listener, settings.drain_timeout).await
    })
}

/// Accepts connections forever. A connection for which there is no permit yet is in `waiting`, where it outlives this
/// future.
async fn accept<C: Clone + 'static>(
    worker: &Rc<WorkerState<C>>,
    listener: &TcpListener,
    limit: &Arc<ConnectionLimit>,
    waiting: &mut Option<(TcpStream, SocketAddr)>,
) {
    let mut exhausted = false;
    loop {
        *waiting = match listener.accept().await {
            Ok(accepted) => Some(accepted),
            Err(error) if is_out_of_resources(&error) => {
                worker.observer.accept_failed(worker.index);
                if !std::mem::replace(&mut exhausted, true) {
                    tracing::warn!(%error, "cannot accept connections: out of file descriptors or memory; they wait");
                }
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
            // The client disconnected before the connection was accepted.
            Err(_) => continue,
        };
        exhausted = false;
        let closing = limit.is_short() && worker.registry.close_longest_idle();
        if closing {
            worker.observer.connection_cut_off(worker.index, CutOffReason::NetworkShare);
        }
        // With all permits in use, this connection waits for one, and later ones wait in the kernel's queue.
        let permit = limit.acquire(closing).await;
        if let Some((stream, peer)) = waiting.take() {
            spawn_connection(worker, stream, peer, Some(permit));
        }
    }
}

fn is_out_of_resources(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn spawn_connection<C: Clone + 'static>(
    worker: &Rc<WorkerState<C>>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: Option<ConnectionPermit>,
) {
    let activity = Rc::new(ConnectionActivity::new(Instant::now()));
    let slot = ConnectionSlot::new(worker.clone(), activity.clone(), permit);
    let task = tokio::task::spawn_local(async move { connection::serve(&slot, stream, peer).await });
    // The task runs on this thread, so not before its connection has an entry. A proxy forwards requests of many
    // networks, so its connections count against none. An IPv6 connection counts against the whole /48: a stranger with
    // one from each of its /64s would never have the most, and anyone with two would. Many people may share a /48, as
    // they may share an IPv4 address: they lose connections only while these run short, and idle ones first.
    let peer = peer.ip().to_canonical();
    let network = (!worker.proxies.is_trusted(peer)).then(|| config::site_of(peer));
    activity.set_entry(worker.registry.insert(network, task.abort_handle(), &activity));
}

/// Accepts the connections that are already established, waits until all connections end, and aborts those that exceed
/// `timeout`. Returns the number of aborted connections.
async fn drain<C: Clone + 'static>(worker: &Rc<WorkerState<C>>, listener: TcpListener, timeout: Duration) -> usize {
    let since = Instant::now();
    worker.enter_phase(Phase::Draining(since));
    if let Ok(listener) = listener.into_std() {
        bind::drop_new_connections(&listener);
        let until = since + HANDSHAKE_GRACE.min(timeout);
        loop {
            while let Some((stream, peer)) = accept_queued(&listener) {
                spawn_connection(worker, stream, peer, None);
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(HANDSHAKE_GRACE / 10).await;
        }
    }
    if tokio::time::timeout(timeout.saturating_sub(since.elapsed()), worker.all_closed()).await.is_ok() {
        return 0;
    }
    let aborted = worker.open_connections();
    worker.enter_phase(Phase::Aborted);
    // Each connection ends at its next poll, which the phase change triggers, unless a handler blocks the thread.
    worker.all_closed().await;
    aborted
}

fn accept_queued(listener: &StdListener) -> Option<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    return Some((stream, peer));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_out_of_resources(&error) => return None,
            Err(_) => {}
        }
    }
}
