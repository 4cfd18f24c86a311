//! Propagation: lets a command wait until every running node has applied what it has just revoked.
//!
//! Each node reports in the ephemeral store how far it has applied the stream: when it has applied something, and
//! regularly otherwise. A command that ends sessions, users or keys reads the newest entry of the stream, which is its
//! own or a later one, and waits until every reported position is at or past it. Reports of a node that has gone lapse
//! (Redis: after 5 s without a report; SQLite: when the process ends), so it is not waited for. A node that is cut off
//! from the store is not waited for either: it becomes stale, and `revocation.when_stale` decides what it does. If a
//! command has seen it behind before its report lapsed, the command names it. Nodes older than this mechanism do not
//! report. HTTP operations do not wait: other nodes apply them within milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::auth::context::Context;
use crate::store;
use crate::store::ephemeral::Cursor;

/// How often a waiting command reads the positions.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How often a node repeats its report when there is nothing to apply.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How often a node reports at most, so that a flood of revocations does not become a flood of reports.
const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(20);

/// Reports that this node has applied the stream up to `applied`, the keyring included.
pub async fn report_position(ctx: &Context, applied: &Cursor) -> Result<(), store::Error> {
    ctx.ephemeral.report_node(&ctx.node.name, applied).await
}

/// Removes this node's report when it stops answering requests. If this fails, the report lapses by itself.
pub async fn withdraw_position(ctx: &Context) {
    if let Err(error) = ctx.ephemeral.withdraw_node(&ctx.node.name).await {
        tracing::debug!(%error, "position report not removed");
    }
}

/// Waits until every running node has applied everything that is published by now. Returns the names of the nodes that
/// have not done so within `timeout`, and of those whose report has gone before they had. Such a node may hang, and go on
/// later. A node that stops on purpose is among them only if it withdraws its report in these milliseconds.
pub async fn wait_until_applied(ctx: &Context, timeout: Duration) -> Result<Vec<String>, store::Error> {
    let newest = ctx.ephemeral.newest_revocation().await?;
    let give_up_at = ctx.node.clock.monotonic() + timeout;
    let mut late = BTreeSet::new();
    loop {
        let mut is_complete = true;
        for node in ctx.ephemeral.nodes(&newest).await? {
            if node.has_applied {
                late.remove(&node.name);
            } else {
                is_complete = false;
                late.insert(node.name);
            }
        }
        if is_complete || ctx.node.clock.monotonic() >= give_up_at {
            return Ok(late.into_iter().collect());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// A running node, and how long it took to apply what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The node's name.
    pub node: String,
    /// The time until its report was seen; `None` if it was not within the wait.
    pub after: Option<Duration>,
}

/// Waits for `timeout` at most until every running node has applied everything that is published by now, and returns
/// when each had. If the store fails, returns what is known until then, which may be nothing.
pub async fn acknowledgements(ctx: &Context, timeout: Duration) -> Vec<Acknowledgement> {
    let start = ctx.node.clock.monotonic();
    let Ok(newest) = ctx.ephemeral.newest_revocation().await else { return Vec::new() };
    let mut acknowledged: Vec<Acknowledgement> = Vec::new();
    loop {
        let Ok(nodes) = ctx.ephemeral.nodes(&newest).await else { return acknowledged };
        let elapsed = ctx.node.clock.monotonic().saturating_sub(start);
        for node in nodes {
            let after = node.has_applied.then_some(elapsed);
            match acknowledged.iter_mut().find(|known| known.node == node.name) {
                Some(known) => known.after = known.after.or(after),
                None => acknowledged.push(Acknowledgement { node: node.name, after }),
            }
        }
        if acknowledged.iter().all(|known| known.after.is_some()) || elapsed >= timeout {
            acknowledged.sort_by(|one, other| one.node.cmp(&other.node));
            return acknowledged;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Decides when the task that follows the stream reports its position.
#[derive(Default)]
pub(super) struct ReportSchedule {
    reported: Option<Cursor>,
    attempted_at: Option<Duration>,
}

impl ReportSchedule {
    /// Reports the position if that is due. A failure is logged at debug only, because the outage of the store is
    /// logged already.
    pub(super) async fn report_if_due(&mut self, ctx: &Context, applied: &Cursor) {
        let now = ctx.node.clock.monotonic();
        if !self.due_in(applied, now).is_zero() {
            return;
        }
        self.attempted_at = Some(now);
        match report_position(ctx, applied).await {
            Ok(()) => self.reported = Some(applied.clone()),
            Err(error) => tracing::debug!(%error, "position not reported"),
        }
    }

    /// The time until the next report, if nothing more is applied until then.
    pub(super) fn due_in(&self, applied: &Cursor, now: Duration) -> Duration {
        let Some(attempted_at) = self.attempted_at else { return Duration::ZERO };
        let interval = if self.reported.as_ref() == Some(applied) { REPORT_INTERVAL } else { MIN_REPORT_INTERVAL };
        (attempted_at + interval).saturating_sub(now)
    }
}
