//! Restores ends of sessions that a failover of the ephemeral store has lost, if no row records them: those that this
//! node has stored recently ([`super::recent_ends`]). Each node restores its own, because the stream names no user with
//! a session.
//!
//! Restoring ends the sessions that are back in the store, and publishes the revocations again if the stream has lost
//! entries. These are separate, because sessions and stream are on different servers in a Redis Cluster, and only one of
//! these may have failed over. That the stream has lost an entry is known only if a node had read it. An entry that was
//! lost before is published again with its session, if that is back. Otherwise the session has ended, and only a node
//! that starts later accepts its access tokens until they expire.

use std::time::Duration;

use futures_util::StreamExt;

use super::sessions::end_revived_sessions;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::store::ephemeral::Revocation;

/// Calls of the store at the same time: following the stream waits for all of them.
const MAX_CONCURRENT: usize = 16;

/// The pause before the next try. A replica that has just taken over may refuse writes for some seconds, until it has
/// enough replicas of its own (`min-replicas-to-write`).
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The evidence that the store has lost ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// There is no sign of one.
    #[default]
    None,
    /// The store was away, and another server may have taken the place of one that has sessions.
    Possible,
    /// The stream has lost entries.
    Certain,
}

/// The restoration that is due, if any.
#[derive(Default)]
pub(super) struct Restoration {
    loss: Loss,
    attempted_at: Option<Duration>,
}

impl Restoration {
    /// Notes what a reading of the stream has shown.
    pub(super) fn note(&mut self, loss: Loss) {
        self.loss = self.loss.max(loss);
    }

    /// Restores what may be lost. If the store fails, the next call after [`RETRY_INTERVAL`] repeats it. Costs no call
    /// of the store without a loss.
    pub(super) async fn run_if_due(&mut self, ctx: &Context) {
        let now = ctx.node.clock.monotonic();
        if self.loss == Loss::None {
            return ctx.node.recent_ends.remove_old(now);
        }
        if self.attempted_at.is_some_and(|attempted_at| now < attempted_at + RETRY_INTERVAL) {
            return;
        }
        self.attempted_at = Some(now);
        match restore(ctx, self.loss).await {
            Ok(()) => *self = Self::default(),
            Err(error) => tracing::debug!(%error, "ends of sessions not restored; retrying"),
        }
    }
}

async fn restore(ctx: &Context, loss: Loss) -> Result<(), Error> {
    let by_user = ctx.node.recent_ends.by_user();
    let revived = by_user.clone().into_iter().map(|(user, ends)| end_revived_sessions(ctx, user, ends));
    let (sessions, mut result) = run_all(revived).await;
    let mut revocations = 0;
    if result.is_ok() && loss == Loss::Certain {
        let lost = by_user.into_values().flatten();
        (revocations, result) = run_all(lost.map(|revocation| publish(ctx, revocation))).await;
    }
    if sessions > 0 || revocations > 0 {
        tracing::warn!(sessions, revocations, "ends of sessions restored that the ephemeral store may have lost");
    }
    result
}

async fn publish(ctx: &Context, revocation: Revocation) -> Result<u64, Error> {
    ctx.ephemeral.revoke(&revocation, ctx.now()).await?;
    Ok(1)
}

/// Makes the calls, some at the same time, and adds up what they return. None begins after a failure.
async fn run_all(calls: impl Iterator<Item = impl Future<Output = Result<u64, Error>>>) -> (u64, Result<(), Error>) {
    let mut results = std::pin::pin!(futures_util::stream::iter(calls).buffer_unordered(MAX_CONCURRENT));
    let mut sum = 0;
    while let Some(result) = results.next().await {
        match result {
            Ok(count) => sum += count,
            Err(error) => return (sum, Err(error)),
        }
    }
    (sum, Ok(()))
}
