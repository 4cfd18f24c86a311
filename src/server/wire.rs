//! A connection's byte stream, observed so that request heads and idle time can be timed.
//!
//! The clock is read a few times per request, and no timer is set for one: `timeouts` says why. Knows nothing of HTTP
//! but the preface that opens an HTTP/2 connection.

use std::cell::{Cell, OnceCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::unread_responses::{ResponseBody, STREAM_COST, UnreadResponse, UnreadResponses};

/// RFC 9113, 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Activity of a connection, when it began, and what the connection makes its worker hold. Small, because each of many
/// thousand idle connections has one: a larger one takes 112 bytes from the allocator instead of 96.
pub(super) struct ConnectionActivity {
    /// The number of its entry in the registry.
    entry: Cell<u32>,
    /// Set once the connection is known to speak HTTP/2.
    http2: OnceCell<Box<Http2Activity>>,
    /// Requests without a response yet.
    in_flight: Cell<u16>,
    /// When the head began to arrive; set only for a head that did not arrive in one piece.
    head_since: Cell<Option<Instant>>,
    /// When the last response was ready, or the connection was accepted.
    idle_since: Cell<Instant>,
    /// HTTP's last write was flushed, so HTTP has nothing left to send.
    flushed: Cell<bool>,
    /// The client has closed its direction.
    read_closed: Cell<bool>,
    /// Since when the client has taken none of the bytes that HTTP is writing.
    write_blocked_since: Cell<Option<Instant>>,
    /// Bytes of the request head that is arriving; 0 if none has begun. Stays 0 for HTTP/2: its bytes can be frames of
    /// any kind, so an HTTP/2 connection without a request counts as idle whatever it sends.
    head_bytes: Cell<u32>,
    /// Bytes of the requests in flight, without their bodies.
    in_flight_bytes: Cell<u32>,
    /// Bytes of an HTTP/1.1 response that are not flushed.
    unflushed_bytes: Cell<u32>,
    /// The number of bytes held that was last reported to the registry.
    reported_bytes: Cell<u32>,
}

/// Fields that only an HTTP/2 connection needs. Separate, because most connections use HTTP/1.1.
#[derive(Default)]
struct Http2Activity {
    unread: Arc<UnreadResponses>,
    /// When responses that HTTP/2 holds now are late.
    check_at: Cell<Option<Instant>>,
}

impl ConnectionActivity {
    /// For a connection accepted at `accepted`, which speaks HTTP/1.1 until its preface says otherwise.
    pub(super) fn new(accepted: Instant) -> Self {
        Self {
            entry: Cell::new(0),
            http2: OnceCell::new(),
            in_flight: Cell::new(0),
            head_since: Cell::new(Some(accepted)),
            idle_since: Cell::new(accepted),
            flushed: Cell::new(true),
            read_closed: Cell::new(false),
            write_blocked_since: Cell::new(None),
            head_bytes: Cell::new(0),
            in_flight_bytes: Cell::new(0),
            unflushed_bytes: Cell::new(0),
            reported_bytes: Cell::new(0),
        }
    }

    /// Records the version, once it is known.
    pub(super) fn set_version(&self, version: Version) {
        if version == Version::Http2 {
            self.head_since.set(None);
            self.http2.get_or_init(Box::default);
        }
    }

    fn is_http1(&self) -> bool {
        self.http2.get().is_none()
    }

    pub(super) fn set_entry(&self, entry: u32) {
        self.entry.set(entry);
    }

    pub(super) fn entry(&self) -> u32 {
        self.entry.get()
    }

    /// Records that a request head is complete. `head_size` is the size of an HTTP/2 head; the bytes of an HTTP/1.1
    /// head were counted when they arrived.
    pub(super) fn begin_request(self: &Rc<Self>, head_size: usize) -> InFlightRequest {
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_since.set(None);
        let arrived = self.head_bytes.take();
        let bytes = if self.is_http1() { arrived } else { (STREAM_COST + head_size) as u32 };
        self.in_flight_bytes.set(self.in_flight_bytes.get() + bytes);
        InFlightRequest { activity: self.clone(), bytes, ended: None }
    }

    fn record_bytes(&self, count: usize) {
        if self.is_http1() && !self.is_busy() {
            self.head_bytes.set(self.head_bytes.get().saturating_add(count as u32));
        }
    }

    fn record_flush(&self) {
        self.flushed.set(true);
        self.unflushed_bytes.set(0);
    }

    /// Records that the client took bytes, or that it took none.
    fn record_write(&self, is_blocked: bool) {
        if is_blocked != self.write_blocked_since.get().is_some() {
            self.write_blocked_since.set(is_blocked.then(Instant::now));
        }
    }

    /// The bytes that this connection makes its worker hold, if they are not what the last call returned.
    pub(super) fn changed_bytes(&self) -> Option<u32> {
        let unread = self.http2.get().map_or(0, |http2| http2.unread.bytes() as u32);
        let own = self.head_bytes.get() + self.in_flight_bytes.get() + self.unflushed_bytes.get();
        let bytes = own.saturating_add(unread);
        (self.reported_bytes.replace(bytes) != bytes).then_some(bytes)
    }

    /// When the connection is closed unless its client reads at least one byte of a pending response before.
    pub(super) fn write_deadline(&self, timeout: Duration) -> Option<Instant> {
        let blocked = self.write_blocked_since.get().map(|since| since + timeout);
        let Some(http2) = self.http2.get() else { return blocked };
        if !http2.unread.any_passed_on() {
            http2.check_at.set(None);
            return blocked;
        }
        let check_at = http2.check_at.get().unwrap_or_else(|| {
            http2.unread.begin_generation();
            Instant::now() + timeout
        });
        http2.check_at.set(Some(check_at));
        Some(blocked.map_or(check_at, |blocked| blocked.min(check_at)))
    }

    /// The client took nothing in time. Call this when the write deadline has passed.
    pub(super) fn write_is_late(&self, now: Instant, timeout: Duration) -> bool {
        if self.write_blocked_since.get().is_some_and(|since| since + timeout <= now) {
            return true;
        }
        let Some(http2) = self.http2.get().filter(|http2| http2.check_at.get().is_some_and(|at| at <= now)) else {
            return false;
        };
        http2.check_at.set(None);
        http2.unread.previous_generation_is_left()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// When the head that is arriving began. Call this after HTTP has read all available bytes, so that the clock is
    /// not read for the many heads that arrive whole.
    pub(super) fn head_since(&self) -> Option<Instant> {
        if self.head_bytes.get() > 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
        self.head_since.get()
    }

    /// HTTP's state can be dropped without loss and created again with the next byte.
    pub(super) fn can_hibernate(&self) -> bool {
        self.is_http1()
            && !self.is_busy()
            && self.head_bytes.get() == 0
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
    bytes: u32,
    ended: Option<Instant>,
}

impl InFlightRequest {
    /// The response is ready since `now`, which saves reading the clock again. Counts the stream, and the body if that
    /// is of the usual size: [`http`](crate::http) counts larger ones. A body that others hold as well is not counted,
    /// because dropping it would free nothing.
    pub(super) fn end(
        mut self,
        now: Instant,
        body: Bytes,
        max_body: usize,
    ) -> (ResponseBody, Option<Arc<UnreadResponse>>) {
        self.ended = Some(now);
        let counted = if body.len() <= max_body && body.is_unique() { body.len() } else { 0 };
        match self.activity.http2.get() {
            Some(http2) if !body.is_empty() => {
                let (body, response) = ResponseBody::tracked(body, counted, &http2.unread);
                (body, Some(response))
            }
            Some(_) => (ResponseBody::whole(body), None),
            None => {
                let unflushed = &self.activity.unflushed_bytes;
                unflushed.set(unflushed.get() + counted as u32);
                (ResponseBody::whole(body), None)
            }
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.activity.in_flight.set(self.activity.in_flight.get() - 1);
        self.activity.in_flight_bytes.set(self.activity.in_flight_bytes.get() - self.bytes);
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
    /// HTTP has written something.
    has_written: bool,
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
        Self { stream: Some(stream), read_ahead, activity, returned, has_written: false }
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
        match into.filled().len() - before {
            0 => wire.activity.read_closed.set(true),
            count => wire.activity.record_bytes(count),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.has_written = true;
        wire.activity.flushed.set(false);
        let written = wire.stream()?.poll_write(cx, bytes);
        wire.activity.record_write(written.is_pending());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let flushed = wire.stream()?.poll_flush(cx);
        // TLS may hold bytes that the socket does not take.
        wire.activity.record_write(flushed.is_pending());
        ready!(flushed)?;
        wire.activity.record_flush();
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
        let written = wire.stream()?.poll_write_vectored(cx, bytes);
        wire.activity.record_write(written.is_pending());
        written
    }

    /// False until an HTTP/2 connection has written something, because h2 asks at its start and then before each write.
    /// If the first answer is yes, it sends each DATA frame of at least 256 bytes in a write of its own. Otherwise it
    /// copies frames of less than 1024 bytes to its buffer, and one write sends the responses of all streams.
    fn is_write_vectored(&self) -> bool {
        let is_start = self.activity.http2.get().is_some() && !self.has_written;
        !is_start && self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
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
