//! The body of a response, as HTTP sends it: counted until the client takes it. Knows nothing of sockets or routes.
//!
//! Counted are bodies of the usual size; [`http`](crate::http) counts larger ones. A body that others hold as well is
//! not counted, because dropping it would free nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::ConnectionActivity;
use super::unread_responses::{UnreadResponse, UnreadResponses};

/// A body is passed on in pieces of HTTP/2's default frame size (RFC 9113, 6.5.2). There, a piece is passed on when its
/// stream has any window at all, so HTTP/2 holds at most this much of a response beyond its window. HTTP/1.1 copies
/// pieces to its buffer until that is full.
const PIECE: usize = 16 * 1024;

/// The largest buffer of HTTP/1.1 for a response: it takes one more [`PIECE`] until it holds
/// [32 KiB](super::protocols), and has doubled from 8 KiB.
const MAX_BUFFER: usize = 64 * 1024;

/// The body of a response.
#[derive(Default)]
pub(super) struct ResponseBody {
    bytes: Bytes,
    counted: Counted,
}

/// Where a body is counted, beside HTTP/1.1's buffer.
#[derive(Default)]
enum Counted {
    #[default]
    Nowhere,
    /// Boxed, because nearly no body has it and every body would carry its size.
    Http1 {
        _large: Box<LargeResponse>,
    },
    Http2(Arc<UnreadResponse>),
}

impl ResponseBody {
    /// For HTTP/1.1, which sends one response at a time. HTTP copies a small body whole and then drops it; it copies a
    /// larger one piece by piece.
    pub(super) fn over_http1(body: Bytes, max_body: usize, activity: &Rc<ConnectionActivity>) -> Self {
        if body.len() <= PIECE {
            activity.hold_until_flushed(body.len() as u32);
            return Self { bytes: body, counted: Counted::Nowhere };
        }
        let copied = body.len().min(MAX_BUFFER);
        let large = LargeResponse::new(own_bytes(&body, max_body), copied, activity);
        Self { bytes: body, counted: Counted::Http1 { _large: Box::new(large) } }
    }

    /// For HTTP/2, where the stream is counted too, and where both are counted until the body is written.
    pub(super) fn over_http2(
        body: Bytes,
        max_body: usize,
        connection: &Arc<UnreadResponses>,
    ) -> (Self, Arc<UnreadResponse>) {
        let counted = own_bytes(&body, max_body);
        let (bytes, response) = connection.track(body, counted);
        (Self { bytes, counted: Counted::Http2(response.clone()) }, response)
    }
}

/// The bytes of a body that are counted here.
fn own_bytes(body: &Bytes, max_body: usize) -> usize {
    if body.len() <= max_body && body.is_unique() { body.len() } else { 0 }
}

/// A response of more than a piece over HTTP/1.1, until HTTP has copied its last piece. From then on, what was copied
/// last is counted until it is flushed.
struct LargeResponse {
    activity: Rc<ConnectionActivity>,
    bytes: u32,
    copied: u32,
}

impl LargeResponse {
    fn new(own_bytes: usize, copied: usize, activity: &Rc<ConnectionActivity>) -> Self {
        let bytes = (own_bytes + copied) as u32;
        activity.hold(bytes);
        Self { activity: activity.clone(), bytes, copied: copied as u32 }
    }
}

impl Drop for LargeResponse {
    fn drop(&mut self) {
        self.activity.release(self.bytes);
        self.activity.hold_until_flushed(self.copied);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if let Counted::Http2(response) = &self.counted {
            response.pass_on_piece();
        }
        let is_last = self.bytes.len() <= PIECE;
        let piece = if is_last { std::mem::take(&mut self.bytes) } else { self.bytes.split_to(PIECE) };
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
    use crate::server::unread_responses::STREAM_COST;
    use std::time::Instant;

    fn next_piece(body: &mut ResponseBody) -> Option<Bytes> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(frame) => frame.map(|Ok(frame)| frame.into_data().unwrap_or_default()),
            Poll::Pending => panic!("a body that is whole never waits"),
        }
    }

    #[test]
    fn response_is_counted_until_its_last_piece_is_written() {
        let connection = Arc::new(UnreadResponses::default());
        let whole = vec![7; PIECE + 1];
        let (mut body, response) = ResponseBody::over_http2(whole.clone().into(), whole.len(), &connection);
        assert_eq!(connection.bytes(), STREAM_COST + PIECE + 1);
        let pieces = [next_piece(&mut body).unwrap(), next_piece(&mut body).unwrap()];
        assert!(body.is_end_stream() && next_piece(&mut body).is_none());
        assert_eq!((pieces.concat(), response.pieces()), (whole, 2));
        drop((body, response));
        let [first, last] = pieces;
        drop(first);
        assert_eq!(connection.bytes(), STREAM_COST + PIECE + 1, "the last piece is not written");
        drop(last);
        assert_eq!(connection.bytes(), 0);
    }

    /// What a connection over HTTP/1.1 holds of a body before HTTP copies it, when HTTP has copied it, and when its
    /// buffer is flushed.
    fn held_over_http1(body: Bytes, max_body: usize) -> [Option<u32>; 3] {
        let activity = Rc::new(ConnectionActivity::new(Instant::now()));
        let body = ResponseBody::over_http1(body, max_body, &activity);
        let before = activity.changed_bytes();
        drop(body);
        let copied = activity.changed_bytes();
        activity.record_flush();
        [before, copied, activity.changed_bytes()]
    }

    const LARGE: usize = 3 * MAX_BUFFER;

    #[test]
    fn small_body_is_counted_until_it_is_flushed() {
        assert_eq!(held_over_http1(vec![7; PIECE].into(), PIECE), [Some(PIECE as u32), None, Some(0)]);
    }

    #[test]
    fn large_body_is_counted_beside_its_copy() {
        let [whole, copied] = [LARGE + MAX_BUFFER, MAX_BUFFER].map(|bytes| Some(bytes as u32));
        assert_eq!(held_over_http1(vec![7; LARGE].into(), LARGE), [whole, copied, Some(0)]);
    }

    #[test]
    fn of_a_shared_body_only_the_copy_is_counted() {
        let shared = Bytes::from_static(&[7; LARGE]);
        assert_eq!(held_over_http1(shared, LARGE), [Some(MAX_BUFFER as u32), None, Some(0)]);
    }

    #[test]
    fn buffer_that_grew_is_released_once() {
        let activity = Rc::new(ConnectionActivity::new(Instant::now()));
        for (size, grows) in [(100, false), (LARGE, true), (100, false)] {
            drop(ResponseBody::over_http1(vec![7; size].into(), LARGE, &activity));
            activity.record_pending_output();
            assert!(!activity.take_grown_buffer(), "{size}: not sent");
            activity.record_flush();
            activity.record_flush();
            assert_eq!([activity.take_grown_buffer(), activity.take_grown_buffer()], [grows, false], "{size}");
        }
    }

    #[test]
    fn connection_with_a_body_to_send_does_not_hibernate() {
        let activity = Rc::new(ConnectionActivity::new(Instant::now()));
        let mut body = ResponseBody::over_http1(vec![7; LARGE].into(), LARGE, &activity);
        assert!(next_piece(&mut body).is_some());
        activity.record_flush();
        assert!(!activity.can_hibernate());
        drop(body);
        activity.record_flush();
        assert!(activity.can_hibernate());
    }
}
