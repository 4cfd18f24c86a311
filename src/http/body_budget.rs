//! The room that a worker has for what its clients make it hold: bodies that have come in part, answers that nobody takes yet.
//!
//! Each of them is bounded, and a client has as many as it opens. So what is larger than bodies usually may be is counted, by worker, and
//! as large a room apart is for smaller bodies that come in pieces: those who send megabytes are not in the way of those who
//! send little. What came whole with its head, which is nearly everything, passes by here. Counted is what has arrived and
//! never what was promised, or who sends nothing could have all the room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

use super::rejection::Rejection;

/// Which of a worker's rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyBudget {
    /// For what is as large as bodies usually may be.
    Usual,
    /// For what is larger.
    Large,
}

thread_local! {
    /// Bytes held in each room of this worker: a worker is a thread. Atomic for what is let go of elsewhere alone.
    static HELD: [Arc<AtomicUsize>; 2] = std::array::from_fn(|_| Arc::default());
}

/// Bytes that are counted; given back when this is dropped, however that comes.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    counted: Option<(BodyBudget, Arc<AtomicUsize>)>,
    bytes: usize,
}

impl Reservation {
    /// Counts `bytes` in all, in a room of `most`.
    pub(super) fn hold(&mut self, room: BodyBudget, bytes: usize, most: usize) -> Result<(), Rejection> {
        if self.counted.as_ref().is_none_or(|(counted, _)| *counted != room) {
            *self = Self { counted: Some((room, HELD.with(|held| held[room as usize].clone()))), bytes: 0 };
        }
        let Some((_, held)) = &self.counted else { return Ok(()) };
        let more = bytes.saturating_sub(self.bytes);
        // None but this thread makes it more.
        if held.load(Ordering::Relaxed) + more > most {
            return Err(Rejection::Crowded);
        }
        held.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        Ok(())
    }

    /// A body that has come whole. A large one is counted for as long as anybody has it.
    pub(super) fn keep(self, whole: BytesMut) -> Bytes {
        match self.counted {
            Some((BodyBudget::Large, _)) => Bytes::from_owner(Kept { bytes: whole, _share: self }),
            _ => whole.freeze(),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some((_, held)) = &self.counted {
            held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

struct Kept<T> {
    bytes: T,
    _share: Reservation,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Kept<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// An answer, counted until its client has taken it if it is larger than `usual`.
pub(super) fn keep(mut answer: String, usual: usize, most: usize) -> Result<Bytes, Rejection> {
    // Its room to spare would be held as well.
    answer.shrink_to_fit();
    if answer.len() <= usual {
        return Ok(answer.into());
    }
    let mut share = Reservation::default();
    share.hold(BodyBudget::Large, answer.len(), most)?;
    Ok(Bytes::from_owner(Kept { bytes: answer, _share: share }))
}

#[cfg(test)]
pub(super) fn held() -> [usize; 2] {
    HELD.with(|held| [0, 1].map(|room: usize| held[room].load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWDED: Result<(), Rejection> = Err(Rejection::Crowded);

    #[test]
    fn there_is_room_for_so_much_and_no_more() {
        let (mut one, mut other) = (Reservation::default(), Reservation::default());
        assert_eq!(one.hold(BodyBudget::Large, 6, 10), Ok(()));
        assert_eq!(one.hold(BodyBudget::Large, 7, 10), Ok(()), "six of them are counted already");
        assert_eq!(other.hold(BodyBudget::Large, 4, 10), CROWDED);
        assert_eq!(held(), [0, 7], "what was refused is not held");
        assert_eq!(other.hold(BodyBudget::Large, 3, 10), Ok(()));
        assert_eq!(one.hold(BodyBudget::Large, 8, 10), CROWDED);
        drop(one);
        assert_eq!(other.hold(BodyBudget::Large, 10, 10), Ok(()));
        drop(other);
        assert_eq!(held(), [0, 0]);
    }

    #[test]
    fn the_rooms_are_apart_and_a_share_is_in_one() {
        let (mut small, mut large) = (Reservation::default(), Reservation::default());
        assert_eq!(large.hold(BodyBudget::Large, 10, 10), Ok(()));
        assert_eq!(small.hold(BodyBudget::Usual, 9, 10), Ok(()));
        assert_eq!(held(), [9, 10]);
        assert_eq!(small.hold(BodyBudget::Large, 11, 10), CROWDED);
        assert_eq!(held(), [0, 10], "it went to where it found no room");
        drop(large);
        assert_eq!(small.hold(BodyBudget::Large, 10, 10), Ok(()));
        assert_eq!(held(), [0, 10]);
    }

    #[test]
    fn what_is_large_is_counted_for_as_long_as_anybody_has_it() {
        let mut share = Reservation::default();
        share.hold(BodyBudget::Large, 4, 10).unwrap();
        let body = share.keep(BytesMut::from(&b"body"[..]));
        let part = body.slice(1..2);
        drop(body);
        assert_eq!(held(), [0, 4]);
        // Wherever they let go of it.
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(held(), [0, 0]);

        let answer = keep("an answer".to_owned(), 8, 10).unwrap();
        assert_eq!((&answer[..], held()), (&b"an answer"[..], [0, 9]));
        assert_eq!(keep("another".to_owned(), 6, 10), Err(Rejection::Crowded));
        let small = keep("small".to_owned(), 6, 10).unwrap();
        drop(answer);
        assert_eq!((&small[..], held()), (&b"small"[..], [0, 0]));
    }
}
