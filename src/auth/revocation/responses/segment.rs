//! Segments: what was revoked within a second. Each is signed and compressed once. Knows nothing of the live feed.

use std::sync::Arc;

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

/// A segment: the entries after one position up to another, all published in one second. Its frames are the same
/// whichever node signs them, as long as it signs with the same key. Signed by one caller at a time.
pub async fn segment(ctx: &Context, epoch: &str, from: &str, to: &str) -> Result<Arc<Segment>, FeedError> {
    let (node, cache) = (&ctx.node, &ctx.node.publication.segments);
    node.publication.fresh_frame(&node.clock)?;
    let (Some(from), Some(to)) = (Position::parse(from), Position::parse(to)) else { return Err(FeedError::Gone) };
    let key = key(node, epoch, from, to)?;
    if let Some(segment) = cache.get(&key) {
        return Ok(segment);
    }
    let signing = cache.signing.clone().lock_owned().await;
    if let Some(segment) = cache.get(&key) {
        return Ok(segment);
    }
    if node.publication.large_bodies.is_full() {
        return Err(FeedError::Gone);
    }
    let node = node.clone();
    // The lock is held until the end even if this caller disconnects: otherwise the next one would sign it too.
    let signed = tokio::task::spawn_blocking(move || {
        let segment = sign(&node, key).map(Arc::new);
        if let Ok(segment) = &segment {
            node.publication.segments.add(segment.clone());
        }
        drop(signing);
        segment
    });
    signed.await.unwrap_or(Err(FeedError::Stale))
}

/// The key of a segment that exists.
fn key(node: &Node, epoch: &str, from: Position, to: Position) -> Result<SegmentKey, FeedError> {
    let keys = node.keyring.keys();
    let kid = Signer::new(node, &keys).ok_or(FeedError::Stale)?.kid().into();
    let state = node.publication.state();
    find(&state.history, epoch, from, to)?;
    Ok(SegmentKey { epoch: state.history.epoch().clone(), kid, from, to })
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

fn sign(node: &Node, key: SegmentKey) -> Result<Segment, FeedError> {
    let range = {
        let state = node.publication.state();
        let (first, end) = find(&state.history, &key.epoch, key.from, key.to)?;
        Range::new(&state.history, (first, key.from), (end, key.to), None, Timestamp::default())
    };
    let body = encode(node, &range, false).ok_or(FeedError::Stale)?;
    let gzip = (body.len() >= MIN_COMPRESSED).then(|| gzip(&body).into());
    let count = |bytes| node.publication.large_bodies.count(bytes);
    Ok(Segment { key, body: count(body), gzip: gzip.map(count) })
}
