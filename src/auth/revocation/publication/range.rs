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
const SMALL: usize = 1024;

/// Entries between two positions, divided into frames.
pub(in crate::auth) struct Range {
    pub(in crate::auth) epoch: Arc<str>,
    pub(in crate::auth) from: Position,
    pub(in crate::auth) to: Position,
    /// Everything that was published up to this moment is in the history.
    pub(in crate::auth) time: Timestamp,
    pub(in crate::auth) parts: Vec<Part>,
}

/// The entries of one frame.
pub(in crate::auth) struct Part {
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
        let (mut parts, mut next) = (Vec::new(), first);
        while next < end {
            let until = split.filter(|split| *split > next).unwrap_or(end);
            let taken = history.take(next, until, MAX_PER_FRAME);
            next = taken.next;
            parts.push(Part { entries: taken.entries, to: taken.position, published_at: taken.published_at });
        }
        match parts.last_mut() {
            Some(last) => last.to = to,
            None => parts.push(Part { entries: Vec::new(), to, published_at: Timestamp::default() }),
        }
        Self { epoch: history.epoch().clone(), from, to, time, parts }
    }

    pub(in crate::auth) fn is_small(&self) -> bool {
        self.parts.iter().map(|part| part.entries.len()).sum::<usize>() <= SMALL
    }
}
