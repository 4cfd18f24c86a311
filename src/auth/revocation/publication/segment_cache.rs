//! Keeps the segments that were asked for last: they never change. Knows nothing of their content.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::store::ephemeral::Position;

/// The most segments that are kept: those of the longest history, which is 15 minutes, and some that end within a second.
const MAX_SEGMENTS: usize = 1024;

/// The most bytes that are kept, of both forms together. Of a segment with all entries of a full history (`MAX_KEPT`,
/// and 40 bytes for each on the wire) the plain form takes a third, and the compressed one less.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most newest positions of heads that are kept: those of three seconds. A cache and a follower keep a head for that
/// long.
const MAX_LISTED: usize = 64;

/// The values that determine the bytes of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) struct SegmentKey {
    pub(in crate::auth) epoch: Arc<str>,
    /// The key that signs it.
    pub(in crate::auth) kid: Box<str>,
    pub(in crate::auth) from: Position,
    pub(in crate::auth) to: Position,
}

/// A segment.
#[derive(Debug)]
pub struct Segment {
    pub(in crate::auth) key: SegmentKey,
    /// Its frames.
    pub body: Bytes,
    /// The same, compressed, if it is large enough.
    pub gzip: Option<Bytes>,
}

impl Segment {
    fn size(&self) -> usize {
        self.body.len() + self.gzip.as_ref().map_or(0, Bytes::len)
    }
}

/// The segments that were asked for last, and the lock under which the next one is signed.
#[derive(Default)]
pub(in crate::auth) struct SegmentCache {
    /// Held while a segment is signed.
    pub(in crate::auth) signing: Arc<tokio::sync::Mutex<()>>,
    /// The one that was asked for last is at the end.
    kept: Mutex<VecDeque<Arc<Segment>>>,
    /// The newest positions of the last heads. The last segment that a head lists ends there, within a second.
    listed: Mutex<VecDeque<Position>>,
}

impl SegmentCache {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Segment>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a segment.
    pub(in crate::auth) fn get(&self, key: &SegmentKey) -> Option<Arc<Segment>> {
        let mut kept = self.kept();
        let index = kept.iter().rposition(|segment| segment.key == *key)?;
        let segment = kept.remove(index)?;
        kept.push_back(segment.clone());
        Some(segment)
    }

    /// Adds a segment. Those that another key signed are not asked for any more.
    pub(in crate::auth) fn add(&self, segment: Arc<Segment>) {
        let mut kept = self.kept();
        kept.retain(|known| known.key.kid == segment.key.kid && known.key != segment.key);
        kept.push_back(segment);
        while kept.len() > MAX_SEGMENTS || kept.iter().map(|segment| segment.size()).sum::<usize>() > MAX_BYTES {
            kept.pop_front();
        }
    }

    /// Remembers that a head ends at this position.
    pub(in crate::auth) fn list(&self, newest: Position) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.back() != Some(&newest) {
            listed.push_back(newest);
        }
        if listed.len() > MAX_LISTED {
            listed.pop_front();
        }
    }

    /// Returns true if one of the last heads ends at this position.
    pub(in crate::auth) fn is_listed(&self, position: Position) -> bool {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).contains(&position)
    }

    /// Drops the segments of other epochs, and those that begin before the history does.
    pub(in crate::auth) fn drop_unknown(&self, epoch: &str, start: Position) {
        self.kept().retain(|segment| *segment.key.epoch == *epoch && segment.key.from >= start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(major: u64) -> Position {
        Position { major, minor: 0 }
    }

    fn key(kid: &str, from: u64) -> SegmentKey {
        SegmentKey { epoch: "one".into(), kid: kid.into(), from: position(from), to: position(from + 1) }
    }

    /// Adds a segment of so many bytes.
    fn add(cache: &SegmentCache, key: &SegmentKey, size: usize) {
        let body = Bytes::from(vec![0; size]);
        cache.add(Arc::new(Segment { key: key.clone(), body, gzip: None }));
    }

    /// The positions at which the segments begin, without marking them as asked for.
    fn kept(cache: &SegmentCache) -> Vec<u64> {
        cache.kept().iter().map(|segment| segment.key.from.major).collect()
    }

    #[test]
    fn segment_that_was_not_asked_for_longest_is_dropped() {
        let cache = SegmentCache::default();
        for from in 0..MAX_SEGMENTS as u64 {
            add(&cache, &key("k", from), 1);
        }
        assert!(cache.get(&key("k", 0)).is_some());
        add(&cache, &key("k", MAX_SEGMENTS as u64), 1);
        assert!(cache.get(&key("k", 1)).is_none());
        assert!(cache.get(&key("k", 0)).is_some());
        assert_eq!(kept(&cache).len(), MAX_SEGMENTS);
    }

    #[test]
    fn bytes_are_bounded() {
        let cache = SegmentCache::default();
        for from in 0..3 {
            add(&cache, &key("k", from), MAX_BYTES / 2);
        }
        assert_eq!(kept(&cache), [1, 2]);
        add(&cache, &key("k", 3), MAX_BYTES + 1);
        assert!(kept(&cache).is_empty());
    }

    #[test]
    fn segments_of_another_signing_key_are_dropped() {
        let cache = SegmentCache::default();
        add(&cache, &key("old", 1), 1);
        assert!(cache.get(&key("new", 1)).is_none());
        add(&cache, &key("new", 1), 1);
        assert!(cache.get(&key("old", 1)).is_none() && cache.get(&key("new", 1)).is_some());
    }

    #[test]
    fn newest_positions_of_the_last_heads_are_listed() {
        let cache = SegmentCache::default();
        for major in [1, 1].into_iter().chain(2..=MAX_LISTED as u64) {
            cache.list(position(major));
        }
        assert!(cache.is_listed(position(1)) && !cache.is_listed(position(0)));
        cache.list(position(MAX_LISTED as u64 + 1));
        assert!(!cache.is_listed(position(1)) && cache.is_listed(position(2)));
    }

    #[test]
    fn segments_are_dropped_with_their_history() {
        let cache = SegmentCache::default();
        (1..4).for_each(|from| add(&cache, &key("k", from), 1));
        cache.drop_unknown("one", position(2));
        assert_eq!(kept(&cache), [2, 3]);
        cache.drop_unknown("two", position(0));
        assert!(kept(&cache).is_empty());
    }
}
