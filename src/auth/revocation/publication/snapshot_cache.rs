//! Keeps the last snapshot, and the positions of the last few. Knows nothing of its content.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::store::ephemeral::Position;

/// A snapshot is sent to all clients up to this age, because a new one costs hashing, encoding and compressing every
/// revocation.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The most snapshots in memory. Clients that read slowly keep old ones, and must not be able to fill the memory.
const MAX_GENERATIONS: usize = 4;

/// The greatest age of a snapshot if slow clients prevent another one. The history covers a longer time.
const MAX_AGE_IF_HELD: Duration = Duration::from_secs(30);

/// The most positions of snapshots that are kept. A follower goes on from a snapshot that was 30 s old, and 10 s more in a
/// cache; a new one is built after ten.
const MAX_POSITIONS: usize = 5;

/// A snapshot.
pub struct Snapshot {
    /// Its frames.
    pub body: Bytes,
    /// The same, compressed.
    pub gzip: Bytes,
    /// The sequence that its position belongs to.
    pub(in crate::auth) epoch: Arc<str>,
    /// The position from which a follower goes on.
    pub(in crate::auth) to: Position,
    /// By the monotonic clock.
    pub(in crate::auth) built_at: Duration,
    pub(in crate::auth) entries: usize,
}

/// Bytes of a snapshot, with a reference by which the responses that still have them are counted.
struct CountedBytes(Vec<u8>, #[allow(dead_code, reason = "its references are counted")] Arc<()>);

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The last snapshot, and the lock under which the next one is built.
#[derive(Default)]
pub(in crate::auth) struct SnapshotCache {
    /// Held while a snapshot is built.
    pub(in crate::auth) building: Arc<tokio::sync::Mutex<()>>,
    latest: Mutex<Option<Arc<Snapshot>>>,
    /// The positions of the last snapshots.
    positions: Mutex<VecDeque<Position>>,
    /// One for each snapshot whose bytes are in memory.
    generations: Mutex<Vec<Weak<()>>>,
}

impl SnapshotCache {
    /// The number of entries and bytes.
    pub(in crate::auth) fn size(&self) -> (usize, usize) {
        let latest = self.latest();
        latest.map_or((0, 0), |snapshot| (snapshot.entries, snapshot.body.len() + snapshot.gzip.len()))
    }

    fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last snapshot, if it need not or cannot be replaced.
    pub(in crate::auth) fn usable(&self, clock: &Clock, epoch: &str) -> Option<Arc<Snapshot>> {
        let latest = self.latest().filter(|snapshot| *snapshot.epoch == *epoch)?;
        let age = clock.monotonic().saturating_sub(latest.built_at);
        (age < MAX_AGE || age < MAX_AGE_IF_HELD && self.is_full()).then_some(latest)
    }

    /// Returns true if clients still read as many snapshots as there may be.
    pub(in crate::auth) fn is_full(&self) -> bool {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.retain(|generation| generation.strong_count() > 0);
        generations.len() >= MAX_GENERATIONS
    }

    /// Replaces the last snapshot.
    pub(in crate::auth) fn replace(&self, snapshot: Arc<Snapshot>) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.push_back(snapshot.to);
        if positions.len() > MAX_POSITIONS {
            positions.pop_front();
        }
        drop(positions);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    /// Returns true if one of the last snapshots ends at this position.
    pub(in crate::auth) fn ends_at(&self, position: Position) -> bool {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).contains(&position)
    }

    /// The bytes of a new snapshot, which count against the bound until the last client has read them.
    pub(in crate::auth) fn to_counted_bytes<const N: usize>(&self, forms: [Vec<u8>; N]) -> [Bytes; N] {
        let generation = Arc::new(());
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&generation));
        forms.map(|bytes| Bytes::from_owner(CountedBytes(bytes, generation.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    /// Makes so many snapshots. The first is the last that was built.
    fn cache_of(count: usize, clock: &Clock) -> (SnapshotCache, Vec<Arc<Snapshot>>) {
        let cache = SnapshotCache::default();
        let snapshot = |_| {
            let [body, gzip] = cache.to_counted_bytes([vec![1], vec![2]]);
            let (epoch, to) = ("one".into(), Position { major: 7, minor: 0 });
            Arc::new(Snapshot { body, gzip, epoch, to, built_at: clock.monotonic(), entries: 1 })
        };
        let held = (0..count).map(snapshot).collect::<Vec<_>>();
        cache.replace(held[0].clone());
        (cache, held)
    }

    #[test]
    fn snapshot_serves_its_epoch_for_ten_seconds() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        let (cache, _held) = cache_of(MAX_GENERATIONS - 1, &clock);
        assert!(cache.usable(&clock, "one").is_some() && cache.usable(&clock, "two").is_none());
        clock.advance(MAX_AGE - Duration::from_millis(1));
        assert!(cache.usable(&clock, "one").is_some());
        clock.advance(Duration::from_millis(1));
        assert!(cache.usable(&clock, "one").is_none());
    }

    #[test]
    fn positions_of_the_last_snapshots_are_known() {
        let (cache, held) = cache_of(1, &Clock::manual(Timestamp::from_secs(100)));
        let position = held[0].to;
        for major in (1..).take(MAX_POSITIONS) {
            assert!(cache.ends_at(position));
            let held = &held[0];
            cache.replace(Arc::new(Snapshot {
                body: held.body.clone(),
                gzip: held.gzip.clone(),
                epoch: held.epoch.clone(),
                to: Position { major: 100 + major, minor: 0 },
                built_at: held.built_at,
                entries: 1,
            }));
        }
        assert!(!cache.ends_at(position));
    }

    #[test]
    fn snapshot_serves_longer_while_slow_clients_hold_the_most() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        let (cache, mut held) = cache_of(MAX_GENERATIONS, &clock);
        clock.advance(MAX_AGE_IF_HELD - Duration::from_millis(1));
        assert!(cache.usable(&clock, "one").is_some());
        held.pop();
        assert!(cache.usable(&clock, "one").is_none(), "a client has read its snapshot");
        let (cache, _held) = cache_of(MAX_GENERATIONS, &clock);
        clock.advance(MAX_AGE_IF_HELD);
        assert!(cache.usable(&clock, "one").is_none());
    }
}
