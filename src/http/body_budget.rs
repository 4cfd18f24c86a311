//! Memory budget of one worker for buffered bodies: requests that have arrived in part, and large responses that the
//! client has not read yet.
//!
//! Each body is bounded, but a client opens as many requests as it likes. So bodies larger than the usual limit are
//! counted per worker, and smaller bodies that arrive in pieces have a separate budget of the same size: clients that
//! send megabytes do not block clients that send little. A body that arrives whole with its head, which is nearly every
//! body, is not counted. Only bytes that have arrived count, never a declared length, or a client that sends nothing
//! could reserve the whole budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

use super::rejection::Rejection;

/// Selects one of a worker's two budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SizeClass {
    /// At most `max_body` bytes.
    Regular,
    /// More than `max_body` bytes.
    Large,
}

thread_local! {
    /// Bytes reserved in each budget of this worker, which is a thread. Atomic because another thread may drop a body.
    static RESERVED: [Arc<AtomicUsize>; 2] = std::array::from_fn(|_| Arc::default());
}

/// Bytes reserved in a budget; released on drop.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    budget: Option<(SizeClass, Arc<AtomicUsize>)>,
    bytes: usize,
}

impl Reservation {
    /// Raises the reservation to `bytes` in total, in the budget of `class`, which has `capacity` bytes.
    pub(super) fn reserve(&mut self, class: SizeClass, bytes: usize, capacity: usize) -> Result<(), Rejection> {
        if self.budget.as_ref().is_none_or(|(current, _)| *current != class) {
            *self =
                Self { budget: Some((class, RESERVED.with(|reserved| reserved[class as usize].clone()))), bytes: 0 };
        }
        let Some((_, reserved)) = &self.budget else { return Ok(()) };
        let more = bytes.saturating_sub(self.bytes);
        // Only this thread adds, so the check and the addition need not be one operation.
        if reserved.load(Ordering::Relaxed) + more > capacity {
            return Err(Rejection::Overloaded);
        }
        reserved.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        Ok(())
    }

    /// Returns a complete body. A large one stays counted until its last reference is dropped.
    pub(super) fn attach(self, whole: BytesMut) -> Bytes {
        match self.budget {
            Some((SizeClass::Large, _)) => Bytes::from_owner(Reserved { bytes: whole, _reservation: self }),
            _ => whole.freeze(),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some((_, reserved)) = &self.budget {
            reserved.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

struct Reserved<T> {
    bytes: T,
    _reservation: Reservation,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Reserved<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Returns a response body. If it is larger than `max_regular`, it stays counted until it is written to the client.
pub(super) fn reserve_response(mut body: String, max_regular: usize, capacity: usize) -> Result<Bytes, Rejection> {
    // Unused capacity would be held as well, without being counted.
    body.shrink_to_fit();
    if body.len() <= max_regular {
        return Ok(body.into());
    }
    let mut reservation = Reservation::default();
    reservation.reserve(SizeClass::Large, body.len(), capacity)?;
    Ok(Bytes::from_owner(Reserved { bytes: body, _reservation: reservation }))
}

#[cfg(test)]
pub(super) fn reserved() -> [usize; 2] {
    RESERVED.with(|reserved| [0, 1].map(|class: usize| reserved[class].load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLOADED: Result<(), Rejection> = Err(Rejection::Overloaded);

    #[test]
    fn a_reservation_beyond_the_capacity_is_refused() {
        let (mut one, mut other) = (Reservation::default(), Reservation::default());
        assert_eq!(one.reserve(SizeClass::Large, 6, 10), Ok(()));
        assert_eq!(one.reserve(SizeClass::Large, 7, 10), Ok(()), "six bytes are already reserved");
        assert_eq!(other.reserve(SizeClass::Large, 4, 10), OVERLOADED);
        assert_eq!(reserved(), [0, 7], "a refused reservation adds nothing");
        assert_eq!(other.reserve(SizeClass::Large, 3, 10), Ok(()));
        assert_eq!(one.reserve(SizeClass::Large, 8, 10), OVERLOADED);
        drop(one);
        assert_eq!(other.reserve(SizeClass::Large, 10, 10), Ok(()));
        drop(other);
        assert_eq!(reserved(), [0, 0]);
    }

    #[test]
    fn the_budgets_are_separate() {
        let (mut small, mut large) = (Reservation::default(), Reservation::default());
        assert_eq!(large.reserve(SizeClass::Large, 10, 10), Ok(()));
        assert_eq!(small.reserve(SizeClass::Regular, 9, 10), Ok(()));
        assert_eq!(reserved(), [9, 10]);
        assert_eq!(small.reserve(SizeClass::Large, 11, 10), OVERLOADED);
        assert_eq!(reserved(), [0, 10], "it left its budget before the other one refused it");
        drop(large);
        assert_eq!(small.reserve(SizeClass::Large, 10, 10), Ok(()));
        assert_eq!(reserved(), [0, 10]);
    }

    #[test]
    fn large_bodies_are_counted_until_the_last_reference_drops() {
        let mut reservation = Reservation::default();
        reservation.reserve(SizeClass::Large, 4, 10).unwrap();
        let body = reservation.attach(BytesMut::from(&b"body"[..]));
        let part = body.slice(1..2);
        drop(body);
        assert_eq!(reserved(), [0, 4]);
        // On any thread.
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(reserved(), [0, 0]);

        let response = reserve_response("an answer".to_owned(), 8, 10).unwrap();
        assert_eq!((&response[..], reserved()), (&b"an answer"[..], [0, 9]));
        assert_eq!(reserve_response("another".to_owned(), 6, 10), Err(Rejection::Overloaded));
        let small = reserve_response("small".to_owned(), 6, 10).unwrap();
        drop(response);
        assert_eq!((&small[..], reserved()), (&b"small"[..], [0, 0]));
    }
}
