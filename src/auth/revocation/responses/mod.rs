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
use crate::priority::at_lower_priority;

use frames::encode_head;

pub(super) use frames::jwks_hash;

pub use live::{after, run};
pub use segment::segment;
pub use snapshot::snapshot;

/// The thread that signs a large response.
const THREAD: &str = "signet-feed";

/// Copies entries of the history and signs them, to the end even if the caller is dropped. Signing has a lower priority.
/// Copying does not: it holds the lock on the history, for which workers and the task that records revocations wait.
async fn copy_and_sign<C: Send + 'static, T: Send + 'static>(
    copy: impl FnOnce() -> Result<C, FeedError> + Send + 'static,
    sign: impl FnOnce(C) -> Result<T, FeedError> + Send + 'static,
) -> Result<T, FeedError> {
    let work = async move {
        let copied = tokio::task::spawn_blocking(copy).await.unwrap_or(Err(FeedError::Stale))?;
        at_lower_priority(THREAD, move || sign(copied)).await.unwrap_or(Err(FeedError::Stale))
    };
    tokio::spawn(work).await.unwrap_or(Err(FeedError::Stale))
}

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[tokio::test]
    async fn entries_are_copied_before_the_priority_is_lowered() {
        let nice = || getpriority_process(None).unwrap();
        let own = nice();
        let (copied, signed) = copy_and_sign(move || Ok(nice()), move |copied| Ok((copied, nice()))).await.unwrap();
        assert_eq!(copied, own);
        // 19 is the lowest.
        assert!(signed > own || own == 19);
    }
}
