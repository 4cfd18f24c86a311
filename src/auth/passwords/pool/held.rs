//! Requests that found the queue full and are held back for a moment.
//!
//! A client whose sign-in is refused at once can repeat it at once. A hundred such clients on one core make tens of
//! thousands of requests a second, which leave no time for hashing. So a refusal is held back, and a slot that becomes
//! free meanwhile goes to the request that is held longest. Bounded in number; the server counts the memory of a held
//! request as that of any request in flight. Knows nothing of hashes.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// The most requests that are held at the same time. Others are refused at once.
///
/// A held request takes a few kilobytes, so these take less memory than one hash. At half a second each, twice as many
/// are refused in a second, which takes a third of a core.
pub(super) const MAX_HELD: usize = 4_096;

/// The held requests, the oldest first. Each gets a `T`, or an error.
pub(super) struct Held<T>(VecDeque<oneshot::Sender<T>>);

impl<T> Held<T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Holds one more request, unless there are too many.
    pub(super) fn hold(&mut self) -> Option<oneshot::Receiver<T>> {
        // All are held equally long, so those that have ended are in front. One whose client disconnected may stay
        // behind others for as long as they are held: searching for it would make each refusal more expensive.
        while self.0.front().is_some_and(oneshot::Sender::is_closed) {
            self.0.pop_front();
        }
        (self.0.len() < MAX_HELD).then(|| {
            let (granted, waits) = oneshot::channel();
            self.0.push_back(granted);
            waits
        })
    }

    /// Removes the request that is held longest.
    pub(super) fn pop(&mut self) -> Option<oneshot::Sender<T>> {
        while let Some(held) = self.0.pop_front() {
            if !held.is_closed() {
                return Some(held);
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|held| !held.is_closed()).count()
    }

    /// Ends all of them with an error.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_request_is_first_and_ended_ones_are_skipped() {
        let mut held = Held::new();
        let (gone, mut first, mut second) = (held.hold(), held.hold().unwrap(), held.hold().unwrap());
        drop(gone);
        assert_eq!(held.count(), 2);
        held.pop().unwrap().send(1).unwrap();
        held.pop().unwrap().send(2).unwrap();
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(1), Ok(2)));
        assert!(held.pop().is_none() && held.is_empty());
    }

    #[test]
    fn no_more_are_held_than_the_bound() {
        let mut held = Held::<()>::new();
        let mut waiting: Vec<_> = (0..MAX_HELD).map(|_| held.hold().unwrap()).collect();
        assert!(held.hold().is_none());
        drop(waiting.remove(0));
        assert!(held.hold().is_some(), "one that ended is not counted");
        held.clear();
        assert!(waiting.iter_mut().all(|held| held.try_recv().is_err()));
    }
}
