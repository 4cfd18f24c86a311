//! Activity of a connection: what it holds, when it was last busy, and what HTTP has still to send. Knows nothing of
//! sockets.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::unread_responses::{STREAM_COST, UnreadResponses};

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// HTTP/1.1's buffer has grown beyond its first 8 KiB if it holds more than this of a body behind a head.
const GROWN: u32 = 7 * 1024;

/// Activity of a connection, when it began, and what the connection makes its worker hold. Small, because each of many
/// thousand idle connections has one: a larger one takes 112 bytes from the allocator instead of 96.
pub(super) struct ConnectionActivity {
    /// The number of its entry in the registry.
    entry: Cell<u32>,
    /// Set once the connection is known to speak HTTP/2.
    http2: OnceCell<Box<Http2Activity>>,
    /// Requests without a response yet, of which there are at most as many as [streams](super::protocols).
    in_flight: Cell<u8>,
    /// When the head began to arrive; set only for a head that did not arrive in one piece.
    head_since: Cell<Option<Instant>>,
    /// When the last response was ready, or the connection was accepted.
    idle_since: Cell<Instant>,
    /// HTTP's last write was flushed, so HTTP has nothing left to send.
    flushed: Cell<bool>,
    /// HTTP/1.1 keeps a buffer that grew for a large response.
    buffer_has_grown: Cell<bool>,
    /// The client has closed its direction.
    read_closed: Cell<bool>,
    /// Since when the client has taken none of the bytes that HTTP is writing.
    write_blocked_since: Cell<Option<Instant>>,
    /// Bytes of the TLS handshake or the request head that is arriving; 0 if none has begun. Stays 0 for HTTP/2: its
    /// bytes can be frames of any kind, so an HTTP/2 connection without a request counts as idle whatever it sends.
    head_bytes: Cell<u32>,
    /// Bytes of the requests in flight, without their bodies, and of a large HTTP/1.1 response that HTTP is copying to
    /// its buffer.
    held_bytes: Cell<u32>,
    /// Bytes of an HTTP/1.1 response in HTTP's buffer.
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
            buffer_has_grown: Cell::new(false),
            read_closed: Cell::new(false),
            write_blocked_since: Cell::new(None),
            head_bytes: Cell::new(0),
            held_bytes: Cell::new(0),
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

    pub(super) fn is_http1(&self) -> bool {
        self.http2.get().is_none()
    }

    /// Records how many bytes of a TLS handshake have arrived; 0 once it is complete. A client can leave it unfinished
    /// as it can a request head, which begins only after it.
    pub(super) fn set_handshake_bytes(&self, bytes: u32) {
        self.head_bytes.set(bytes);
    }

    pub(super) fn set_entry(&self, entry: u32) {
        self.entry.set(entry);
    }

    pub(super) fn entry(&self) -> u32 {
        self.entry.get()
    }

    /// Records that a request head is complete. `head_size` is the size of an HTTP/2 head; the bytes of an HTTP/1.1
    /// head were counted when they arrived. Returns the bytes that the request holds until [`end_request`].
    ///
    /// [`end_request`]: Self::end_request
    pub(super) fn begin_request(&self, head_size: usize) -> u32 {
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_since.set(None);
        let arrived = self.head_bytes.take();
        let bytes = if self.is_http1() { arrived } else { (STREAM_COST + head_size) as u32 };
        self.hold(bytes);
        bytes
    }

    /// Records that a request has its response since `now`, or was cancelled.
    pub(super) fn end_request(&self, bytes: u32, now: Instant) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.release(bytes);
        self.idle_since.set(now);
        self.flushed.set(false);
    }

    /// Counts bytes until [`release`](Self::release).
    pub(super) fn hold(&self, bytes: u32) {
        self.held_bytes.set(self.held_bytes.get() + bytes);
    }

    pub(super) fn release(&self, bytes: u32) {
        self.held_bytes.set(self.held_bytes.get() - bytes);
    }

    /// Counts bytes in HTTP/1.1's buffer until it is flushed.
    pub(super) fn hold_until_flushed(&self, bytes: u32) {
        self.unflushed_bytes.set(self.unflushed_bytes.get() + bytes);
    }

    /// The responses of an HTTP/2 connection that the client has not read; `None` over HTTP/1.1.
    pub(super) fn unread_responses(&self) -> Option<&Arc<UnreadResponses>> {
        self.http2.get().map(|http2| &http2.unread)
    }

    pub(super) fn record_bytes(&self, count: usize) {
        if self.is_http1() && !self.is_busy() {
            self.head_bytes.set(self.head_bytes.get().saturating_add(count as u32));
        }
    }

    pub(super) fn record_flush(&self) {
        self.flushed.set(true);
        if self.unflushed_bytes.take() > GROWN {
            self.buffer_has_grown.set(true);
        }
    }

    /// Records that HTTP has something to send.
    pub(super) fn record_pending_output(&self) {
        self.flushed.set(false);
    }

    /// Records that the client has closed its direction.
    pub(super) fn record_end(&self) {
        self.read_closed.set(true);
    }

    pub(super) fn is_read_closed(&self) -> bool {
        self.read_closed.get()
    }

    /// Records that the client took bytes, or that it took none.
    pub(super) fn record_write(&self, is_blocked: bool) {
        if is_blocked != self.write_blocked_since.get().is_some() {
            self.write_blocked_since.set(is_blocked.then(Instant::now));
        }
    }

    /// The bytes that this connection makes its worker hold, if they are not what the last call returned.
    pub(super) fn changed_bytes(&self) -> Option<u32> {
        let unread = self.http2.get().map_or(0, |http2| http2.unread.bytes() as u32);
        let own = self.head_bytes.get() + self.held_bytes.get() + self.unflushed_bytes.get();
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
            && self.held_bytes.get() == 0
            && self.flushed.get()
            && !self.read_closed.get()
    }

    /// Returns true once if HTTP's buffer has grown and the connection can hibernate. Otherwise each connection that
    /// ever got a large response would keep a large buffer as long as small requests follow.
    pub(super) fn take_grown_buffer(&self) -> bool {
        self.buffer_has_grown.get() && self.can_hibernate() && self.buffer_has_grown.take()
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }
}
