//! The state of the feed that a node publishes to services that verify tokens themselves (`docs/revocation-feed.md`).
//!
//! The task that follows the stream [records](Publication::record) here the entries that it has read and applied. The
//! history is in memory, and all nodes of a fleet have the same one, because positions are those of the store. The
//! responses that were signed last are here too, shared by all followers.
//!
//! | file | content |
//! |---|---|
//! | `history` | the newest entries, by position |
//! | `range` | entries between two positions, divided into frames |
//! | `on_demand` | the responses of the last second that a follower asked for, and the limit of their cost |
//! | `snapshot_cache` | the last snapshot |
//! | `segment_cache` | the segments that were asked for last |
//! | `large_bodies` | the bytes of large responses that clients have not read |
//!
//! Knows nothing of signatures: [`super::responses`] signs.

pub(in crate::auth) mod history;
pub(in crate::auth) mod large_bodies;
pub(in crate::auth) mod on_demand;
pub(in crate::auth) mod range;
pub mod segment_cache;
pub mod snapshot_cache;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, watch};

use crate::auth::retention::Retention;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::store::ephemeral::{Position, StreamPage};
use crate::telemetry::metrics::RevocationFeed;

use history::History;
use large_bodies::LargeBodies;
use on_demand::OnDemand;
use range::Range;
use segment_cache::SegmentCache;
use snapshot_cache::SnapshotCache;

/// The most entries in one response to a follower that has fallen behind: 2 MB, 65 seconds at a thousand revocations a
/// second. A follower that is further behind reads the snapshot.
pub(in crate::auth) const MAX_BEHIND: usize = 16 * range::MAX_PER_FRAME;

/// A node that has signed nothing for this long reports that it is stale. Three frames are missing then.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// Why the feed has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedError {
    /// The feed is turned off.
    Off,
    /// This node has lost contact with its store.
    Stale,
    /// The epoch or the position is not kept, or never existed, or responses at such positions cost too much.
    Gone,
}

/// The last frame, which all followers share.
#[derive(Clone, Default)]
pub(in crate::auth) struct Live {
    pub(in crate::auth) frame: Option<Arc<LiveFrame>>,
    pub(in crate::auth) is_closing: bool,
}

/// A signed frame, or several that belong together.
pub(in crate::auth) struct LiveFrame {
    pub(in crate::auth) epoch: Arc<str>,
    pub(in crate::auth) from: Position,
    pub(in crate::auth) to: Position,
    pub(in crate::auth) body: Bytes,
    pub(in crate::auth) time: Timestamp,
    pub(in crate::auth) not_before: Timestamp,
    pub(in crate::auth) jwks: Box<str>,
    /// By the monotonic clock.
    pub(in crate::auth) signed_at: Duration,
    /// The time until the next frame, if there is anything new.
    pub(in crate::auth) interval: Duration,
}

impl LiveFrame {
    pub(in crate::auth) fn is_fresh(&self, clock: &Clock) -> bool {
        clock.monotonic().saturating_sub(self.signed_at) < STALE_AFTER
    }
}

/// The feed that this node publishes.
pub struct Publication {
    enabled: bool,
    state: Mutex<State>,
    /// Wakes the task that signs frames when something was recorded.
    pub(in crate::auth) recorded: Notify,
    pub(in crate::auth) live: watch::Sender<Live>,
    /// The responses to followers of the live feed since the last frame was signed.
    responses: AtomicU32,
    on_demand: Mutex<OnDemand>,
    /// Its one permit is held while a large response is signed, so that followers that return together do not take
    /// every core.
    pub(in crate::auth) large_response: Arc<Semaphore>,
    pub(in crate::auth) large_bodies: LargeBodies,
    pub(in crate::auth) snapshots: SnapshotCache,
    pub(in crate::auth) segments: SegmentCache,
}

/// The entries that were recorded.
pub(in crate::auth) struct State {
    pub(in crate::auth) history: History,
    /// Everything that was published up to this moment is in the history. `None` before the stream was read to its end.
    pub(in crate::auth) complete_at: Option<Timestamp>,
}

impl Publication {
    /// Publishes nothing yet.
    pub fn new(config: &Config) -> Self {
        // Not longer than the store keeps every revocation, so that a node that has just started knows as much as others.
        let keep = config.revocation.feed_history.min(Retention::new(config).revocation_ttl());
        Self {
            enabled: config.revocation.feed && config.api.native.enabled,
            state: Mutex::new(State { history: History::new(keep), complete_at: None }),
            recorded: Notify::new(),
            live: watch::Sender::new(Live::default()),
            responses: AtomicU32::new(0),
            on_demand: Mutex::default(),
            large_response: Arc::new(Semaphore::new(1)),
            large_bodies: LargeBodies::default(),
            snapshots: SnapshotCache::default(),
            segments: SegmentCache::default(),
        }
    }

    /// True if the feed is turned on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Records what was read from the stream, after it was applied. `complete_at`: the page has everything that was
    /// published before this moment, unless it says that there is more.
    pub fn record(&self, page: &StreamPage, complete_at: Timestamp) {
        // The stream is not created yet.
        if !self.enabled || page.epoch.is_empty() {
            return;
        }
        let mut state = self.state();
        if *page.epoch != **state.history.epoch() {
            state.complete_at = None;
        }
        state.history.append(page, complete_at);
        if !page.has_more {
            state.complete_at = state.complete_at.max(Some(complete_at));
        }
        self.segments.drop_unknown(state.history.epoch(), state.history.start());
        drop(state);
        self.recorded.notify_one();
    }

    /// Wakes the task that signs frames, because the keyring has changed.
    pub fn notify_keyring_change(&self) {
        self.recorded.notify_one();
    }

    /// Ends all waits and prevents further ones, because the server is stopping.
    pub fn close(&self) {
        self.live.send_modify(|live| live.is_closing = true);
    }

    /// The size of what is kept.
    pub fn size(&self) -> RevocationFeed {
        let history = self.state().history.len();
        let (snapshot_entries, snapshot_bytes) = self.snapshots.size();
        RevocationFeed { history, snapshot_entries, snapshot_bytes }
    }

    /// The entries that were recorded.
    pub(in crate::auth) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last live frame. An error if the feed is off or the frame is too old.
    pub(in crate::auth) fn fresh_frame(&self, clock: &Clock) -> Result<Arc<LiveFrame>, FeedError> {
        if !self.enabled {
            return Err(FeedError::Off);
        }
        self.live.borrow().frame.clone().filter(|frame| frame.is_fresh(clock)).ok_or(FeedError::Stale)
    }

    /// Counts a response to a follower of the live feed.
    pub(in crate::auth) fn count_response(&self) {
        self.responses.fetch_add(1, Ordering::Relaxed);
    }

    /// The responses to followers since the last call.
    pub(in crate::auth) fn take_responses(&self) -> u32 {
        self.responses.swap(0, Ordering::Relaxed)
    }

    /// The responses that were asked for since this live frame, or since an earlier one.
    pub(in crate::auth) fn on_demand(&self, live: &Arc<LiveFrame>) -> MutexGuard<'_, OnDemand> {
        let mut on_demand = self.on_demand.lock().unwrap_or_else(PoisonError::into_inner);
        on_demand.advance(live);
        on_demand
    }
}

impl State {
    /// The entries from an index of the history to its end. One frame ends where the last complete segment does. A
    /// follower that polls through a cache goes on from that position with segments, which can be cached. The end of
    /// the history lies within a second, where no segment begins.
    pub(in crate::auth) fn range_to_end(&self, from: Position, index: usize) -> Option<Range> {
        let history = &self.history;
        let end = (history.len(), history.end());
        Some(Range::new(history, (index, from), end, history.last_complete_segment(index), self.complete_at?))
    }
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publication").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}
