//! Entries between two positions, divided into frames. Knows nothing of signatures.

use std::sync::Arc;

use super::history::History;
use crate::clock::Timestamp;
use crate::store::ephemeral::Position;
use crate::token::revocation_frame::{Entry, MAX_ENTRIES};

/// The most revoked signing keys in a frame. A fleet has one or two.
pub(in crate::auth) const MAX_KEYS: usize = 64;

/// The most entries of the history in a frame.
pub(in crate::auth) const MAX_PER_FRAME: usize = MAX_ENTRIES - MAX_KEYS;

/// A range of up to this many entries is signed by the worker that was asked: about 0.1 ms, 30 KB.
pub(in crate::auth) const SMALL: usize = 1024;

/// Entries between two positions, divided into frames.
pub(in crate::auth) struct Range {
    pub(in crate::auth) epoch: Arc<str>,
    pub(in crate::auth) from: Position,
    pub(in crate::auth) to: Position,
    /// Everything that was published up to this moment is in the history.
    pub(in crate::auth) time: Timestamp,
    pub(in crate::auth) frames: Vec<FrameEntries>,
}

/// The entries of one frame.
pub(in crate::auth) struct FrameEntries {
    pub(in crate::auth) entries: Vec<Entry>,
    pub(in crate::auth) to: Position,
    /// When the entry at `to` was published.
    pub(in crate::auth) published_at: Timestamp,
}

impl Range {
    /// The entries between two indexes of the history, with the positions that belong to these. A frame ends at the index
    /// `split`, if that is between them.
    pub(in crate::auth) fn new(
        history: &History,
        (first, from): (usize, Position),
        (end, to): (usize, Position),
        split: Option<usize>,
        time: Timestamp,
    ) -> Self {
        let (mut frames, mut next) = (Vec::new(), first);
        while next < end {
            let until = split.filter(|split| *split > next).unwrap_or(end);
            let batch = history.batch(next, until, MAX_PER_FRAME);
            next = batch.next;
            frames.push(FrameEntries { entries: batch.entries, to: batch.position, published_at: batch.published_at });
        }
        match frames.last_mut() {
            Some(last) => last.to = to,
            None => frames.push(FrameEntries { entries: Vec::new(), to, published_at: Timestamp::default() }),
        }
        Self { epoch: history.epoch().clone(), from, to, time, frames }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::SessionId;
    use crate::rng::Rng;
    use crate::store::ephemeral::{Cursor, Revocation, StreamEntry, StreamPage, Target};

    /// A history of sessions revoked at these seconds; the position of each is its number.
    fn history(seconds: &[i64]) -> History {
        let (rng, keep) = (Rng::system(), Duration::from_secs(600));
        let entries = seconds.iter().zip(1..).map(|(second, major)| {
            let published_at = Timestamp::from_secs(*second);
            let target = Target::Session(SessionId::new(published_at, &rng));
            let revocation = Revocation { target, expires_at: published_at + keep };
            StreamEntry { position: Some(Position { major, minor: 0 }), published_at, revocation }
        });
        let (cursor, epoch) = (Cursor::start(), "one".to_owned());
        let end = Position { major: seconds.len() as u64, minor: 0 };
        let page = StreamPage { entries: entries.collect(), cursor, epoch, end, has_more: false, store_time: None };
        let mut history = History::new(keep);
        history.append(&page, Timestamp::from_secs(0));
        history
    }

    /// The last position and the number of entries of each frame of what comes after the first `from` entries.
    fn frames(history: &History, from: usize, split: Option<usize>) -> Vec<(u64, usize)> {
        let start = Position { major: from as u64, minor: 0 };
        let end = (history.len(), history.end());
        let range = Range::new(history, (from, start), end, split, Timestamp::default());
        range.frames.iter().map(|frame| (frame.to.major, frame.entries.len())).collect()
    }

    #[test]
    fn a_frame_ends_at_the_split() {
        let history = history(&[5, 5, 5, 6, 6, 7]);
        let split = |from| history.last_complete_segment(from);
        assert_eq!(frames(&history, 1, split(1)), [(5, 4), (6, 1)]);
        assert_eq!(frames(&history, 4, split(4)), [(5, 1), (6, 1)]);
        assert_eq!(frames(&history, 5, split(5)), [(6, 1)]);
        assert_eq!(frames(&history, 6, split(6)), [(6, 0)]);
        assert_eq!(frames(&history, 1, None), [(6, 5)]);
    }

    #[test]
    fn frames_before_and_after_the_split_are_bounded() {
        let before = MAX_PER_FRAME + 10;
        let seconds = [vec![5; before], vec![6; MAX_PER_FRAME + 1]].concat();
        let history = history(&seconds);
        let ends = frames(&history, 0, history.last_complete_segment(0));
        assert_eq!(ends.iter().map(|(_, entries)| *entries).collect::<Vec<_>>(), [MAX_PER_FRAME, 10, MAX_PER_FRAME, 1]);
        assert_eq!(ends[1].0, before as u64);
    }
}
