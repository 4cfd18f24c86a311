//! The live feed: one task signs what is new, and followers wait for it. Knows nothing of snapshots and segments.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::copy_and_sign;
use super::frames::{encode, jwks_hash};
use crate::auth::context::{Context, Node};
use crate::auth::revocation::publication::history::Lookup;
use crate::auth::revocation::publication::range::{Range, SMALL};
use crate::auth::revocation::publication::{FeedError, LiveFrame, MAX_BEHIND, State};
use crate::store::ephemeral::Position;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;

/// The shortest time between two frames. Revocations that come faster share one: a follower needs twenty requests a
/// second at most, and twenty signatures take less than a thousandth of a core.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// The time between two frames grows with the number of followers, to 5,000 responses a second. A response takes 30 µs
/// here and 100 µs at the follower, and many followers may share a machine.
const INTERVAL_PER_RESPONSE: Duration = Duration::from_micros(200);

/// The longest time between two frames while there are revocations. A follower learns of one within a second, and the
/// network and the follower may take most of it.
const MAX_INTERVAL: Duration = Duration::from_millis(250);

/// The time after which a frame is signed although nothing is new. The stream is read every half second, so this comes to
/// one frame a second.
const HEARTBEAT: Duration = Duration::from_millis(900);

/// The longest wait of a follower. A frame is signed every second, so after a longer wait something is wrong.
const MAX_WAIT: Duration = Duration::from_millis(1500);

/// Signs frames. Never returns.
pub async fn run(ctx: &Context) {
    let (publication, clock) = (&ctx.node.publication, &ctx.node.clock);
    let mut previous: Option<Arc<LiveFrame>> = None;
    loop {
        publication.recorded.notified().await;
        if let Some(previous) = &previous {
            let age = clock.monotonic().saturating_sub(previous.signed_at);
            if has_news(ctx, previous) {
                tokio::time::sleep(previous.interval.saturating_sub(age)).await;
            } else if age < HEARTBEAT {
                continue;
            }
        }
        if let Some(frame) = sign(ctx, previous.as_deref()).map(Arc::new) {
            publication.live.send_modify(|live| live.frame = Some(frame.clone()));
            previous = Some(frame);
        }
    }
}

/// The time between two frames, if the one before them went to so many followers.
fn interval_after(responses: u32) -> Duration {
    INTERVAL_PER_RESPONSE.saturating_mul(responses).clamp(MIN_INTERVAL, MAX_INTERVAL)
}

/// Returns true if there is something that `previous` does not contain.
fn has_news(ctx: &Context, previous: &LiveFrame) -> bool {
    let node = &ctx.node;
    let state = node.publication.state();
    previous.to != state.history.end()
        || *previous.epoch != **state.history.epoch()
        || previous.not_before != node.revocations.global_not_before()
        || *previous.jwks != *jwks_hash(&node.keyring.keys())
}

/// Signs what came after `previous`. `None` if no key can sign, or nothing was read since.
fn sign(ctx: &Context, previous: Option<&LiveFrame>) -> Option<LiveFrame> {
    let node = &ctx.node;
    // Read before the frame is signed: at worst, a change is signed twice.
    let (not_before, jwks) = (node.revocations.global_not_before(), jwks_hash(&node.keyring.keys()).into());
    let range = {
        let state = node.publication.state();
        let history = &state.history;
        let known = previous.filter(|previous| previous.epoch == *history.epoch()).map(|previous| previous.to);
        match known.map(|from| (from, history.find(from))) {
            Some((from, Lookup::At(index))) => state.range_to_end(from, index),
            // A new epoch, or more entries at once than are kept: followers at older positions read the snapshot.
            _ => state.range_to_end(history.end(), history.len()),
        }?
    };
    if previous.is_some_and(|previous| previous.time >= range.time && previous.to == range.to) {
        return None;
    }
    let body = encode(node, &range, true)?;
    let (epoch, from, to, time) = (range.epoch, range.from, range.to, range.time);
    let interval = interval_after(node.publication.take_responses());
    Some(LiveFrame { epoch, from, to, body, time, not_before, jwks, signed_at: node.clock.monotonic(), interval })
}

/// Counts a follower that waits, until it is dropped.
struct Waiting<'a>(&'a Metrics);

impl<'a> Waiting<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        metrics.count(Counter::FeedWaiting);
        Self(metrics)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.decrement(Counter::FeedWaiting);
    }
}

/// Everything after a position of an epoch. Waits for the next frame if there is nothing yet. `network`: that of the
/// client, whose costs are limited.
pub async fn after(ctx: &Context, network: IpAddr, epoch: &str, position: &str) -> Result<Bytes, FeedError> {
    let body = wait_for_frame(ctx, network, epoch, position).await?;
    ctx.node.publication.count_response();
    Ok(body)
}

async fn wait_for_frame(ctx: &Context, network: IpAddr, epoch: &str, position: &str) -> Result<Bytes, FeedError> {
    let (node, publication) = (&ctx.node, &ctx.node.publication);
    let position = Position::parse(position);
    // Not to the end of the request's own timeout, which would be a failure.
    let wait_until = Instant::now() + MAX_WAIT.min(node.config.server.request_timeout / 2);
    let mut live = publication.live.subscribe();
    let mut has_waited = false;
    loop {
        live.mark_unchanged();
        let frame = publication.fresh_frame(&node.clock)?;
        let Some(position) = position.filter(|_| *frame.epoch == *epoch) else { return Err(FeedError::Gone) };
        if frame.from == position && frame.to != position || frame.to == position && has_waited {
            return Ok(frame.body.clone());
        }
        if position < frame.to {
            // Among many followers, one that is late gets two frames at once. Otherwise it would be late for each frame,
            // and need a response for each.
            let next = frame.signed_at + frame.interval;
            let until_next = next.saturating_sub(node.clock.monotonic());
            if frame.interval == MIN_INTERVAL || until_next.is_zero() || has_waited {
                return frames_since(ctx, network, &frame, position).await;
            }
            let _waiting = Waiting::begin(&node.metrics);
            let _ = tokio::time::timeout(until_next, live.changed()).await;
            has_waited = true;
            continue;
        }
        if live.borrow().is_closing {
            // A frame that the follower may know already, which is harmless. The follower asks another node next.
            return Ok(frame.body.clone());
        }
        let waiting = Waiting::begin(&node.metrics);
        let changed = tokio::time::timeout_at(wait_until, live.changed()).await;
        drop(waiting);
        if changed.is_err() {
            // Another node may have read further. If this one does not reach the position by now, the epoch has no such
            // position.
            return if position > frame.to { Err(FeedError::Gone) } else { Ok(frame.body.clone()) };
        }
        has_waited = true;
    }
}

/// The entries after a position that is older than the last frame's. Signed once for all followers at this position.
async fn frames_since(
    ctx: &Context,
    network: IpAddr,
    live: &Arc<LiveFrame>,
    position: Position,
) -> Result<Bytes, FeedError> {
    let publication = &ctx.node.publication;
    // A follower that is told to read the snapshot must be able to go on from there. While nothing can be kept, each
    // response is signed anew.
    let is_limited = !publication.snapshots.ends_at(position) || publication.large_bodies.is_full();
    let known = || {
        let on_demand = publication.on_demand(live);
        match on_demand.find(live, position) {
            Some(body) => Some(Ok(body)),
            None => (is_limited && on_demand.is_exhausted(network)).then_some(Err(FeedError::Gone)),
        }
    };
    if let Some(known) = known() {
        return known;
    }
    let behind = {
        let state = publication.state();
        state.history.len() - index_of(&state, live, position)?
    };
    if behind <= SMALL {
        return sign_shared(&ctx.node, network, live, &copy_after(&ctx.node, live, position)?, false);
    }
    // The entries are copied after the wait, because any number of followers may wait.
    let permit = publication.large_response.clone().acquire_owned().await;
    // Another follower may have had it signed meanwhile, or others have exhausted the limit.
    if let Some(known) = known() {
        return known;
    }
    if publication.large_bodies.is_full() {
        return Err(FeedError::Gone);
    }
    let copy = {
        let (node, live) = (ctx.node.clone(), live.clone());
        move || copy_after(&node, &live, position)
    };
    let (node, live) = (ctx.node.clone(), live.clone());
    // The permit is held until the end even if this follower disconnects: otherwise followers that disconnect would
    // take every core.
    let sign = move |range: Range| {
        let body = sign_shared(&node, network, &live, &range, true);
        drop(permit);
        body
    };
    copy_and_sign(copy, sign).await
}

/// Signs the entries after a position, and keeps the response for other followers.
fn sign_shared(
    node: &Node,
    network: IpAddr,
    live: &Arc<LiveFrame>,
    range: &Range,
    is_large: bool,
) -> Result<Bytes, FeedError> {
    let publication = &node.publication;
    let body = encode(node, range, true).ok_or(FeedError::Stale)?;
    let mut on_demand = publication.on_demand(live);
    on_demand.charge(network, body.len());
    // A small response that is not kept is in the budget of its worker.
    if !is_large && publication.large_bodies.is_full() {
        return Ok(body);
    }
    let body = publication.large_bodies.count(body);
    on_demand.add(live, range.from, body.clone(), is_large);
    Ok(body)
}

/// Copies the entries after a position.
fn copy_after(node: &Node, live: &LiveFrame, position: Position) -> Result<Range, FeedError> {
    let state = node.publication.state();
    let index = index_of(&state, live, position)?;
    state.range_to_end(position, index).ok_or(FeedError::Stale)
}

/// The index in the history after which the entries come that a follower at this position lacks.
fn index_of(state: &State, live: &LiveFrame, position: Position) -> Result<usize, FeedError> {
    match state.history.find(position) {
        Lookup::At(index) if state.history.len() - index <= MAX_BEHIND && live.epoch == *state.history.epoch() => {
            Ok(index)
        }
        _ => Err(FeedError::Gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_rarer_for_many_followers() {
        for (responses, millis) in [(0, 50), (1, 50), (250, 50), (500, 100), (1_000, 200), (u32::MAX, 250)] {
            assert_eq!(interval_after(responses), Duration::from_millis(millis), "{responses}");
        }
    }
}
