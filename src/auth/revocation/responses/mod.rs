//! Signs what this node publishes, as `docs/revocation-feed.md` describes it.
//!
//! [`run`] signs a frame soon after a revocation was recorded, and regularly if none was, but only after a successful
//! reading: a frame states that it is complete, which a node without contact to its store cannot know. Every follower
//! that waits gets the same bytes, so a follower costs no signature.
//!
//! | file | content |
//! |---|---|
//! | `frames` | signs frames |
//! | `live` | the live feed: signs what is new, and lets followers wait for it |
//! | `segment` | what was revoked within a second |
//! | `snapshot` | all revocations in force |
//!
//! Knows nothing of HTTP.

mod frames;
mod live;
mod segment;
mod snapshot;

use std::sync::Arc;

use bytes::Bytes;

use crate::auth::context::Context;
use crate::auth::revocation::publication::FeedError;
use crate::auth::revocation::publication::range::Range;

use frames::encode_head;

pub(super) use frames::jwks_hash;

pub use live::{after, run};
pub use segment::segment;
pub use snapshot::snapshot;

/// The thread that signs a large response.
const THREAD: &str = "signet-feed";

/// The head, which a follower that polls reads every second.
pub fn head(ctx: &Context) -> Result<Bytes, FeedError> {
    let publication = &ctx.node.publication;
    let live = publication.fresh_frame(&ctx.node.clock)?;
    if let Some((_, head)) = publication.on_demand(&live).head.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &live)) {
        return Ok(head.clone());
    }
    let (range, ends) = {
        let state = publication.state();
        let end = (state.history.len(), state.history.end());
        let range = Range::new(&state.history, end, end, None, state.complete_at.ok_or(FeedError::Stale)?);
        (range, state.history.segment_ends().map(|end| end.to_string()).collect())
    };
    publication.segments.list(range.to);
    let head = encode_head(ctx.node.as_ref(), &range, ends).ok_or(FeedError::Stale)?;
    publication.on_demand(&live).head = Some((live.clone(), head.clone()));
    Ok(head)
}
