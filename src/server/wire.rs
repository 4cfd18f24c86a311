//! A connection's byte stream, observed so that request heads and idle time can be timed.
//!
//! The clock is read a few times per request, and no timer is set for one: `timeouts` says why. Knows nothing of HTTP
//! but the preface that opens an HTTP/2 connection.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// RFC 9113, 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Activity of a connection, and when it began.
pub(super) struct ConnectionActivity {
    version: Version,
    /// Requests without a response yet.
    in_flight: Cell<usize>,
    /// A request head has begun to arrive. Stays false for HTTP/2: its bytes can be frames of any kind, so an HTTP/2
    /// connection without a request counts as idle whatever it sends.
    head_begun: Cell<bool>,
    /// When the head began to arrive; set only for a head that did not arrive in one piece.
    head_since: Cell<Option<Instant>>,
    /// When the last response was ready, or the connection was accepted.
    idle_since: Cell<Instant>,
    /// HTTP's last write was flushed, so HTTP has nothing left to send.
    flushed: Cell<bool>,
    /// The client has closed its direction.
    read_closed: Cell<bool>,
}

impl ConnectionActivity {
    /// For a connection accepted at `accepted` whose version is known.
    pub(super) fn new(version: Version, accepted: Instant) -> Self {
        Self {
            version,
            in_flight: Cell::new(0),
            head_begun: Cell::new(false),
            head_since: Cell::new((version == Version::Http1).then_some(accepted)),
            idle_since: Cell::new(accepted),
            flushed: Cell::new(true),
            read_closed: Cell::new(false),
        }
    }

    /// Records that a request head is complete.
    pub(super) fn begin_request(self: &Rc<Self>) -> InFlightRequest {
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_begun.set(false);
        self.head_since.set(None);
        InFlightRequest { activity: self.clone(), ended: None }
    }

    fn record_bytes(&self) {
        if self.version == Version::Http1 && !self.is_busy() {
            self.head_begun.set(true);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// When the head that is arriving began. Call this after HTTP has read all available bytes, so that the clock is
    /// not read for the many heads that arrive whole.
    pub(super) fn head_since(&self) -> Option<Instant> {
        if self.head_begun.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
        self.head_since.get()
    }

    /// HTTP's state can be dropped without loss and created again with the next byte.
    pub(super) fn can_hibernate(&self) -> bool {
        self.version == Version::Http1
            && !self.is_busy()
            && !self.head_begun.get()
            && self.flushed.get()
            && !self.read_closed.get()
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }
}

/// One request in flight; dropped when its response is ready, or when its stream is cancelled.
pub(super) struct InFlightRequest {
    activity: Rc<ConnectionActivity>,
    ended: Option<Instant>,
}

impl InFlightRequest {
    /// The response is ready since `now`, which saves reading the clock again.
    pub(super) fn end(mut self, now: Instant) {
        self.ended = Some(now);
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.activity.in_flight.set(self.activity.in_flight.get() - 1);
        self.activity.idle_since.set(self.ended.unwrap_or_else(Instant::now));
        self.activity.flushed.set(false);
    }
}

/// Receives the stream from a [`Wire`] that hyper drops.
pub(super) type ReturnedStream<S> = Rc<Cell<Option<S>>>;

/// A connection's byte stream.
pub(super) struct Wire<S> {
    stream: Option<S>,
    /// Bytes that were read before HTTP reads; HTTP gets them first.
    read_ahead: Bytes,
    activity: Rc<ConnectionActivity>,
    returned: ReturnedStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads until the HTTP version is known, and returns it with the bytes read.
    pub(super) async fn detect_version(stream: &mut S) -> io::Result<(Version, Bytes)> {
        let mut read = BytesMut::new();
        loop {
            let compared = read.len().min(HTTP2_PREFACE.len());
            if read[..compared] != HTTP2_PREFACE[..compared] {
                return Ok((Version::Http1, read.freeze()));
            }
            if compared == HTTP2_PREFACE.len() {
                return Ok((Version::Http2, read.freeze()));
            }
            let more = poll_fn(|cx| poll_available(stream, cx)).await?;
            if more.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.extend_from_slice(&more);
        }
    }

    pub(super) fn new(
        stream: S,
        read_ahead: Bytes,
        activity: Rc<ConnectionActivity>,
        returned: ReturnedStream<S>,
    ) -> Self {
        Self { stream: Some(stream), read_ahead, activity, returned }
    }

    /// Puts back bytes that HTTP read but did not parse.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let mut joined = BytesMut::from(bytes);
            joined.extend_from_slice(&self.read_ahead);
            self.read_ahead = joined.freeze();
        }
    }

    /// Resolves when there is something to read, including the end of the stream. An error is left for HTTP's next
    /// read.
    pub(super) async fn readable(&mut self) {
        if self.read_ahead.is_empty()
            && let Some(stream) = &mut self.stream
            && let Ok(bytes) = poll_fn(|cx| poll_available(stream, cx)).await
        {
            self.read_ahead = bytes;
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Reads the available bytes; an empty result is the end of the stream. The buffer is on the stack, so a connection
/// that waits holds none.
fn poll_available<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    // Large enough for a head with a token in it, and its body.
    let mut buffer = [0; 2048];
    let mut read = ReadBuf::new(&mut buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(read.filled())))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = into.filled().len();
        if wire.read_ahead.has_remaining() {
            let length = wire.read_ahead.len().min(into.remaining());
            into.put_slice(&wire.read_ahead.split_to(length));
        } else {
            ready!(wire.stream()?.poll_read(cx, into))?;
        }
        if into.filled().len() == before {
            wire.activity.read_closed.set(true);
        } else {
            wire.activity.record_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.activity.flushed.set(false);
        wire.stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.stream()?.poll_flush(cx))?;
        wire.activity.flushed.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.activity.flushed.set(false);
        wire.stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.activity.flushed.set(false);
        wire.stream()?.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

impl<S> Drop for Wire<S> {
    /// Returns a stream whose client may still be sending, so that `connection` can close it gracefully.
    fn drop(&mut self) {
        if !self.activity.read_closed.get() {
            self.returned.set(self.stream.take());
        }
    }
}
