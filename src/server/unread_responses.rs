//! Responses over HTTP/2 that the client has not read, and the body that HTTP sends.
//!
//! A client decides by its flow-control windows when it takes a response, and can leave every window closed. So each
//! response is counted from its creation until HTTP/2 has written its last byte, or has copied it to the buffer of its
//! connection (16 KiB). Knows nothing of tasks or sockets.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Memory of an HTTP/2 stream besides its head and body: its task and the state of HTTP/2. Measured at 2.6 KB with 127
/// streams on each of 2,000 connections, rounded up.
pub(super) const STREAM_COST: usize = 4 * 1024;

/// A body over HTTP/2 is passed on in pieces of the default frame size (RFC 9113, 6.5.2). A piece is passed on when its
/// stream has any window at all, so HTTP/2 holds at most this much of a response beyond its window.
const PIECE: usize = 16 * 1024;

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

/// The body of a response.
pub(super) struct ResponseBody {
    bytes: Bytes,
    /// Set over HTTP/2.
    response: Option<Arc<UnreadResponse>>,
}

impl ResponseBody {
    /// For HTTP/1.1, which sends one response at a time.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { bytes, response: None }
    }

    /// For HTTP/2: counts `counted` bytes and the stream until the body is written.
    pub(super) fn tracked(
        body: Bytes,
        counted: usize,
        connection: &Arc<UnreadResponses>,
    ) -> (Self, Arc<UnreadResponse>) {
        let bytes = STREAM_COST + counted;
        connection.bytes.fetch_add(bytes, Ordering::Relaxed);
        let response = Arc::new(UnreadResponse {
            connection: connection.clone(),
            bytes,
            pieces: AtomicU32::new(0),
            generation: AtomicU32::new(NOT_PASSED_ON),
        });
        let bytes = Bytes::from_owner(Tracked { body, _response: response.clone() });
        (Self { bytes, response: Some(response.clone()) }, response)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match &self.response {
            None => std::mem::take(&mut self.bytes),
            Some(response) => {
                response.pieces.fetch_add(1, Ordering::Relaxed);
                let length = self.bytes.len().min(PIECE);
                self.bytes.split_to(length)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_piece(body: &mut ResponseBody) -> Option<Bytes> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(frame) => frame.map(|Ok(frame)| frame.into_data().unwrap_or_default()),
            Poll::Pending => panic!("a body that is whole never waits"),
        }
    }

    #[test]
    fn response_is_counted_until_its_last_piece_is_written() {
        let connection = Arc::new(UnreadResponses::default());
        let whole = Bytes::from(vec![7; PIECE + 1]);
        let (mut body, response) = ResponseBody::tracked(whole.clone(), whole.len(), &connection);
        assert_eq!(connection.bytes(), STREAM_COST + PIECE + 1);
        let pieces = [next_piece(&mut body).unwrap(), next_piece(&mut body).unwrap()];
        assert!(body.is_end_stream() && next_piece(&mut body).is_none());
        assert_eq!((pieces.concat(), response.pieces()), (whole.to_vec(), 2));
        drop((body, response));
        let [first, last] = pieces;
        drop(first);
        assert_eq!(connection.bytes(), STREAM_COST + PIECE + 1, "the last piece is not written");
        drop(last);
        assert_eq!(connection.bytes(), 0);
    }

    #[test]
    fn response_is_late_after_a_generation_without_a_write() {
        let connection = Arc::new(UnreadResponses::default());
        let (_body, first) = ResponseBody::tracked(Bytes::from_static(b"first"), 0, &connection);
        assert!(!connection.any_passed_on(), "its own task watches it");
        first.pass_on();
        assert!(connection.any_passed_on() && !connection.previous_generation_is_left());
        connection.begin_generation();
        assert!(connection.previous_generation_is_left());
        let (_other_body, second) = ResponseBody::tracked(Bytes::from_static(b"second"), 0, &connection);
        second.pass_on();
        drop((_body, first));
        assert!(connection.any_passed_on() && !connection.previous_generation_is_left());
        connection.begin_generation();
        assert!(connection.previous_generation_is_left());
        drop((_other_body, second));
        assert!(!connection.any_passed_on() && connection.bytes() == 0);
    }
}
