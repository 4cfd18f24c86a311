//! A connection's bytes, watched: what a request's head and an idle connection are timed by.
//!
//! The clock is read a few times a request and no timer is set for one: see `connection`. Knows nothing of HTTP but the
//! preface by which HTTP/2 begins.

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
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// What a connection is doing, and since when.
pub(super) struct ConnectionActivity {
    version: Version,
    /// Requests whose answer is not ready.
    in_flight: Cell<usize>,
    /// A head has begun to arrive. HTTP/2 has frames of many kinds, so there bytes tell nothing, and a connection without a
    /// request is idle whatever it sends.
    head_begun: Cell<bool>,
    /// Since when; known only for a head that did not arrive in one piece.
    head_since: Cell<Option<Instant>>,
    /// When the last request was answered, or the connection made.
    idle_since: Cell<Instant>,
    /// All that HTTP had to say is on its way: the last thing it did was to see to that.
    flushed: Cell<bool>,
    /// The client will send nothing more.
    ended: Cell<bool>,
}

impl ConnectionActivity {
    /// A connection that was made at `accepted` and has by now told its version.
    pub(super) fn new(version: Version, accepted: Instant) -> Self {
        Self {
            version,
            in_flight: Cell::new(0),
            head_begun: Cell::new(false),
            head_since: Cell::new((version == Version::One).then_some(accepted)),
            idle_since: Cell::new(accepted),
            flushed: Cell::new(true),
            ended: Cell::new(false),
        }
    }

    /// A request's head is complete.
    pub(super) fn begin(self: &Rc<Self>) -> Beat {
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_begun.set(false);
        self.head_since.set(None);
        Beat { pulse: self.clone(), ended: None }
    }

    fn bytes_came(&self) {
        if self.version == Version::One && !self.busy() {
            self.head_begun.set(true);
        }
    }

    pub(super) fn busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Since when a head has been arriving. Asked when HTTP has read all there was, so that the clock is not read for the
    /// many heads that arrive whole.
    pub(super) fn head_since(&self) -> Option<Instant> {
        if self.head_begun.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
        self.head_since.get()
    }

    /// Whether nothing would be lost if HTTP forgot this connection and began anew with its next byte.
    pub(super) fn may_rest(&self) -> bool {
        self.version == Version::One
            && !self.busy()
            && !self.head_begun.get()
            && self.flushed.get()
            && !self.ended.get()
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }
}

/// One request in flight; dropped when its answer is ready, or nobody waits for it any more.
pub(super) struct Beat {
    pulse: Rc<ConnectionActivity>,
    ended: Option<Instant>,
}

impl Beat {
    /// The answer is ready, at a time that is known already.
    pub(super) fn end(mut self, now: Instant) {
        self.ended = Some(now);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.pulse.in_flight.set(self.pulse.in_flight.get() - 1);
        self.pulse.idle_since.set(self.ended.unwrap_or_else(Instant::now));
        self.pulse.flushed.set(false);
    }
}

/// What is left of a wire when HTTP has done with it.
pub(super) type Left<S> = Rc<Cell<Option<S>>>;

/// A connection's bytes.
pub(super) struct Wire<S> {
    stream: Option<S>,
    /// What was read to tell the version.
    sniffed: Bytes,
    pulse: Rc<ConnectionActivity>,
    left: Left<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads as far as it takes to tell the version.
    pub(super) async fn sniff(stream: &mut S) -> io::Result<(Version, Bytes)> {
        let mut read = BytesMut::new();
        loop {
            let known = read.len().min(PREFACE.len());
            if read[..known] != PREFACE[..known] {
                return Ok((Version::One, read.freeze()));
            }
            if known == PREFACE.len() {
                return Ok((Version::Two, read.freeze()));
            }
            let more = poll_fn(|cx| poll_some(stream, cx)).await?;
            if more.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.extend_from_slice(&more);
        }
    }

    pub(super) fn new(stream: S, sniffed: Bytes, pulse: Rc<ConnectionActivity>, left: Left<S>) -> Self {
        Self { stream: Some(stream), sniffed, pulse, left }
    }

    /// Gives back bytes that were read and are still to be understood.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let mut both = BytesMut::from(bytes);
            both.extend_from_slice(&self.sniffed);
            self.sniffed = both.freeze();
        }
    }

    /// Waits until there is something to be read, be it the end. Errors are there for HTTP to meet.
    pub(super) async fn wakes(&mut self) {
        if self.sniffed.is_empty()
            && let Some(stream) = &mut self.stream
            && let Ok(bytes) = poll_fn(|cx| poll_some(stream, cx)).await
        {
            self.sniffed = bytes;
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Reads what is there into room that is only borrowed for as long: who waits for bytes holds none. Nothing: the end.
fn poll_some<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    // A head with a token in it, and its body.
    let mut room = [0; 2048];
    let mut read = ReadBuf::new(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(read.filled())))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = into.filled().len();
        if wire.sniffed.has_remaining() {
            let length = wire.sniffed.len().min(into.remaining());
            into.put_slice(&wire.sniffed.split_to(length));
        } else {
            ready!(wire.stream()?.poll_read(cx, into))?;
        }
        if into.filled().len() == before {
            wire.pulse.ended.set(true);
        } else {
            wire.pulse.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.pulse.flushed.set(false);
        wire.stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.stream()?.poll_flush(cx))?;
        wire.pulse.flushed.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.pulse.flushed.set(false);
        wire.stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.pulse.flushed.set(false);
        wire.stream()?.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

impl<S> Drop for Wire<S> {
    /// A stream whose client may still be sending is handed back to be closed with care.
    fn drop(&mut self) {
        if !self.pulse.ended.get() {
            self.left.set(self.stream.take());
        }
    }
}
