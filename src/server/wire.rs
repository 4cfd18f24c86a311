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

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::{ConnectionActivity, Version};

/// RFC 9113, 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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
            0 => wire.activity.record_end(),
            count => wire.activity.record_bytes(count),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.has_written = true;
        wire.activity.record_pending_output();
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
        wire.activity.record_pending_output();
        wire.stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.activity.record_pending_output();
        let written = wire.stream()?.poll_write_vectored(cx, bytes);
        wire.activity.record_write(written.is_pending());
        written
    }

    /// Over HTTP/1.1 always false: hyper then copies the body behind the head and sends both at once. A list of both
    /// costs 600 instructions more for each response.
    ///
    /// False until an HTTP/2 connection has written something, because h2 asks at its start and then before each write.
    /// If the first answer is yes, it sends each DATA frame of at least 256 bytes in a write of its own. Otherwise it
    /// copies frames of less than 1024 bytes to its buffer, and one write sends the responses of all streams.
    fn is_write_vectored(&self) -> bool {
        !self.activity.is_http1() && self.has_written && self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

impl<S> Drop for Wire<S> {
    /// Returns a stream whose client may still be sending, so that `connection` can close it gracefully.
    fn drop(&mut self) {
        if !self.activity.is_read_closed() {
            self.returned.set(self.stream.take());
        }
    }
}
