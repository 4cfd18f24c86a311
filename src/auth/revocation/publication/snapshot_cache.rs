//! Keeps the last snapshot. Knows nothing of its content.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;

/// A snapshot is sent to all clients up to this age, because a new one costs hashing, encoding and compressing every
/// revocation.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The most snapshots in memory. Clients that read slowly keep old ones, and must not be able to fill the memory.
const MAX_GENERATIONS: usize = 4;

/// The greatest age of a snapshot if slow clients prevent another one. The history covers a longer time.
const MAX_AGE_IF_HELD: Duration = Duration::from_secs(30);

/// A snapshot.
pub struct Snapshot {
    /// Its frames.
    pub body: Bytes,
    /// The same, compressed.
    pub gzip: Bytes,
    /// The sequence that its position belongs to.
    pub(in crate::auth) epoch: Arc<str>,
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
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
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
            Arc::new(Snapshot { body, gzip, epoch: "one".into(), built_at: clock.monotonic(), entries: 1 })
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
