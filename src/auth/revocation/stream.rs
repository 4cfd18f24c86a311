//! Follows the stream of revocations between nodes, and after an interruption resumes where it stopped. One task per
//! process.
//!
//! It also notices that the ephemeral store was emptied (`global_not_before` has risen), that it has lost a global
//! sign-out (`global_not_before` has fallen) or entries of the stream, and that the keyring has changed.
//! [`RevocationSet::staleness`] is the time since the stream was last read.

use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::revocation::durable;
use crate::auth::revocation::lost_ends::{Loss, Restoration};
use crate::auth::revocation::propagation::ReportSchedule;
use crate::auth::revocation::set::RevocationSet;
use crate::auth::signing_keys;
use crate::clock::Timestamp;
use crate::store;
use crate::store::ephemeral::{Cursor, StreamPage, Target};

/// Longest wait of one call for new entries. `global_not_before` is read after each, so an emptied store is noticed
/// within this time. Half of the time between two frames of the published feed, because a frame needs a reading.
const WAIT: Duration = Duration::from_millis(500);

/// The pause before the next try, when the store does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Applies everything that is in the stream. A node must not answer requests before this.
pub async fn catch_up(ctx: &Context) -> Result<Cursor, store::Error> {
    let revocations = &ctx.node.revocations;
    revocations.raise_global_not_before(ctx.ephemeral.global_not_before(ctx.now()).await?);
    let mut cursor = Cursor::start();
    loop {
        let began = ctx.now();
        let page = ctx.ephemeral.read_stream(&cursor, Duration::ZERO).await?;
        apply(revocations, &page);
        ctx.node.publication.record(&page, began);
        // A page may consist of entries that a newer version wrote and this one cannot read.
        let is_last = page.cursor == cursor;
        cursor = page.cursor;
        if is_last {
            revocations.mark_fresh(ctx.node.clock.monotonic());
            return Ok(cursor);
        }
    }
}

/// Applies what was read.
fn apply(revocations: &RevocationSet, page: &StreamPage) {
    page.entries.iter().for_each(|entry| _ = revocations.apply(&entry.revocation));
    if let Some(store_time) = page.store_time {
        revocations.record_store_time(store_time);
    }
}

/// Follows the stream from `cursor`, which [`catch_up`] returned. Never returns.
pub async fn follow(ctx: &Context, mut cursor: Cursor) {
    let (mut interrupted, mut logged) = (false, false);
    let mut keyring_changed = false;
    let (mut applied, mut reports) = (cursor.clone(), ReportSchedule::default());
    let mut restoration = Restoration::default();
    loop {
        let report_due = reports.due_in(&applied, ctx.node.clock.monotonic());
        match poll(ctx, &cursor, report_due).await {
            Ok(read) => {
                // The connection may lead to another server now, which may have lost revocations. One attempt: the next
                // reading is within a minute, and following the stream must not wait for the accounts store.
                if interrupted || read.keyring_changed {
                    durable::reapply_after_failover(ctx).await;
                }
                restoration.note(match (read.has_lost_entries, interrupted) {
                    (true, _) => Loss::Certain,
                    (false, true) => Loss::Possible,
                    (false, false) => Loss::None,
                });
                restoration.run_if_due(ctx).await;
                if logged {
                    tracing::info!("revocation stream reachable again");
                }
                (interrupted, logged, cursor) = (false, false, read.cursor);
                keyring_changed |= read.keyring_changed;
                if keyring_changed {
                    match signing_keys::advance(ctx).await {
                        Ok(()) => {
                            keyring_changed = false;
                            ctx.node.publication.notify_keyring_change();
                        }
                        Err(error) if error.is_logged() => {}
                        Err(error) => tracing::warn!(%error, "changed keyring cannot be read; retrying"),
                    }
                }
                if !keyring_changed {
                    applied = cursor.clone();
                }
                reports.report_if_due(ctx, &applied).await;
            }
            Err(error) => {
                if !logged && !error.is_logged() {
                    tracing::warn!(%error, "revocation stream unreachable; retrying");
                    logged = true;
                }
                interrupted = true;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// The result of a reading.
struct Read {
    /// The cursor after the entries.
    cursor: Cursor,
    /// True if the keyring must be read again.
    keyring_changed: bool,
    /// True if the store has lost entries that were read before.
    has_lost_entries: bool,
}

/// Applies the next entries.
async fn poll(ctx: &Context, cursor: &Cursor, report_due: Duration) -> Result<Read, store::Error> {
    let revocations = &ctx.node.revocations;
    // Shorter than the time after which this node counts as stale: an idle stream must not make it stale.
    let wait = WAIT.min(ctx.node.config.revocation.stale_after / 4).min(report_due);
    let began = ctx.now();
    let page = ctx.ephemeral.read_stream(cursor, wait).await?;
    apply(revocations, &page);
    let known = revocations.global_not_before();
    let global_not_before = ctx.ephemeral.global_not_before(ctx.now()).await?;
    if global_not_before < known {
        restore_global_not_before(ctx, known).await;
    }
    let emptied = global_not_before > known;
    revocations.raise_global_not_before(global_not_before);
    revocations.mark_fresh(ctx.node.clock.monotonic());
    // An emptied store has lost the keyring too: advancing the keyring restores it.
    let keyring_changed = emptied || page.entries.iter().any(|entry| entry.revocation.target == Target::Keyring);
    // An entry that is published during the wait ends it. So without one, the stream was complete when the wait ended.
    let complete_at = if page.cursor == *cursor { began + wait } else { began };
    ctx.node.publication.record(&page, complete_at.min(ctx.now()));
    Ok(Read { keyring_changed, has_lost_entries: page.has_lost_entries(), cursor: page.cursor })
}

/// Restores a global sign-out that the store has lost, as in a failover. A node that starts later knows of it from the
/// store alone, and would accept the sessions that it ended. If this fails, the next reading repeats it.
async fn restore_global_not_before(ctx: &Context, known: Timestamp) {
    if let Err(error) = ctx.ephemeral.raise_global_not_before(known).await {
        tracing::debug!(%error, "global not_before not restored; retrying");
    }
}

/// Removes expired revocations from memory and from the store. Other nodes still read the store, so the time that
/// decides is not ahead of the store's. Called every minute.
pub async fn remove_expired(ctx: &Context) {
    let now = ctx.node.revocations.steady_time(&ctx.node.clock, ctx.node.retention.revocation_ttl());
    ctx.node.revocations.remove_expired(now);
    let published_before = now - ctx.node.retention.revocation_ttl();
    if let Err(error) = ctx.ephemeral.forget_revocations(published_before).await
        && !error.is_logged()
    {
        tracing::warn!(%error, "expired revocations not removed from the store");
    }
}
