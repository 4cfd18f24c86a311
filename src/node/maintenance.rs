//! What runs beside the requests: hearing of revocations, looking after the keyring, clearing away, sealing anew, knowing whether
//! this node is ready.

use std::time::Duration;

use crate::auth::api_keys::note_usage;
use crate::auth::context::Context;
use crate::auth::mfa::reseal_secrets;
use crate::auth::revocation::durable::{reapply, reapply_after_failover};
use crate::auth::revocation::feed::{catch_up, follow, remove_expired};
use crate::auth::signing_keys;
use crate::auth::signing_keys::advance;
use crate::node::build::StartError;
use crate::store::ephemeral::Cursor;
use crate::telemetry::Condition;

/// How often what has run out is cleared away and what is noted is written.
const CLEARING: Duration = Duration::from_secs(60);

/// How often the endings that a failover of the other store may have undone are read.
const RECALLING: Duration = Duration::from_secs(60);

/// How often it is asked whether this node is ready.
const WATCHING: Duration = Duration::from_secs(1);

/// Reads everything that was revoked or ended: before this, no request may be answered.
pub async fn load_revocations(ctx: &Context) -> Result<Cursor, StartError> {
    ctx.ephemeral.check().await?;
    ctx.accounts.check().await?;
    reapply(ctx).await?;
    let place = catch_up(ctx).await?;
    // The word of a change since the ring was found is behind that place already.
    advance(ctx).await?;
    look(ctx).await;
    Ok(place)
}

/// Runs for ever what has to run.
pub async fn run(ctx: &Context, place: Cursor) {
    let keyring = every(signing_keys::INTERVAL, async || {
        if let Err(error) = advance(ctx).await {
            tracing::warn!(%error, "the keyring could not be looked after");
        }
    });
    let clearing = every(CLEARING, async || {
        remove_expired(ctx).await;
        note_usage(ctx).await;
    });
    let endings = every(RECALLING, || reapply_after_failover(ctx));
    tokio::join!(follow(ctx, place), keyring, clearing, endings, sealing(ctx));
}

/// Once, as soon as the store lets it: what was sealed by a secret that is to be taken out is sealed by the one in its place.
async fn sealing(ctx: &Context) {
    loop {
        match reseal_secrets(ctx).await {
            Ok(0) => return,
            Ok(count) => return tracing::info!(count, "second factors are sealed with the first of the secrets now"),
            Err(error) => tracing::warn!(%error, "second factors could not be sealed anew"),
        }
        tokio::time::sleep(CLEARING).await;
    }
}

/// Asks for ever whether this node is ready. What a store warns of is logged when it begins.
pub async fn watch_readiness(ctx: &Context) {
    let mut known = Vec::new();
    every(WATCHING, async || {
        let warnings = look(ctx).await;
        warnings.iter().filter(|warning| !known.contains(*warning)).for_each(|warning| tracing::warn!("{warning}"));
        known = warnings;
    })
    .await;
}

async fn look(ctx: &Context) -> Vec<String> {
    let node = &ctx.node;
    let tell = |condition, fault: Option<String>| match fault {
        None => node.readiness.ready(condition),
        Some(fault) => node.readiness.not_ready(condition, fault),
    };
    let (accounts, ephemeral) = tokio::join!(ctx.accounts.check(), ctx.ephemeral.check());
    tell(Condition::Accounts, accounts.err().map(|error| error.to_string()));
    tell(Condition::Ephemeral, ephemeral.as_ref().err().map(|error| error.to_string()));
    let now = ctx.now();
    let signer = node.keyring.keys().signer(now).is_some();
    tell(Condition::Keyring, (!signer).then(|| "no key can sign".to_owned()));
    let silence = node.revocations.staleness(node.clock.running());
    let ahead = node.revocations.global_not_before().since(now);
    let fault = if silence > node.config.revocation.stale_after {
        Some(format!("not heard for {} s", silence.as_secs()))
    } else if ahead > node.max_not_before_lead() {
        // Somebody raised it by a clock that was wrong, or this node's clock is.
        Some(format!(
            "nothing made before {} counts, which is {} s from now by this clock",
            node.revocations.global_not_before(),
            ahead.as_secs()
        ))
    } else {
        None
    };
    tell(Condition::Revocations, fault);
    ephemeral.unwrap_or_default()
}

async fn every(span: Duration, mut work: impl AsyncFnMut()) {
    let mut ticks = tokio::time::interval(span);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        work().await;
    }
}
