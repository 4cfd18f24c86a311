//! `signet serve`: builds a node, answers requests until SIGTERM or SIGINT, then finishes what it has begun. A command
//! can run a server for as long as it works ([`serve_during`]).
//!
//! The workers answer requests, each on its own thread. One more runtime, on the main thread, follows revocations, runs
//! maintenance and waits for signals.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::banner::announce;
use super::build;
use super::error::StartError;
use super::failure_log::FailureLog;
use super::maintenance::{self, load_revocations, watch_readiness};
use super::management;
use super::observer::{ManagementObserver, RequestObserver};
use super::program_memory::release_pages_after_start;
use super::start_retry::retry_while_unavailable;
use super::stores::Stores;
use super::webhook;
use crate::api;
use crate::auth::audit;
use crate::auth::context::Context;
use crate::auth::revocation::propagation::withdraw_position;
use crate::auth::tokens::verify::flush_api_key_usage;
use crate::clock::Clock;
use crate::config::{Config, ConsoleListener};
use crate::http::{RouteTableError, Router};
use crate::server::{self, BindError, Observer, RunningServer};
use crate::telemetry::Condition;
use crate::telemetry::logs::{self, Logs};

/// Time for mails, and for events to the webhook, after the requests have finished, at least: requests in flight may
/// have promised a mail.
const MIN_SENDING_DRAIN: Duration = Duration::from_secs(2);

/// Time for security events to be stored after the requests have finished. Longer than a store takes that answers.
const MAX_AUDIT_DRAIN: Duration = Duration::from_secs(2);

/// Why the server did not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The node cannot be built.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log cannot be started.
    #[error(transparent)]
    Log(#[from] logs::StartError),
    /// The table of routes is inconsistent.
    #[error(transparent)]
    Routes(#[from] RouteTableError),
    /// The address in `setting` cannot be listened on.
    #[error("{error}")]
    Bind {
        /// The name of the setting.
        setting: &'static str,
        /// Why.
        error: BindError,
    },
    /// A listener did not start for another reason.
    #[error("{0}")]
    Listener(String),
    /// The async runtime cannot be started.
    #[error("starting the async runtime: {0}")]
    Runtime(io::Error),
    /// Signals cannot be received.
    #[error("listening for signals: {0}")]
    Signals(io::Error),
    /// Stdout cannot be written.
    #[error("writing to stdout: {0}")]
    Stdout(io::Error),
}

/// A running server, for what a command does beside it.
pub struct Running<'a> {
    /// The node, with store connections for the runtime that maintenance uses.
    pub ctx: &'a Context,
    /// The stores of the process.
    pub stores: &'a Stores,
    /// The URL that it listens on.
    pub url: String,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Completes when the process is to end.
    pub stop: StopSignal,
}

/// Reports the first signal that asks the process to end. Once it exists, such signals no longer kill the process.
#[derive(Clone)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// Completes once a signal has arrived.
    pub async fn requested(&self) {
        // An error means that the task that waits for signals is gone, as on shutdown.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// Catches `kinds` from now on.
    fn catch(kinds: &[SignalKind]) -> io::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        for kind in kinds {
            let mut signals = signal(*kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                signals.recv().await;
                sender.send_replace(true);
            });
        }
        Ok(Self(receiver))
    }
}

/// Runs the server until SIGTERM or SIGINT. Returns once it has stopped.
pub fn serve(config: Config) -> Result<(), ServeError> {
    run_on_new_runtime(config, &[SignalKind::terminate(), SignalKind::interrupt()], async |running| {
        announce(&running.ctx.node.config, running.stores, &running.url).map_err(ServeError::Stdout)?;
        running.stop.requested().await;
        Ok(())
    })
}

/// Runs the server until `work` is done, for commands in the foreground. Returns once it has stopped. A signal during
/// the start stops it. After the start, `work` decides what a signal does. Closing the terminal is a signal too.
pub fn serve_during<E: From<ServeError>>(
    config: Config,
    work: impl AsyncFnOnce(Running<'_>) -> Result<(), E>,
) -> Result<(), E> {
    run_on_new_runtime(config, &[SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()], work)
}

fn run_on_new_runtime<E: From<ServeError>>(
    config: Config,
    signals: &[SignalKind],
    work: impl AsyncFnOnce(Running<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let clock = Clock::system();
    let logs = Arc::new(Logs::start(&config.log, clock.clone()).map_err(ServeError::Log)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let result = runtime.block_on(async {
        let stop = StopSignal::catch(signals).map_err(ServeError::Signals)?;
        run(config, clock, Arc::clone(&logs), stop, work).await
    });
    // Not a plain drop, which would wait for a blocking call on a store that hangs.
    runtime.shutdown_background();
    // Kept until here: without a management listener, nothing else holds it.
    drop(logs);
    result
}

async fn run<E: From<ServeError>>(
    config: Config,
    clock: Clock,
    logs: Arc<Logs>,
    stop: StopSignal,
    work: impl AsyncFnOnce(Running<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for advice in config.advice() {
        tracing::warn!("{advice}");
    }

    // Build the node. It answers nothing before it has read all revocations.
    let router = Arc::new(api::router(&config).map_err(ServeError::Routes)?);
    let build = async {
        let stores = Arc::new(Stores::open(&config, &clock).await?);
        let ctx = build::build_context(config, clock, &stores, router.metric_labels()).await?;
        Ok::<_, StartError>((stores, ctx))
    };
    let (stores, ctx) = tokio::select! {
        built = build => built.map_err(ServeError::Start)?,
        () = stop.requested() => return Ok(()),
    };
    let loaded = tokio::select! {
        loaded = retry_while_unavailable(async || load_revocations(&ctx).await) => loaded.map(Some),
        () = stop.requested() => Ok(None),
    };
    let Some(cursor) = or_withdraw(&ctx, loaded.map_err(ServeError::Start)).await? else { return Ok(()) };

    // Maintenance runs from here on, without a gap: revocations made while the workers connect must be applied too.
    let failures = Arc::<FailureLog>::default();
    let (stop_webhook, webhook_stopping) = watch::channel(false);
    let mut maintenance = pin!(async {
        tokio::join!(
            maintenance::run(&ctx, cursor),
            webhook::run(&ctx, webhook_stopping),
            watch_readiness(&ctx),
            failures.report()
        )
    });
    let listen = async {
        let server = listen(&ctx, &stores, router.clone(), failures.clone()).await?;
        Ok::<_, ServeError>((server, listen_for_management(&ctx, &stores, logs).await?))
    };
    let listening = tokio::select! {
        listening = listen => listening.map(Some),
        _ = &mut maintenance => Ok(None),
        () = stop.requested() => Ok(None),
    };
    let Some((server, management)) = or_withdraw(&ctx, listening).await? else { return Ok(()) };
    tokio::spawn(release_pages_after_start());
    let running = Running { ctx: &ctx, stores: &stores, url: server.url(), address: server.address(), stop };
    let result = tokio::select! {
        result = work(running) => result,
        _ = &mut maintenance => Ok(()),
    };

    // Drain: no new connections, requests in flight finish, and revocations are applied until the last one has. The
    // management listener answers until the end, and may have the calls of the console.
    tracing::info!("stopping: no new connections, finishing requests in flight");
    ctx.node.readiness.not_ready(Condition::Accepting, "shutting down");
    ctx.node.publication.close();
    ctx.node.audit.close();
    let drain_until = Instant::now() + ctx.node.config.server.drain_timeout;
    let drained = tokio::task::spawn_blocking(move || server.drain());
    let cut_off = tokio::select! {
        cut_off = drained => cut_off.unwrap_or_default(),
        _ = &mut maintenance => 0,
    };
    if cut_off > 0 {
        tracing::warn!(connections = cut_off, "requests did not finish in time and were cut off");
    }
    let finished = async {
        audit::drain(&ctx, MAX_AUDIT_DRAIN).await;
        flush_api_key_usage(&ctx).await;
        let max_wait = drain_until.saturating_duration_since(Instant::now()).max(MIN_SENDING_DRAIN);
        let (unsent, ()) = tokio::join!(ctx.node.mailer.drain(max_wait), webhook::drain(stop_webhook, max_wait));
        if unsent > 0 {
            tracing::warn!(mails = unsent, "mails were not sent in time and are lost");
        }
        if let Some(management) = management {
            let _ = tokio::task::spawn_blocking(move || management.drain()).await;
        }
    };
    tokio::select! {
        () = finished => {}
        _ = &mut maintenance => {}
    }
    withdraw_position(&ctx).await;
    tracing::info!("stopped");
    result
}

/// Returns the result of a step of the start. If the start ends here, withdraws the report of this node first: commands
/// would wait for it until it lapses.
async fn or_withdraw<T>(ctx: &Context, step: Result<Option<T>, ServeError>) -> Result<Option<T>, ServeError> {
    if !matches!(step, Ok(Some(_))) {
        withdraw_position(ctx).await;
    }
    step
}

async fn listen(
    ctx: &Context,
    stores: &Arc<Stores>,
    router: Arc<Router<Context>>,
    failures: Arc<FailureLog>,
) -> Result<RunningServer, ServeError> {
    let (node, stores) = (ctx.node.clone(), stores.clone());
    let observer: Arc<dyn Observer> = Arc::new(RequestObserver::new(&node, failures));
    start_listener("server.listen", move || {
        let settings = node.config.server.clone();
        let rng = node.rng.clone();
        server::start(&settings, router, observer, &rng, move |_| {
            let (node, stores) = (node.clone(), stores.clone());
            async move { build::build_worker_context(&node, &stores).await }
        })
    })
    .await
}

async fn listen_for_management(
    ctx: &Context,
    stores: &Arc<Stores>,
    logs: Arc<Logs>,
) -> Result<Option<RunningServer>, ServeError> {
    let Some(settings) = server::management_settings(&ctx.node.config.server) else { return Ok(None) };
    let router = Arc::new(management::router(&ctx.node.config, logs)?);
    let (ctx, stores) = (ctx.clone(), stores.clone());
    let rng = ctx.node.rng.clone();
    start_listener("server.management", move || {
        server::start(&settings, router, Arc::new(ManagementObserver), &rng, move |_| {
            let (ctx, stores) = (ctx.clone(), stores.clone());
            async move {
                if ctx.node.config.serves_console_on(ConsoleListener::Management) {
                    return build::build_worker_context(&ctx.node, &stores).await;
                }
                // Health and metrics use no store, whose connections belong to the runtime that opened them.
                Ok(ctx)
            }
        })
    })
    .await
    .map(Some)
}

/// Starts a listener on a blocking thread: it waits for its workers, and this runtime must go on meanwhile. `setting`
/// is the setting that holds the address.
async fn start_listener<E: std::fmt::Debug + std::fmt::Display + Send + 'static>(
    setting: &'static str,
    start: impl FnOnce() -> Result<RunningServer, server::ServerStartError<E>> + Send + 'static,
) -> Result<RunningServer, ServeError> {
    match tokio::task::spawn_blocking(start).await {
        Ok(Ok(running)) => Ok(running),
        Ok(Err(server::ServerStartError::Bind(error))) => Err(ServeError::Bind { setting, error }),
        Ok(Err(error)) => Err(ServeError::Listener(error.to_string())),
        Err(_) => Err(ServeError::Listener(format!("the listener of {setting} could not be started"))),
    }
}
