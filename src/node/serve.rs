//! `signet serve`: makes a node, answers requests until told to stop, and then finishes what it has begun.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::management::{self, ManagementContext};
use super::observer::RequestObserver;
use crate::api;
use crate::auth::api_keys::note_usage;
use crate::auth::context::Context;
use crate::cli::CliError;
use crate::clock::Clock;
use crate::config::Config;
use crate::node::banner::print_banner;
use crate::node::build;
use crate::node::maintenance::{self, load_revocations, watch_readiness};
use crate::node::stores::Stores;
use crate::server::{self, Observer, Running};
use crate::telemetry::Condition;
use crate::telemetry::logs::Logs;

/// What the requests leave of the time to finish is the mails', but not less than this: those requests promised them.
const LEAST_FOR_MAIL: Duration = Duration::from_secs(2);

pub(super) fn serve(config: Config) -> Result<(), CliError> {
    let clock = Clock::machine();
    let logs = Arc::new(Logs::start(&config.log, clock.clone()).map_err(refused)?);
    // Beside the workers: hears of revocations, looks after the keyring, waits for signals.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| CliError::Io { doing: "starting a runtime".to_owned(), cause })?;
    let done = runtime.block_on(run(config, clock, logs));
    // A store that hangs must not keep a server that is done from ending.
    runtime.shutdown_background();
    done
}

async fn run(config: Config, clock: Clock, logs: Arc<Logs>) -> Result<(), CliError> {
    for advice in config.advice() {
        tracing::warn!("{advice}");
    }
    let router = Arc::new(api::router(&config).map_err(refused)?);
    let stores = Arc::new(Stores::open(&config, &clock).await?);
    let ctx = build::build_context(config, clock, &stores, router.names()).await?;
    let place = load_revocations(&ctx).await?;
    // From here on, without a gap: what is revoked while the workers still connect must be heard too.
    let beside = async { tokio::join!(maintenance::run(&ctx, place), watch_readiness(&ctx)) };
    let mut beside = pin!(beside);
    let listening = async {
        let running = listen(&ctx, &stores, router).await?;
        Ok::<_, CliError>((running, listen_for_operators(&ctx, logs).await?))
    };
    let (running, management) = tokio::select! {
        listening = listening => listening?,
        _ = &mut beside => return Ok(()),
    };
    let mut told_to_stop = pin!(told_to_stop()?);
    print_banner(&ctx.node.config, &running.url())
        .map_err(|cause| CliError::Io { doing: "writing to stdout".into(), cause })?;

    tokio::select! {
        () = &mut told_to_stop => {}
        _ = &mut beside => {}
    }
    tracing::info!("stopping: no new connections, requests in flight are finished");
    ctx.node.readiness.not_ready(Condition::Draining, "told to stop");
    let drain_until = Instant::now() + ctx.node.config.server.drain_timeout;
    let drained = tokio::task::spawn_blocking(move || running.drain());
    // Until the last request is answered, revocations must be heard.
    let cut = tokio::select! {
        cut = drained => cut.unwrap_or_default(),
        _ = &mut beside => 0,
    };
    if cut > 0 {
        tracing::warn!(connections = cut, "requests were not finished in time and were cut off");
    }
    note_usage(&ctx).await;
    let left = ctx.node.mailer.drain(drain_until.saturating_duration_since(Instant::now()).max(LEAST_FOR_MAIL)).await;
    if left > 0 {
        tracing::warn!(mails = left, "mails were not sent in time and are lost");
    }
    if let Some(management) = management {
        let _ = tokio::task::spawn_blocking(move || management.drain()).await;
    }
    tracing::info!("stopped");
    Ok(())
}

async fn listen(
    ctx: &Context,
    stores: &Arc<Stores>,
    router: Arc<crate::http::Router<Context>>,
) -> Result<Running, CliError> {
    let (node, stores) = (ctx.node.clone(), stores.clone());
    let observer: Arc<dyn Observer> = Arc::new(RequestObserver(node.metrics.clone()));
    blocking("server.listen", move || {
        let settings = node.config.server.clone();
        let rng = node.rng.clone();
        server::start(&settings, router, observer, &rng, move |_| {
            let (node, stores) = (node.clone(), stores.clone());
            async move { build::build_worker_context(&node, &stores).await }
        })
    })
    .await
}

async fn listen_for_operators(ctx: &Context, logs: Arc<Logs>) -> Result<Option<Running>, CliError> {
    let Some(settings) = server::management(&ctx.node.config.server) else { return Ok(None) };
    let router = Arc::new(management::router().map_err(refused)?);
    let told = ManagementContext { node: ctx.node.clone(), logs };
    let rng = ctx.node.rng.clone();
    blocking("server.management", move || {
        server::start(&settings, router, Arc::new(Unobserved), &rng, move |_| {
            let told = told.clone();
            async move { Ok::<_, std::convert::Infallible>(told) }
        })
    })
    .await
    .map(Some)
}

struct Unobserved;
impl Observer for Unobserved {}

/// A start waits for its workers, which must not keep this runtime's own connections waiting. `setting` says where it listens.
async fn blocking<E: std::fmt::Debug + std::fmt::Display + Send + 'static>(
    setting: &str,
    start: impl FnOnce() -> Result<Running, server::StartError<E>> + Send + 'static,
) -> Result<Running, CliError> {
    match tokio::task::spawn_blocking(start).await {
        Ok(Err(server::StartError::Bind(error))) => {
            Err(CliError::Refused { what: error.to_string(), remedy: format!("{setting} is the setting to change") })
        }
        Ok(started) => started.map_err(refused),
        Err(_) => Err(refused("a listener could not be started")),
    }
}

fn told_to_stop() -> Result<impl Future<Output = ()>, CliError> {
    let listening =
        |kind| signal(kind).map_err(|cause| CliError::Io { doing: "listening for signals".to_owned(), cause });
    let (mut terminate, mut interrupt) = (listening(SignalKind::terminate())?, listening(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn refused(error: impl std::fmt::Display) -> CliError {
    CliError::Refused { what: error.to_string(), remedy: "`signet check` tries every part by itself".to_owned() }
}
