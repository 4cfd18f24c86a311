//! Memory budget of one worker for buffered bodies: requests that have arrived in part or are being handled, and large
//! responses that the client has not read yet.
//!
//! Each body is bounded, but a client opens as many requests as it likes. So bodies larger than the usual limit are
//! counted per worker, and smaller bodies have a separate budget of the same size: clients that send megabytes do not
//! block clients that send little. A body of up to 4 KiB that arrives whole with its head, which is nearly every
//! body, is not counted. Only bytes that have arrived count, never a declared length, or a client that sends nothing
//! could reserve the whole budget.
//!
//! A request's body counts until the response is ready. That covers what is parsed from it, which is at most a small
//! multiple of it: the parsers bound the number of fields and values.
//!
//! The server counts everything else that a connection makes it hold (request heads, streams, responses of the usual
//! size) in a third budget of the same size: [`connection_counter`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use super::rejection::Rejection;
use crate::telemetry::metrics::BufferedBytes;

/// Selects one of a worker's two budgets for bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SizeClass {
    /// At most `max_body` bytes.
    Regular,
    /// More than `max_body` bytes.
    Large,
}

/// The used bytes of a worker's budgets.
#[derive(Debug, Default)]
struct Counters {
    /// By [`SizeClass`].
    bodies: [AtomicUsize; 2],
    connections: Arc<AtomicUsize>,
}

/// The counters of every worker, for the metrics.
static WORKERS: Mutex<Vec<Weak<Counters>>> = Mutex::new(Vec::new());

thread_local! {
    /// The counters of this worker, which is a thread. Atomic because another thread may drop a body.
    static COUNTERS: Arc<Counters> = {
        let counters = Arc::<Counters>::default();
        let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(&counters));
        counters
    };
}

/// The bytes that this process buffers for its clients: adds up the counters of every worker.
pub fn buffered_bytes() -> BufferedBytes {
    let workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
    workers.iter().filter_map(Weak::upgrade).fold(BufferedBytes::default(), |sum, worker| BufferedBytes {
        bodies: sum.bodies + worker.bodies[SizeClass::Regular as usize].load(Ordering::Relaxed),
        large_bodies: sum.large_bodies + worker.bodies[SizeClass::Large as usize].load(Ordering::Relaxed),
        connections: sum.connections + worker.connections.load(Ordering::Relaxed),
    })
}

/// The counter of the bytes that the connections of this thread's worker hold.
pub fn connection_counter() -> Arc<AtomicUsize> {
    COUNTERS.with(|counters| counters.connections.clone())
}

/// Bytes reserved in a budget; released on drop.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    budget: Option<(SizeClass, Arc<Counters>)>,
    bytes: usize,
}

impl Reservation {
    /// Raises the reservation to `bytes` in total, in the budget of `class`, which has `capacity` bytes.
    pub(super) fn reserve(&mut self, class: SizeClass, bytes: usize, capacity: usize) -> Result<(), Rejection> {
        if self.budget.as_ref().is_none_or(|(current, _)| *current != class) {
            *self = Self { budget: Some((class, COUNTERS.with(Arc::clone))), bytes: 0 };
        }
        let Some((_, counters)) = &self.budget else { return Ok(()) };
        let reserved = &counters.bodies[class as usize];
        let more = bytes.saturating_sub(self.bytes);
        // Only this thread adds, so the check and the addition need not be one operation.
        if reserved.load(Ordering::Relaxed) + more > capacity {
            return Err(Rejection::Overloaded);
        }
        reserved.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some((class, counters)) = &self.budget {
            counters.bodies[*class as usize].fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

struct Reserved {
    bytes: Vec<u8>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns a response body of more than the usual size, counted until it is written to the client.
///
/// A body with other references, such as a document that is built once, is returned as it is: dropping it frees
/// nothing.
pub(super) fn reserve_response(body: Bytes, capacity: usize) -> Result<Bytes, Rejection> {
    if !body.is_unique() {
        return Ok(body);
    }
    let mut reservation = Reservation::default();
    reservation.reserve(SizeClass::Large, body.len(), capacity)?;
    // Unused capacity would be held as well, without being counted.
    let mut bytes = Vec::from(body);
    bytes.shrink_to_fit();
    Ok(Bytes::from_owner(Reserved { bytes, _reservation: reservation }))
}

#[cfg(test)]
pub(super) fn reserved() -> [usize; 2] {
    COUNTERS.with(|counters| counters.bodies.each_ref().map(|bytes| bytes.load(Ordering::Relaxed)))
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
    fn metrics_see_the_budgets_of_every_worker() {
        let mut reservation = Reservation::default();
        reservation.reserve(SizeClass::Regular, 3, 10).unwrap();
        connection_counter().store(5, Ordering::Relaxed);
        let elsewhere = std::thread::spawn(buffered_bytes).join().unwrap();
        // Other tests of this process may hold bytes too.
        assert!(elsewhere.bodies >= 3 && elsewhere.connections >= 5, "{elsewhere:?}");
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
    fn large_responses_are_counted_until_the_last_reference_drops() {
        let response = reserve_response(Bytes::from("an answer".to_owned()), 10).unwrap();
        assert_eq!((&response[..], reserved()), (&b"an answer"[..], [0, 9]));
        assert_eq!(reserve_response(Bytes::from("another".to_owned()), 10), Err(Rejection::Overloaded));
        let part = response.slice(1..2);
        drop(response);
        assert_eq!(reserved(), [0, 9]);
        // On any thread.
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(reserved(), [0, 0]);
        // Each of many clients that reads a document built once holds a reference to it and no copy.
        let document = Bytes::from("a document".to_owned());
        for body in [document.clone(), Bytes::from_static(b"a static document")] {
            assert_eq!(reserve_response(body.clone(), 5), Ok(body));
        }
        assert_eq!(reserved(), [0, 0]);
    }
}
