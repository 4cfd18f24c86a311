//! Segments: what was revoked within a second. Each is signed and compressed once. Knows nothing of the live feed.

use std::net::IpAddr;
use std::sync::Arc;

use super::copy_and_sign;
use super::frames::{Signer, encode};
use crate::auth::context::{Context, Node};
use crate::auth::revocation::publication::FeedError;
use crate::auth::revocation::publication::history::{History, Lookup};
use crate::auth::revocation::publication::range::Range;
use crate::auth::revocation::publication::segment_cache::{Segment, SegmentKey};
use crate::clock::Timestamp;
use crate::encoding::gzip;
use crate::store::ephemeral::Position;

/// The smallest segment that is worth compressing: it does not fit into one packet.
const MIN_COMPRESSED: usize = 1400;

/// Compressing a segment takes several times as long as signing it.
const COST_IF_COMPRESSED: usize = 8;

/// A segment: the entries after one position up to another, all published in one second. Its frames are the same
/// whichever node signs them, as long as it signs with the same key. Signed by one caller at a time. `network`: that of
/// the client, whose costs are limited.
pub async fn segment(
    ctx: &Context,
    network: IpAddr,
    epoch: &str,
    from: &str,
    to: &str,
) -> Result<Arc<Segment>, FeedError> {
    let (node, publication) = (&ctx.node, &ctx.node.publication);
    let live = publication.fresh_frame(&node.clock)?;
    let (Some(from), Some(to)) = (Position::parse(from), Position::parse(to)) else { return Err(FeedError::Gone) };
    let (key, is_listed) = key(node, epoch, from, to)?;
    let known = || match publication.segments.get(&key) {
        Some(segment) => Some(Ok(segment)),
        None => (!is_listed && publication.on_demand(&live).is_exhausted(network)).then_some(Err(FeedError::Gone)),
    };
    if let Some(known) = known() {
        return known;
    }
    let signing = publication.segments.signing.clone().lock_owned().await;
    if let Some(known) = known() {
        return known;
    }
    if publication.large_bodies.is_full() {
        return Err(FeedError::Gone);
    }
    let copy = {
        let node = node.clone();
        move || copy(&node, &key).map(|range| (key, range))
    };
    let node = node.clone();
    // The lock is held until the end even if this caller disconnects: otherwise the next one would sign it too.
    let sign = move |(key, range): (SegmentKey, Range)| {
        let segment = sign(&node, key, &range).map(Arc::new);
        if let Ok(segment) = &segment {
            let factor = if segment.gzip.is_some() { COST_IF_COMPRESSED } else { 1 };
            node.publication.on_demand(&live).charge(network, segment.body.len() * factor);
            node.publication.segments.add(segment.clone());
        }
        drop(signing);
        segment
    };
    copy_and_sign(copy, sign).await
}

/// The key of a segment that exists, and whether a head lists it, or did. There are as many of these as seconds and heads,
/// and anyone can ask for many more: for any part of a second.
fn key(node: &Node, epoch: &str, from: Position, to: Position) -> Result<(SegmentKey, bool), FeedError> {
    let keys = node.keyring.keys();
    let kid = Signer::new(node, &keys).ok_or(FeedError::Stale)?.kid().into();
    let state = node.publication.state();
    let history = &state.history;
    let (first, end) = find(history, epoch, from, to)?;
    // Until the history drops an entry, any position before the first one is found, and no head lists these.
    let is_published = first > 0 || from == history.start();
    let is_listed = is_published
        && history.begins_second(first)
        && (history.begins_second(end) || node.publication.segments.is_listed(to));
    Ok((SegmentKey { epoch: history.epoch().clone(), kid, from, to }, is_listed))
}

/// The indexes of a segment in the history. Other ranges do not exist: a request must not cost more than one second's
/// revocations. Needed for the key, so that a request for no segment does not wait for the lock, and again to sign,
/// because the indexes change when old entries are dropped.
fn find(history: &History, epoch: &str, from: Position, to: Position) -> Result<(usize, usize), FeedError> {
    match (history.find(from), history.find(to)) {
        (Lookup::At(first), Lookup::At(end))
            if *epoch == **history.epoch() && history.is_within_a_second(first, end) =>
        {
            Ok((first, end))
        }
        _ => Err(FeedError::Gone),
    }
}

/// Copies the entries of a segment.
fn copy(node: &Node, key: &SegmentKey) -> Result<Range, FeedError> {
    let state = node.publication.state();
    let (first, end) = find(&state.history, &key.epoch, key.from, key.to)?;
    Ok(Range::new(&state.history, (first, key.from), (end, key.to), None, Timestamp::default()))
}

fn sign(node: &Node, key: SegmentKey, range: &Range) -> Result<Segment, FeedError> {
    let body = encode(node, range, false).ok_or(FeedError::Stale)?;
    let gzip = (body.len() >= MIN_COMPRESSED).then(|| gzip(&body).into());
    let count = |bytes| node.publication.large_bodies.count(bytes);
    Ok(Segment { key, body: count(body), gzip: gzip.map(count) })
}
