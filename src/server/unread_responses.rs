//! Responses over HTTP/2 that the client has not read, and the body that HTTP sends.
//!
//! A client decides by its flow-control windows when it takes a response, and can leave every window closed. So each
//! response is counted from its creation until HTTP/2 has written its last byte, or has copied it to the buffer of its
//! connection (16 KiB). Knows nothing of tasks or sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
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
#[derive(Debug, Default)]
pub(super) struct UnreadResponses {
    bytes: Cell<usize>,
    generation: Cell<u32>,
    /// Responses that were passed on whole to HTTP/2 and are not written: of even and of odd generations.
    passed_on: [Cell<usize>; 2],
}

impl UnreadResponses {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Some response was passed on whole and is not written.
    pub(super) fn any_passed_on(&self) -> bool {
        self.passed_on.iter().any(|count| count.get() > 0)
    }

    /// Begins a generation: responses passed on before belong to the previous one, of which none may be left.
    pub(super) fn begin_generation(&self) {
        let next = self.generation.get().wrapping_add(1);
        self.generation.set(if next == NOT_PASSED_ON { 0 } else { next });
    }

    /// A response of the previous generation is not written.
    pub(super) fn previous_generation_is_left(&self) -> bool {
        self.passed_on_in(self.generation.get().wrapping_add(1)).get() > 0
    }

    fn passed_on_in(&self, generation: u32) -> &Cell<usize> {
        &self.passed_on[generation as usize % 2]
    }
}

/// One response that the client has not read; counted until it is dropped.
#[derive(Debug)]
pub(super) struct UnreadResponse {
    connection: Rc<UnreadResponses>,
    bytes: usize,
    /// Number of pieces passed on to HTTP/2.
    pieces: Cell<u32>,
    /// The generation in which the whole response was passed on.
    generation: Cell<u32>,
}

impl UnreadResponse {
    /// Number of pieces passed on so far, to see whether the client takes any.
    pub(super) fn pieces(&self) -> u32 {
        self.pieces.get()
    }

    /// Records that the whole response was passed on to HTTP/2, whose task ends.
    pub(super) fn pass_on(&self) {
        let generation = self.connection.generation.get();
        self.generation.set(generation);
        let passed_on = self.connection.passed_on_in(generation);
        passed_on.set(passed_on.get() + 1);
    }
}

impl Drop for UnreadResponse {
    fn drop(&mut self) {
        self.connection.bytes.set(self.connection.bytes.get() - self.bytes);
        let generation = self.generation.get();
        if generation != NOT_PASSED_ON {
            let passed_on = self.connection.passed_on_in(generation);
            passed_on.set(passed_on.get() - 1);
        }
    }
}

/// A piece of a body. The response is counted until its last piece is dropped.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    _response: Option<Rc<UnreadResponse>>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// The body of a response.
pub(super) struct ResponseBody {
    bytes: Bytes,
    /// Set over HTTP/2, until the last piece is passed on.
    response: Option<Rc<UnreadResponse>>,
}

impl ResponseBody {
    /// For HTTP/1.1, which sends one response at a time.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { bytes, response: None }
    }

    /// For HTTP/2: counts `counted` bytes and the stream until the body is written.
    pub(super) fn tracked(body: Bytes, counted: usize, connection: &Rc<UnreadResponses>) -> (Self, Rc<UnreadResponse>) {
        let bytes = STREAM_COST + counted;
        connection.bytes.set(connection.bytes.get() + bytes);
        let response = Rc::new(UnreadResponse {
            connection: connection.clone(),
            bytes,
            pieces: Cell::new(0),
            generation: Cell::new(NOT_PASSED_ON),
        });
        (Self { bytes: body, response: Some(response.clone()) }, response)
    }
}

impl Body for ResponseBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(response) = &self.response {
            response.pieces.set(response.pieces.get() + 1);
        }
        let piece = if self.response.is_some() && self.bytes.len() > PIECE {
            Piece { bytes: self.bytes.split_to(PIECE), _response: self.response.clone() }
        } else {
            Piece { bytes: std::mem::take(&mut self.bytes), _response: self.response.take() }
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

    fn next_piece(body: &mut ResponseBody) -> Option<Piece> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(frame) => frame.map(|Ok(frame)| frame.into_data().unwrap()),
            Poll::Pending => panic!("a body that is whole never waits"),
        }
    }

    #[test]
    fn response_is_counted_until_its_last_piece_is_written() {
        let connection = Rc::new(UnreadResponses::default());
        let whole = Bytes::from(vec![7; PIECE + 1]);
        let (mut body, response) = ResponseBody::tracked(whole.clone(), whole.len(), &connection);
        assert_eq!(connection.bytes(), STREAM_COST + PIECE + 1);
        let pieces = [next_piece(&mut body).unwrap(), next_piece(&mut body).unwrap()];
        assert!(body.is_end_stream() && next_piece(&mut body).is_none());
        assert_eq!((pieces.each_ref().map(Piece::chunk).concat(), response.pieces()), (whole.to_vec(), 2));
        drop((body, response));
        let [first, last] = pieces;
        drop(first);
        assert_eq!(connection.bytes(), STREAM_COST + PIECE + 1, "the last piece is not written");
        drop(last);
        assert_eq!(connection.bytes(), 0);
    }

    #[test]
    fn response_is_late_after_a_generation_without_a_write() {
        let connection = Rc::new(UnreadResponses::default());
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
