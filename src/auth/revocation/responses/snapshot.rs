//! The snapshot: all revocations in force, for followers that start or have fallen too far behind. Knows nothing of
//! waiting followers.

use std::sync::Arc;
use std::time::Duration;

use super::THREAD;
use super::frames::Signer;
use crate::auth::context::{Context, Node};
use crate::auth::revocation::publication::FeedError;
use crate::auth::revocation::publication::range::MAX_PER_FRAME;
use crate::auth::revocation::publication::snapshot_cache::Snapshot;
use crate::encoding::gzip;
use crate::priority::at_lower_priority;
use crate::token::revocation_frame::{Entry, Frame, IdHash};

/// How long the durable revocation of a user is published after the lifetime of the last token that it concerns. In
/// memory it is kept longer: as long as a session that the store may have revived could be refreshed. No node permits
/// that once it has read the row: within a minute, or when the accounts store is reachable again. So no token of
/// such a session is issued after that. Without a limit, a snapshot would have the password changes of a month.
const DURABLE_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// All revocations in force. Built by one caller at a time, and then returned to every caller for a while.
pub async fn snapshot(ctx: &Context) -> Result<Arc<Snapshot>, FeedError> {
    let (node, cache) = (&ctx.node, &ctx.node.publication.snapshots);
    let live = node.publication.fresh_frame(&node.clock)?;
    if let Some(snapshot) = cache.usable(&node.clock, &live.epoch) {
        return Ok(snapshot);
    }
    let building = cache.building.clone().lock_owned().await;
    if let Some(snapshot) = cache.usable(&node.clock, &live.epoch) {
        return Ok(snapshot);
    }
    if cache.is_full() {
        return Err(FeedError::Stale);
    }
    let node = node.clone();
    // The lock is held until the end even if this caller disconnects: otherwise the next one would build another.
    let built = at_lower_priority(THREAD, move || {
        let snapshot = build(&node).map(Arc::new);
        if let Some(snapshot) = &snapshot {
            node.publication.snapshots.replace(snapshot.clone());
        }
        drop(building);
        snapshot
    });
    built.await.flatten().ok_or(FeedError::Stale)
}

/// Builds a snapshot. Revocations that are applied meanwhile may be in it or not: they come after its position.
fn build(node: &Node) -> Option<Snapshot> {
    let (epoch, end, time) = {
        let state = node.publication.state();
        (state.history.epoch().clone(), state.history.end(), state.complete_at?)
    };
    let keys = node.keyring.keys();
    let signer = Signer::new(node, &keys)?;
    let mut entries = signer.revoked_keys();
    let ttl = node.retention.revocation_ttl();
    let now = node.revocations.steady_time(&node.clock, ttl);
    let mut text = uuid::Uuid::encode_buffer();
    node.revocations.for_each(|id, before, expires_at| {
        let id = IdHash::of(uuid::Uuid::from_bytes(*id).as_hyphenated().encode_lower(&mut text));
        let entry = match before {
            None => Entry::Id { id, until: expires_at },
            Some(before) => {
                let until = expires_at.min(before + ttl + DURABLE_MARGIN);
                Entry::User { user: id, before, until }
            }
        };
        let (Entry::Id { until, .. } | Entry::User { until, .. }) = entry;
        if until > now {
            entries.push(entry);
        }
    });
    let to = end.to_string();
    let parts = entries.len().div_ceil(MAX_PER_FRAME).max(1);
    let mut out = String::new();
    for number in 0..parts {
        let last = entries.len().min((number + 1) * MAX_PER_FRAME);
        let frame = Frame {
            issuer: &node.config.tokens.issuer,
            time,
            epoch: &epoch,
            from: None,
            to: to.clone(),
            state: Some(signer.state()),
            entries: entries.get(number * MAX_PER_FRAME..last).unwrap_or_default(),
            segments: None,
            part: Some((u32::try_from(number + 1).ok()?, u32::try_from(parts).ok()?)),
        };
        signer.append(&mut out, &frame)?;
    }
    let compressed = gzip(out.as_bytes());
    let [body, gzip] = node.publication.snapshots.to_counted_bytes([out.into_bytes(), compressed]);
    Some(Snapshot { body, gzip, epoch, to: end, built_at: node.clock.monotonic(), entries: entries.len() })
}
