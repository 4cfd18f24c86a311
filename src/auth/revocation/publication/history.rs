//! The newest entries of the stream of revocations, as they are published, in their order. Bounded by age and number.
//! Knows nothing of frames and of followers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::ephemeral::{Position, Revocation, StreamPage, Target};
use crate::token::revocation_frame::{Entry, IdHash};

/// The most entries that are kept, whatever their age: 10 MB, and two minutes at a thousand revocations a second, which is
/// longer than a follower pauses between two tries.
const MAX_KEPT: usize = 1 << 17;

/// The most positions in the head, the newest included. A follower that polls every second needs the last few; one that
/// was away for longer asks for everything after its position. More would make every poll of every follower larger.
const MAX_ENDS: usize = 16;

/// The entries of one epoch.
pub(in crate::auth) struct History {
    epoch: Arc<str>,
    keep: Duration,
    /// Every entry after this position is kept, except entries that the store had deleted, because they had expired,
    /// before this node read them.
    start: Position,
    end: Position,
    kept: VecDeque<HistoryEntry>,
    /// The position of the last entry of each second, by the clocks of the publishers. The newest second is missing,
    /// because it may get more entries.
    ends: VecDeque<Position>,
}

struct HistoryEntry {
    position: Position,
    published_at: Timestamp,
    /// `None` for a notice, such as that of a changed keyring.
    entry: Option<Entry>,
}

/// The result of looking up a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Lookup {
    /// The position is known. This many entries are at or before it.
    At(usize),
    /// Not reached yet.
    Ahead,
    /// Not kept any more, or never was a position.
    Unknown,
}

impl History {
    pub(in crate::auth) fn new(keep: Duration) -> Self {
        Self {
            epoch: "".into(),
            keep,
            start: Position::default(),
            end: Position::default(),
            kept: VecDeque::new(),
            ends: VecDeque::new(),
        }
    }

    /// Appends what was read. Another epoch replaces everything.
    pub(in crate::auth) fn append(&mut self, page: &StreamPage, now: Timestamp) {
        if *page.epoch != *self.epoch {
            *self = Self::new(self.keep);
            self.epoch = page.epoch.as_str().into();
        }
        for entry in &page.entries {
            // A page that could not be applied is read again.
            let Some(position) = entry.position.filter(|position| *position > self.end) else { continue };
            if let Some(last) = self.kept.back().filter(|last| last.published_at.secs() != entry.published_at.secs()) {
                self.ends.push_back(last.position);
                if self.ends.len() >= MAX_ENDS {
                    self.ends.pop_front();
                }
            }
            let (published_at, entry) = (entry.published_at, published_entry(&entry.revocation));
            self.kept.push_back(HistoryEntry { position, published_at, entry });
            self.end = position;
        }
        self.end = self.end.max(page.end);
        while self
            .kept
            .front()
            .is_some_and(|oldest| self.kept.len() > MAX_KEPT || oldest.published_at + self.keep < now)
            && let Some(dropped) = self.kept.pop_front()
        {
            self.start = dropped.position;
        }
        while self.ends.front().is_some_and(|end| *end < self.start) {
            self.ends.pop_front();
        }
    }

    /// The sequence that positions belong to; empty before anything was read.
    pub(in crate::auth) fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// The position after which every entry is kept.
    pub(in crate::auth) fn start(&self) -> Position {
        self.start
    }

    /// The newest position.
    pub(in crate::auth) fn end(&self) -> Position {
        self.end
    }

    /// The number of entries.
    pub(in crate::auth) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The positions at which segments end. The last is the newest position.
    pub(in crate::auth) fn segment_ends(&self) -> impl Iterator<Item = Position> {
        self.ends.iter().copied().chain([self.end])
    }

    /// The last position, after the first `from` entries, at which a segment ends that will not grow any more. Returns the
    /// number of entries up to it; `None` if there is no such position, or nothing comes after it.
    pub(in crate::auth) fn last_complete_segment(&self, from: usize) -> Option<usize> {
        match self.find(*self.ends.back()?) {
            Lookup::At(index) if index > from && index < self.kept.len() => Some(index),
            _ => None,
        }
    }

    /// Finds a position.
    ///
    /// It must be one that was published. A store that lost entries may have continued with other positions, and
    /// some of these may be before a lost one: a follower at that position would miss them. A position before the first
    /// entry belongs to an entry that the store had deleted already.
    pub(in crate::auth) fn find(&self, position: Position) -> Lookup {
        if position == self.end {
            return Lookup::At(self.kept.len());
        }
        if position > self.end {
            return Lookup::Ahead;
        }
        match self.kept.binary_search_by_key(&position, |kept| kept.position) {
            Ok(index) => Lookup::At(index + 1),
            Err(0) if position == self.start || self.start == Position::default() => Lookup::At(0),
            Err(_) => Lookup::Unknown,
        }
    }

    /// Returns true if the entries from one index up to another were published in one second, so that they are one
    /// segment or a part of one.
    pub(in crate::auth) fn is_within_a_second(&self, from: usize, to: usize) -> bool {
        let second = |index: usize| self.kept.get(index).map(|kept| kept.published_at.secs());
        to > from && second(from) == second(to - 1)
    }

    /// Returns true if the entry at this index is the first of its second.
    pub(in crate::auth) fn begins_second(&self, index: usize) -> bool {
        let second = |index: usize| self.kept.get(index).map(|kept| kept.published_at.secs());
        index < self.kept.len() && (index == 0 || second(index - 1) != second(index))
    }

    /// Copies at most `limit` entries, from the index `from` to the one before `to`.
    pub(in crate::auth) fn batch(&self, from: usize, to: usize, limit: usize) -> EntryBatch {
        let mut batch =
            EntryBatch { entries: Vec::new(), next: from, position: self.end, published_at: Timestamp::default() };
        for kept in self.kept.range(from..to) {
            if batch.entries.len() == limit {
                break;
            }
            batch.entries.extend(kept.entry);
            batch.next += 1;
            (batch.position, batch.published_at) = (kept.position, kept.published_at);
        }
        batch
    }
}

/// Consecutive entries of the history.
pub(in crate::auth) struct EntryBatch {
    pub(in crate::auth) entries: Vec<Entry>,
    /// The index after them.
    pub(in crate::auth) next: usize,
    /// The position of the last.
    pub(in crate::auth) position: Position,
    /// When the last was published.
    pub(in crate::auth) published_at: Timestamp,
}

/// The published form of a revocation. Ids are hashed as access tokens contain them.
fn published_entry(revocation: &Revocation) -> Option<Entry> {
    let until = revocation.expires_at;
    Some(match &revocation.target {
        Target::Token(id) => Entry::Id { id: IdHash::of(&id.to_string()), until },
        Target::Session(id) => Entry::Id { id: IdHash::of(&id.to_string()), until },
        Target::ApiKey(id) => Entry::Id { id: IdHash::of(&id.to_string()), until },
        Target::User { user, before } => Entry::User { user: IdHash::of(&user.to_string()), before: *before, until },
        Target::Keyring | Target::GlobalNotBefore => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::rng::Rng;
    use crate::store::ephemeral::{Cursor, StreamEntry};

    const KEEP: Duration = Duration::from_secs(600);

    fn position(major: u64) -> Position {
        Position { major, minor: 0 }
    }

    /// A page of sessions revoked at these seconds, each at the position of the same number.
    fn page(epoch: &str, seconds: impl IntoIterator<Item = u64>) -> StreamPage {
        let rng = Rng::system();
        let entries = seconds.into_iter().map(|second| {
            let published_at = Timestamp::from_secs(second as i64);
            let target = Target::Session(SessionId::new(published_at, &rng));
            let revocation = Revocation { target, expires_at: published_at + KEEP };
            StreamEntry { position: Some(position(second)), published_at, revocation }
        });
        let entries = entries.collect::<Vec<_>>();
        let end = entries.last().and_then(|entry| entry.position).unwrap_or_default();
        let (cursor, epoch) = (Cursor::start(), epoch.to_owned());
        StreamPage { entries, cursor, epoch, end, has_more: false, store_time: None }
    }

    fn history(seconds: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::new(KEEP);
        history.append(&page("one", seconds), Timestamp::from_secs(0));
        history
    }

    #[test]
    fn positions_are_found_exactly() {
        let history = history([5, 6, 8]);
        assert_eq!(history.find(position(5)), Lookup::At(1));
        assert_eq!(history.find(position(8)), Lookup::At(3));
        assert_eq!(history.find(position(9)), Lookup::Ahead);
        assert_eq!(history.find(position(7)), Lookup::Unknown, "between two entries, but never published");
        assert_eq!(history.find(position(3)), Lookup::At(0), "deleted by the store before the first entry");
    }

    #[test]
    fn dropped_entries_are_unknown() {
        let mut history = history([5, 6, 8]);
        history.append(&page("one", []), Timestamp::from_secs(7 + KEEP.as_secs() as i64));
        assert_eq!(history.len(), 1);
        assert_eq!(history.find(position(6)), Lookup::At(0), "everything after the last dropped one is there");
        assert_eq!(history.find(position(5)), Lookup::Unknown);
        assert_eq!(history.find(position(3)), Lookup::Unknown);
        assert_eq!(history.find(position(8)), Lookup::At(1));
    }

    #[test]
    fn entries_are_dropped_once_they_are_older_than_they_are_kept() {
        let (mut history, last_moment) = (history([5, 6]), Timestamp::from_secs(5) + KEEP);
        history.append(&page("one", []), last_moment);
        assert_eq!(history.len(), 2);
        history.append(&page("one", []), last_moment + Duration::from_millis(1));
        assert_eq!(history.len(), 1);
    }

    #[test]
    fn number_of_entries_is_bounded() {
        let mut history = History::new(KEEP);
        let last = MAX_KEPT as u64 + 10;
        history.append(&page("one", 1..=last), Timestamp::from_secs(0));
        assert_eq!(history.len(), MAX_KEPT);
        assert_eq!(history.find(position(10)), Lookup::At(0));
        assert_eq!(history.find(position(9)), Lookup::Unknown);
    }

    #[test]
    fn another_epoch_replaces_the_history() {
        let mut history = history([5, 6]);
        history.append(&page("two", [1]), Timestamp::from_secs(0));
        assert_eq!((&**history.epoch(), history.len(), history.end()), ("two", 1, position(1)));
    }

    #[test]
    fn entries_that_are_read_twice_are_kept_once() {
        let mut history = history([5, 6]);
        history.append(&page("one", [5, 6, 7]), Timestamp::from_secs(0));
        assert_eq!((history.len(), history.end()), (3, position(7)));
    }

    #[test]
    fn segments_end_with_the_last_entry_of_each_second() {
        let mut pages = page("one", [5, 6, 7, 8]);
        // The first three were published in one second.
        pages.entries.iter_mut().take(3).for_each(|entry| entry.published_at = Timestamp::from_secs(5));
        let mut history = History::new(KEEP);
        history.append(&pages, Timestamp::from_secs(0));
        assert_eq!(history.segment_ends().collect::<Vec<_>>(), [position(7), position(8)]);
        assert!(history.is_within_a_second(0, 3));
        assert!(!history.is_within_a_second(0, 4));
        let begins = (0..6).map(|index| history.begins_second(index)).collect::<Vec<_>>();
        assert_eq!(begins, [true, false, false, true, false, false]);
        history.append(&page("one", 9..100), Timestamp::from_secs(0));
        assert_eq!(history.segment_ends().collect::<Vec<_>>(), (84..100).map(position).collect::<Vec<_>>());
    }

    #[test]
    fn last_complete_segment_is_before_the_newest_second() {
        let history = history([5, 6, 8]);
        assert_eq!(history.last_complete_segment(0), Some(2), "the entries of 8 may become more");
        assert_eq!(history.last_complete_segment(1), Some(2));
        assert_eq!(history.last_complete_segment(2), None, "it is where the follower is");
        assert_eq!(history.last_complete_segment(3), None);
        assert_eq!(self::history([5]).last_complete_segment(0), None);
        assert_eq!(self::history([]).last_complete_segment(0), None);
    }

    #[test]
    fn a_batch_ends_at_the_limit() {
        let history = history([5, 6, 8]);
        let batch = history.batch(0, 3, 2);
        assert_eq!((batch.entries.len(), batch.next, batch.position), (2, 2, position(6)));
        let rest = history.batch(batch.next, 3, 2);
        assert_eq!((rest.entries.len(), rest.next, rest.position), (1, 3, position(8)));
    }
}
