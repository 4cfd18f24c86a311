//! Responses over HTTP/2 that the client has not read.
//!
//! A client decides by its flow-control windows when it takes a response, and can leave every window closed. So each
//! response is counted from its creation until HTTP/2 has written its last byte, or has copied it to the buffer of its
//! connection (16 KiB). Knows nothing of tasks or sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;

/// Memory of an HTTP/2 stream besides its head and body: its task and the state of HTTP/2. Measured at 2.6 KB with 127
/// streams on each of 2,000 connections, rounded up.
pub(super) const STREAM_COST: usize = 4 * 1024;

/// The value of [`UnreadResponse::generation`] before the response is passed on whole.
const NOT_PASSED_ON: u32 = u32::MAX;

/// The responses of one connection that its client has not read.
///
/// Atomic because [`Bytes`] requires an owner that may be dropped on any thread.
#[derive(Debug, Default)]
pub(super) struct UnreadResponses {
    bytes: AtomicUsize,
    generation: AtomicU32,
    /// Responses that were passed on whole to HTTP/2 and are not written: of even and of odd generations.
    passed_on: [AtomicUsize; 2],
}

impl UnreadResponses {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts `counted` bytes of a body, and its stream, until the last part of what it returns is dropped.
    pub(super) fn track(self: &Arc<Self>, body: Bytes, counted: usize) -> (Bytes, Arc<UnreadResponse>) {
        let bytes = STREAM_COST + counted;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let response = Arc::new(UnreadResponse {
            connection: self.clone(),
            bytes,
            pieces: AtomicU32::new(0),
            generation: AtomicU32::new(NOT_PASSED_ON),
        });
        (Bytes::from_owner(Tracked { body, _response: response.clone() }), response)
    }

    /// Some response was passed on whole and is not written.
    pub(super) fn any_passed_on(&self) -> bool {
        self.passed_on.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Begins a generation: responses passed on before belong to the previous one. Call it only if no response is left
    /// of the generation before.
    pub(super) fn begin_generation(&self) {
        let next = self.generation.load(Ordering::Relaxed).wrapping_add(1);
        self.generation.store(if next == NOT_PASSED_ON { 0 } else { next }, Ordering::Relaxed);
    }

    /// A response of the previous generation is not written.
    pub(super) fn previous_generation_is_left(&self) -> bool {
        let current = self.generation.load(Ordering::Relaxed);
        self.passed_on[(current as usize + 1) % 2].load(Ordering::Relaxed) > 0
    }
}

/// One response that the client has not read; counted until it is dropped.
#[derive(Debug)]
pub(super) struct UnreadResponse {
    connection: Arc<UnreadResponses>,
    bytes: usize,
    /// Number of pieces passed on to HTTP/2.
    pieces: AtomicU32,
    /// The generation in which the whole response was passed on.
    generation: AtomicU32,
}

impl UnreadResponse {
    /// Records that a piece was passed on to HTTP/2.
    pub(super) fn pass_on_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of pieces passed on so far, to see whether the client takes any.
    pub(super) fn pieces(&self) -> u32 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Records that the whole response was passed on to HTTP/2, whose task ends.
    pub(super) fn pass_on(&self) {
        let generation = self.connection.generation.load(Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
        self.connection.passed_on[generation as usize % 2].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for UnreadResponse {
    fn drop(&mut self) {
        self.connection.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        let generation = *self.generation.get_mut();
        if generation != NOT_PASSED_ON {
            self.connection.passed_on[generation as usize % 2].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The owner of a body's bytes, dropped with the last piece.
struct Tracked {
    body: Bytes,
    _response: Arc<UnreadResponse>,
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_late_after_a_generation_without_a_write() {
        let connection = Arc::new(UnreadResponses::default());
        let (_body, first) = connection.track(Bytes::from_static(b"first"), 0);
        assert!(!connection.any_passed_on(), "its own task watches it");
        first.pass_on();
        assert!(connection.any_passed_on() && !connection.previous_generation_is_left());
        connection.begin_generation();
        assert!(connection.previous_generation_is_left());
        let (_other_body, second) = connection.track(Bytes::from_static(b"second"), 0);
        second.pass_on();
        drop((_body, first));
        assert!(connection.any_passed_on() && !connection.previous_generation_is_left());
        connection.begin_generation();
        assert!(connection.previous_generation_is_left());
        drop((_other_body, second));
        assert!(!connection.any_passed_on() && connection.bytes() == 0);
    }
}
