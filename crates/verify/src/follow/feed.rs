//! Following the feed: metadata, keys, snapshot, then the live feed, for as long as the task runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::backoff::Backoff;
use super::endpoints::{Endpoints, discover, extended};
use super::error::FollowError;
use super::http::{Client, Response};
use super::key_source::{AFTER_FRAME, KeySource};
use super::state::State;
use crate::feed::{Frame, FrameError, MAX_FRAME_LENGTH, UnverifiedFrame};
use crate::position::{Position, Progress, Snapshot, is_current};
use crate::revocations::SHARDS;

/// The server answers a request of the live feed after about a second.
const LIVE_DEADLINE: Duration = Duration::from_secs(5);

/// The longest pause within a snapshot.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(10);

/// The longest snapshot: seven million revocations.
const MAX_SNAPSHOT: usize = 256 * 1024 * 1024;

/// The longest response of the live feed: 400,000 revocations.
const MAX_LIVE: usize = 16 * 1024 * 1024;

/// After so many failures the metadata is read again: the documents may have moved.
const FAILURES_BEFORE_DISCOVERY: u32 = 8;

/// A cache keeps the head for a second.
const HEAD_INTERVAL: Duration = Duration::from_secs(1);

/// The number of positions that are remembered: the head that a cache returns may be older than the last one reached.
const MAX_REACHED: usize = 64;

/// The shortest time between two requests of the live feed without a new position.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// Each shard of the revocations is maintained every two minutes.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(120_000 / SHARDS as u64);

/// Follows the feed of an issuer.
pub(super) struct Follower {
    client: Client,
    state: Arc<State>,
    keys: Arc<KeySource>,
    metadata_url: Url,
    /// True if a cache in front of the server answers: see [`read_head`](Self::read_head).
    is_cached: bool,
    endpoints: Option<Endpoints>,
    position: Option<Position>,
    /// The last positions that were reached, oldest first.
    reached: VecDeque<String>,
    maintained_at: Instant,
    /// The shard that is maintained next.
    next_shard: usize,
}

impl Follower {
    pub(super) fn new(
        client: Client,
        state: Arc<State>,
        keys: Arc<KeySource>,
        metadata_url: Url,
        is_cached: bool,
    ) -> Self {
        let (endpoints, position, reached) = (None, None, VecDeque::new());
        Self {
            client,
            state,
            keys,
            metadata_url,
            is_cached,
            endpoints,
            position,
            reached,
            maintained_at: Instant::now(),
            next_shard: 0,
        }
    }

    /// Follows as long as the task runs.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let result = self.step().await;
            self.state.set_position(self.position.as_ref());
            if result.is_ok() && self.position.is_some() {
                self.state.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
            }
            self.maintain();
            #[cfg(feature = "metrics")]
            self.state.metrics.observe(self.state.staleness(), self.state.revocations.len());
            let Err(error) = result else {
                backoff.reset();
                self.state.record_success();
                continue;
            };
            let pause = pause_after(&error, &mut self.position, &mut backoff);
            if backoff.failures() % FAILURES_BEFORE_DISCOVERY == 0 {
                self.endpoints = None;
            }
            self.state.record_error(error);
            tokio::time::sleep(pause).await;
        }
    }

    /// The next request.
    async fn step(&mut self) -> Result<(), FollowError> {
        let Some(endpoints) = self.endpoints.clone() else { return self.discover().await };
        if self.state.keys.load().keys().is_empty() {
            self.keys.read(AFTER_FRAME).await?;
        }
        let feed = endpoints.feed.ok_or(FollowError::NoFeed)?;
        match self.position.take() {
            None => self.read_snapshot(&feed).await,
            Some(mut position) => {
                let result = if self.is_cached {
                    self.read_head(&feed, &mut position).await
                } else {
                    self.read_live(&feed, &mut position).await
                };
                self.position = Some(position);
                result
            }
        }
    }

    async fn discover(&mut self) -> Result<(), FollowError> {
        let endpoints = discover(&self.client, &self.state.issuer, &self.metadata_url).await?;
        self.keys.set_url(endpoints.jwks.clone()).await;
        self.state.batch_url.store(Arc::new(endpoints.verify_batch.clone()));
        self.state.feed_url.store(Arc::new(endpoints.feed.clone()));
        self.endpoints = Some(endpoints);
        Ok(())
    }

    async fn read_snapshot(&mut self, feed: &Url) -> Result<(), FollowError> {
        let url = extended(feed, &["snapshot"]);
        // Past all caches, if this is not the first one: a cached one may be of the epoch that is over.
        let response = self.client.get_large(&url, !self.reached.is_empty(), SNAPSHOT_DEADLINE).await?;
        let mut snapshot = Snapshot::default();
        let mut lines = Lines::new(response, MAX_SNAPSHOT, SNAPSHOT_DEADLINE);
        while let Some(line) = lines.next().await? {
            snapshot.add(&self.apply(line).await?);
        }
        let (mut position, _) = snapshot.finish().ok_or(FollowError::IncompleteSnapshot)?;
        self.reached = VecDeque::from([position.at.clone()]);
        // The snapshot may be half a minute old, so it proves nothing. The head is a second old, and is there at once.
        let result = self.reach_head(feed, &mut position).await;
        // If the server does not go on from the snapshot, the next one is not fetched at once.
        if !result.as_ref().is_err_and(is_gone) {
            self.position = Some(position);
        }
        result
    }

    async fn read_live(&mut self, feed: &Url, position: &mut Position) -> Result<(), FollowError> {
        let url = extended(feed, &[&position.epoch, "after", &position.at]);
        let (began, before) = (Instant::now(), position.clone());
        let response = self.client.get(&url, false, LIVE_DEADLINE).await?;
        let mut lines = Lines::new(response, MAX_LIVE, LIVE_DEADLINE);
        let mut complete_at = None;
        while let Some(line) = lines.next().await? {
            let frame = self.apply(line).await?;
            // Only the last frame of a response says what was revoked up to now.
            complete_at = match position.advance(&frame) {
                Progress::Complete => Some(frame.time),
                Progress::Gap => None,
                Progress::OtherEpoch => return Err(FollowError::Gone),
            };
            self.reach(&position.at);
        }
        match complete_at {
            Some(time) => self.state.complete(time),
            None => return Err(lines.response.error("the last frame does not continue at the position")),
        }
        if *position == before {
            // The server has waited before it says that there is nothing. A relay that has not must not be asked in a
            // tight loop.
            tokio::time::sleep(SHORTEST_POLL.saturating_sub(began.elapsed())).await;
        }
        Ok(())
    }

    /// Reads the head, which a cache may answer for any number of followers, and the segments up to it, which never
    /// change. The next one after a second.
    async fn read_head(&mut self, feed: &Url, position: &mut Position) -> Result<(), FollowError> {
        let began = Instant::now();
        self.reach_head(feed, position).await?;
        tokio::time::sleep(HEAD_INTERVAL.saturating_sub(began.elapsed())).await;
        Ok(())
    }

    async fn reach_head(&mut self, feed: &Url, position: &mut Position) -> Result<(), FollowError> {
        let mut lines = Lines::new(self.client.get(feed, false, LIVE_DEADLINE).await?, MAX_LIVE, LIVE_DEADLINE);
        let Some(line) = lines.next().await? else { return Err(lines.response.error("no frame")) };
        let head = self.apply(line).await?;
        if head.epoch != position.epoch {
            return Err(FollowError::Gone);
        }
        if !is_current(&head) {
            return Err(lines.response.error("the frame is not the head"));
        }
        if head.to != position.at {
            self.read_segments(feed, position, &head).await?;
        }
        if head.to == position.at {
            self.state.complete(head.time);
        }
        Ok(())
    }

    /// Reads what was revoked between a position that was reached and the head.
    async fn read_segments(&mut self, feed: &Url, position: &mut Position, head: &Frame) -> Result<(), FollowError> {
        let segments = head.segments.as_deref().unwrap_or_default();
        let Some(first) = segments.iter().rposition(|end| self.reached.contains(end)) else {
            return self.read_live(feed, position).await;
        };
        // Entries between this position and the follower's are read twice, which does no harm.
        let mut at = Position { epoch: position.epoch.clone(), at: segments[first].clone() };
        for end in &segments[first + 1..] {
            let url = extended(feed, &[&at.epoch, "segments", &at.at, end]);
            let response = self.client.get_large(&url, false, LIVE_DEADLINE).await?;
            let mut lines = Lines::new(response, MAX_LIVE, LIVE_DEADLINE);
            while let Some(line) = lines.next().await? {
                at.advance(&self.apply(line).await?);
            }
            if at.at != *end {
                return Err(lines.response.error("the segment does not reach its end"));
            }
            // The end of the last segment is within a second, so the next head may not list it.
            self.reach(end);
        }
        *position = at;
        Ok(())
    }

    /// Remembers a position that was reached: in a head, only those at which segments end are listed.
    fn reach(&mut self, position: &str) {
        if self.reached.back().is_some_and(|last| last == position) {
            return;
        }
        self.reached.push_back(position.to_owned());
        if self.reached.len() > MAX_REACHED {
            self.reached.pop_front();
        }
    }

    /// Verifies a frame and applies its entries.
    async fn apply(&self, line: &str) -> Result<Frame, FollowError> {
        let frame = self.verify(line).await;
        #[cfg(feature = "metrics")]
        self.state.metrics.frame(frame.is_ok());
        let frame = frame?;
        self.state.revocations.apply(&frame);
        let is_other = |hash: &String| *hash != self.state.keys.load().hash();
        if frame.jwks.as_ref().is_some_and(is_other) {
            self.state.keys_wanted.notify_one();
        }
        Ok(frame)
    }

    async fn verify(&self, line: &str) -> Result<Frame, FollowError> {
        let unverified = UnverifiedFrame::parse(line)?;
        let mut keys = self.state.keys.load_full();
        let key = match unverified.find_key(keys.keys()) {
            Err(FrameError::UnknownKey) => {
                self.keys.read(AFTER_FRAME).await?;
                // Also if they were read just before, because of a token.
                keys = self.state.keys.load_full();
                unverified.find_key(keys.keys())?
            }
            found => found?,
        };
        if self.state.revocations.is_key_revoked(key) {
            return Err(FollowError::RevokedKey);
        }
        Ok(unverified.verify(key, &self.state.issuer)?)
    }

    /// Removes entries that no token can match any more, a shard at a time. After the last shard it has the keys read
    /// again, in case the feed does not say that they changed.
    fn maintain(&mut self) {
        if self.maintained_at.elapsed() < MAINTENANCE_INTERVAL {
            return;
        }
        self.maintained_at = Instant::now();
        self.state.remove_expired(self.next_shard);
        self.next_shard = (self.next_shard + 1) % SHARDS;
        if self.next_shard == 0 {
            self.state.keys_wanted.notify_one();
        }
    }
}

/// Returns true if the server does not keep the epoch or the position.
fn is_gone(error: &FollowError) -> bool {
    matches!(error, FollowError::Gone | FollowError::Status { status: 410, .. })
}

/// The pause after an error. Drops a position that the server does not know any more.
fn pause_after(error: &FollowError, position: &mut Option<Position>, backoff: &mut Backoff) -> Duration {
    if is_gone(error) && position.take().is_some() {
        // The server has returned. Its snapshot must not wait as long as a server that is down.
        backoff.reset();
    }
    let pause = backoff.next();
    match error {
        FollowError::Status { retry_after: Some(after), .. } => pause.max(*after),
        _ => pause,
    }
}

/// The lines of a response, each a frame, while they arrive.
struct Lines {
    response: Response,
    buffer: Vec<u8>,
    /// Bytes of the buffer before this one are returned already.
    begin: usize,
    left: usize,
    deadline: Duration,
    is_at_end: bool,
}

impl Lines {
    fn new(response: Response, limit: usize, deadline: Duration) -> Self {
        Self { response, buffer: Vec::new(), begin: 0, left: limit, deadline, is_at_end: false }
    }

    /// The next line; `None` at the end. A last line without a line feed is cut off, and is an error.
    async fn next(&mut self) -> Result<Option<&str>, FollowError> {
        if (1..self.buffer.len()).contains(&self.begin) {
            // Frames of a large snapshot take a while together: others may run in between.
            tokio::task::yield_now().await;
        }
        let mut searched = self.begin;
        let end = loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                break searched + length;
            }
            if self.is_at_end {
                let is_whole = self.begin == self.buffer.len();
                return if is_whole { Ok(None) } else { Err(self.response.error("the last frame is cut off")) };
            }
            self.buffer.drain(..self.begin);
            self.begin = 0;
            searched = self.buffer.len();
            if searched > MAX_FRAME_LENGTH {
                return Err(FrameError::TooLong.into());
            }
            match self.response.next(self.deadline).await? {
                None => self.is_at_end = true,
                Some(data) => {
                    self.left = self.left.checked_sub(data.len()).ok_or_else(|| self.response.error("too long"))?;
                    self.buffer.extend_from_slice(&data);
                }
            }
        };
        let line = &self.buffer[self.begin..end];
        self.begin = end + 1;
        Ok(Some(std::str::from_utf8(line).map_err(|_| FrameError::Malformed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_is_fetched_soon_after_an_outage() {
        let (mut backoff, mut position) = (Backoff::default(), Some(Position { epoch: "e".into(), at: "1-0".into() }));
        (0..10).for_each(|_| _ = backoff.next());
        let pause = pause_after(&FollowError::Gone, &mut position, &mut backoff);
        assert!(position.is_none() && pause <= Duration::from_millis(100), "{pause:?}");
        // A snapshot that fails is not fetched without a pause.
        (0..10).for_each(|_| _ = backoff.next());
        assert!(pause_after(&FollowError::Gone, &mut position, &mut backoff) > Duration::from_millis(500));
    }
}
