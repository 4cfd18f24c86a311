//! The tasks that run beside the requests: following revocations, keeping the keyring up to date, removing what has
//! expired, re-sealing after a change of secret, and watching whether this node is ready.

use std::time::Duration;

use crate::auth::audit;
use crate::auth::context::Context;
use crate::auth::mfa::reseal_secrets;
use crate::auth::overview::describe_this_node;
use crate::auth::retention::key_policy;
use crate::auth::revocation::durable::{reapply, reapply_after_failover};
use crate::auth::revocation::propagation::report_position;
use crate::auth::revocation::responses;
use crate::auth::revocation::stream::{catch_up, follow, remove_expired};
use crate::auth::signing_keys;
use crate::auth::signing_keys::advance;
use crate::auth::tokens::verify::flush_api_key_usage;
use crate::mail::remove_old_mails;
use crate::node::error::StartError;
use crate::store::Error;
use crate::store::ephemeral::{Cursor, Warning};
use crate::telemetry::Condition;
use crate::telemetry::metrics::SAMPLE_INTERVAL;

/// The time between two removals of expired revocations, and between two writes of the last use of API keys.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// The time between two removals of old mails from the outbox. The first is at the start.
const OUTBOX_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The time between two reads of the durable revocations, in case a failover of the ephemeral store has undone them.
const REAPPLY_INTERVAL: Duration = Duration::from_secs(60);

/// The time between two reports of refused requests. One line for each of them would make the log the larger part of
/// their cost.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(1);

/// The time between two checks of readiness.
const READINESS_INTERVAL: Duration = Duration::from_secs(1);

/// Reads all revocations, which must happen before the first request is answered, and returns where to follow from.
pub async fn load_revocations(ctx: &Context) -> Result<Cursor, StartError> {
    ctx.ephemeral.check().await?;
    ctx.accounts.check().await?;
    // First of all, so that a command which revokes something meanwhile waits for this node.
    report_position(ctx, &Cursor::start()).await?;
    let cursor = catch_up(ctx).await?;
    // Afterwards, because the store's time must be known: rows are read by it if this node's clock is ahead.
    reapply(ctx).await?;
    // The keyring was read before, and the notice of a change since then is behind the cursor already.
    advance(ctx).await?;
    report_position(ctx, &cursor).await?;
    // Its warnings are logged by `watch_readiness`.
    let _ = update_readiness(ctx, false).await;
    Ok(cursor)
}

/// Runs all tasks. Never returns.
pub async fn run(ctx: &Context, cursor: Cursor) {
    let keyring = every(signing_keys::INTERVAL, async || {
        if let Err(error) = advance(ctx).await
            && !error.is_logged()
        {
            tracing::warn!(%error, "keyring maintenance failed");
        }
    });
    let cleanup = every(CLEANUP_INTERVAL, async || {
        remove_expired(ctx).await;
        flush_api_key_usage(ctx).await;
    });
    let durable_revocations = every(REAPPLY_INTERVAL, || reapply_after_failover(ctx));
    tokio::join!(
        follow(ctx, cursor),
        responses::run(ctx),
        keyring,
        cleanup,
        durable_revocations,
        reseal(ctx),
        clean_outbox(ctx),
        audit::run(ctx),
        sample_traffic(ctx),
        report_refusals(ctx)
    );
}

/// Samples the metrics of requests and publishes the state of this node, for the overview of the console.
async fn sample_traffic(ctx: &Context) {
    let sample = async || {
        ctx.node.metrics.sample(ctx.node.clock.monotonic());
        describe_this_node(ctx).await;
    };
    sample().await;
    every(SAMPLE_INTERVAL, sample).await;
}

/// Logs how many requests were refused because too many passwords wait to be hashed, if there were any.
async fn report_refusals(ctx: &Context) {
    let mut reported = 0;
    every(REFUSALS_INTERVAL, async || {
        let load = ctx.node.hasher.load();
        let refused = load.refused() - std::mem::replace(&mut reported, load.refused());
        if refused > 0 {
            let (waiting, held) = (load.waiting, load.held);
            tracing::warn!(refused, waiting, held, "requests refused: too many passwords are waiting to be hashed");
        }
    })
    .await;
}

/// Removes mails that have been in the outbox for too long. Also with a mail server, because the outbox may hold mails
/// from before.
async fn clean_outbox(ctx: &Context) {
    loop {
        let (config, now) = (&ctx.node.config, ctx.now());
        let (data_dir, keep) = (config.data_dir.clone(), config.mail.outbox_keep);
        match tokio::task::spawn_blocking(move || remove_old_mails(&data_dir, keep, now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::info!(count, "old mails removed from the outbox"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot remove old mails from the outbox"),
            Err(error) => tracing::warn!(%error, "removing old mails from the outbox was interrupted"),
        }
        tokio::time::sleep(OUTBOX_INTERVAL).await;
    }
}

/// Re-seals TOTP secrets with the first secret, so that the others can be removed from the settings. Once per start,
/// repeated until it succeeds.
async fn reseal(ctx: &Context) {
    let mut count = 0;
    loop {
        match reseal_secrets(ctx, &mut count).await {
            Ok(()) if count == 0 => return,
            Ok(()) => return tracing::info!(count, "TOTP secrets re-sealed with the first secret"),
            Err(error) => tracing::warn!(%error, "re-sealing TOTP secrets failed"),
        }
        tokio::time::sleep(CLEANUP_INTERVAL).await;
    }
}

/// Keeps readiness up to date. Never returns. Logs each warning of a store once, when it begins.
pub async fn watch_readiness(ctx: &Context) {
    let (mut known, mut is_unavailable) = (Vec::new(), false);
    every(READINESS_INTERVAL, async || {
        let ephemeral = update_readiness(ctx, is_unavailable).await;
        is_unavailable = ephemeral.is_err();
        let Ok(warnings) = ephemeral else { return };
        warnings.iter().filter(|warning| !known.contains(*warning)).for_each(|warning| tracing::warn!("{warning}"));
        known = warnings;
    })
    .await;
}

/// Checks every condition except draining. Returns the warnings of the ephemeral store. `was_unavailable`: it was
/// unavailable at the previous check.
async fn update_readiness(ctx: &Context, was_unavailable: bool) -> Result<Vec<Warning>, Error> {
    let node = &ctx.node;
    let (accounts, ephemeral) = tokio::join!(ctx.accounts.check(), ctx.ephemeral.check());
    // A store that logs its own outage is one log line, not one for each condition that it affects. Revocations are
    // stale for a moment longer than the outage.
    let outage_is_logged = ephemeral.as_ref().is_err_and(|error| error.is_logged());
    let set = |condition, problem: Option<String>| match (condition, problem) {
        (condition, None) => node.readiness.ready(condition),
        (Condition::Ephemeral, Some(problem)) if outage_is_logged => {
            node.readiness.not_ready_by_logged_outage(condition, problem);
        }
        (Condition::Revocations, Some(problem)) if outage_is_logged || was_unavailable => {
            node.readiness.not_ready_by_logged_outage(condition, problem);
        }
        (condition, Some(problem)) => node.readiness.not_ready(condition, problem),
    };
    set(Condition::Accounts, accounts.err().map(|error| error.to_string()));
    set(Condition::Ephemeral, ephemeral.as_ref().err().map(|error| error.to_string()));
    let now = ctx.now();
    let keys = node.keyring.keys();
    let can_sign = key_policy(&node.config).algorithms().all(|algorithm| keys.signing_key(algorithm, now).is_some());
    set(Condition::Keyring, (!can_sign).then(|| "no key can sign".to_owned()));
    let staleness = node.revocations.staleness(node.clock.monotonic());
    let lead = node.revocations.global_not_before().since(now);
    let problem = if staleness > node.config.revocation.stale_after {
        Some(format!("no revocations read for {} s", staleness.as_secs()))
    } else if lead > node.retention.max_not_before_lead() {
        // Another node raised it by a wrong clock, or the clock of this node is wrong.
        Some(format!(
            "global not_before ({}) is {} s ahead of this node's clock: check the clocks",
            node.revocations.global_not_before(),
            lead.as_secs()
        ))
    } else {
        None
    };
    set(Condition::Revocations, problem);
    ephemeral
}

/// Runs `task` at this interval, for the first time after one interval. Never returns.
async fn every(interval: Duration, mut task: impl AsyncFnMut()) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        task().await;
    }
}
