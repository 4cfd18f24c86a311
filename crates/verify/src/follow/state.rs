//! State shared by a verifier and the tasks behind it. Checking a token takes no lock here.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::error::FollowError;
use crate::freshness::Freshness;
use crate::jwks::KeySet;
use crate::position::Position;
use crate::revocations::{CLOCK_SKEW, RevocationSet};
use crate::time::UnixTime;

/// The state of a follower.
pub(super) struct State {
    pub(super) issuer: Box<str>,
    pub(super) keys: ArcSwap<KeySet>,
    pub(super) revocations: RevocationSet,
    pub(super) freshness: Freshness,
    /// Asks for the keys to be read again.
    pub(super) keys_wanted: Notify,
    /// Set if the reason is a token with an unknown key. Anyone can make such a token.
    pub(super) keys_wanted_by_token: AtomicBool,
    /// True once the keys, the snapshot and what came after it have been read.
    pub(super) ready: watch::Sender<bool>,
    /// Where `/verify/batch` is, once the metadata has been read.
    pub(super) batch_url: ArcSwap<Option<url::Url>>,
    /// Where the feed is, once the metadata has been read.
    pub(super) feed_url: ArcSwap<Option<url::Url>>,
    /// Other keys were read.
    pub(super) keys_changed: Notify,
    /// When the keys were read; `None` while they are being read, and after an attempt that failed.
    keys_read_at: Mutex<Option<Instant>>,
    position: Mutex<Option<Position>>,
    last_error: Mutex<Option<FollowError>>,
    started: Instant,
    #[cfg(feature = "metrics")]
    pub(super) metrics: super::metrics::Metrics,
}

impl State {
    pub(super) fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            keys: ArcSwap::default(),
            revocations: RevocationSet::default(),
            freshness: Freshness::default(),
            keys_wanted: Notify::new(),
            keys_wanted_by_token: AtomicBool::new(false),
            ready: watch::Sender::new(false),
            batch_url: ArcSwap::default(),
            feed_url: ArcSwap::default(),
            keys_changed: Notify::new(),
            keys_read_at: Mutex::new(None),
            position: Mutex::new(None),
            last_error: Mutex::new(None),
            started: Instant::now(),
            #[cfg(feature = "metrics")]
            metrics: super::metrics::Metrics::new(),
        }
    }

    /// The monotonic clock.
    pub(super) fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time since the state was complete.
    pub(super) fn staleness(&self) -> Option<Duration> {
        self.freshness.staleness(self.monotonic(), UnixTime::now())
    }

    /// The time since the keys were read; `None` while they are being read, and after an attempt that failed.
    pub(super) fn keys_age(&self) -> Option<Duration> {
        self.keys_read_at.lock().unwrap_or_else(PoisonError::into_inner).map(|read_at| read_at.elapsed())
    }

    /// Sets from when [`keys_age`](Self::keys_age) counts.
    pub(super) fn set_keys_read_at(&self, read_at: Option<Instant>) {
        *self.keys_read_at.lock().unwrap_or_else(PoisonError::into_inner) = read_at;
    }

    /// The position in the feed; `None` while the snapshot is needed.
    pub(super) fn position(&self) -> Option<Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what [`position`](Self::position) returns.
    pub(super) fn set_position(&self, position: Option<&Position>) {
        let mut known = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != position {
            *known = position.cloned();
        }
    }

    /// Records that a frame with this `time` left the state complete.
    pub(super) fn complete(&self, time: UnixTime) {
        if !self.freshness.record(time, self.monotonic(), UnixTime::now()) {
            tracing::warn!(
                "a frame of the revocation feed is too far from this clock to prove that nothing is missing"
            );
        }
    }

    /// Removes the revocations of a shard that no token can match any more, by the earlier of two clocks: that of this
    /// machine and that of the server, as of the last frame that proved something. If this clock is ahead for a while,
    /// nothing may be missing when it is right again.
    pub(super) fn remove_expired(&self, shard: usize) {
        if let Some(complete_at) = self.freshness.complete_at() {
            self.revocations.remove_expired_of(shard, complete_at.min(UnixTime::now()) - CLOCK_SKEW);
        }
    }

    /// Records an error. Logs a warning only if it differs from the last one, so that an outage does not fill
    /// the log.
    pub(super) fn record_error(&self, error: FollowError) {
        #[cfg(feature = "metrics")]
        self.metrics.failed();
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&error) {
            tracing::debug!(%error, "cannot follow the revocation feed");
        } else {
            tracing::warn!(%error, "cannot follow the revocation feed");
        }
        *last = Some(error);
    }

    /// Records that the feed was read: there is no last error any more.
    pub(super) fn record_success(&self) {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.take().is_some() {
            tracing::info!("the revocation feed is followed again");
        }
    }

    /// The last error, if the feed has not been read since.
    pub(super) fn last_error(&self) -> Option<FollowError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Frame, IdHash, Revoked};
    use crate::revocations::SHARDS;
    use crate::revocations::tests::frame;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// A state with revocations until these times.
    fn with_revocations(until: &[UnixTime]) -> State {
        let revoked = |(at, until): (usize, &UnixTime)| Revoked { id: IdHash::of(&at.to_string()), until: *until };
        let state = State::new("https://id.example.org");
        let revoked = until.iter().enumerate().map(revoked).collect();
        state.revocations.apply(&Frame { revoked, ..frame() });
        state
    }

    fn remove_expired(state: &State) {
        (0..SHARDS).for_each(|shard| state.remove_expired(shard));
    }

    #[test]
    fn expired_revocations_are_removed() {
        let now = UnixTime::now();
        let state = with_revocations(&[now - HOUR, now - CLOCK_SKEW / 2, now + HOUR]);
        remove_expired(&state);
        assert_eq!(state.revocations.len(), 3, "no frame was received yet");
        state.complete(now);
        remove_expired(&state);
        assert_eq!(state.revocations.len(), 2);
    }

    #[test]
    fn clock_that_is_ahead_for_a_while_removes_nothing() {
        let server = UnixTime::now() - 10 * HOUR;
        let state = with_revocations(&[server + HOUR]);
        state.complete(server);
        remove_expired(&state);
        assert_eq!((state.revocations.len(), state.staleness()), (1, None));
    }
}
