//! hyper's settings for HTTP/1.1 and HTTP/2: limits on heads, streams, windows and resets. Knows nothing of sockets or
//! time.

use std::rc::Rc;

use hyper::server::conn::{http1, http2};

use super::tasks::{LocalExecutor, TaskContext};

/// Larger request heads are answered 431. hyper's limit of 100 header fields applies as well.
const MAX_HEAD: usize = 16 * 1024;

/// Streams of one connection that are open at the same time. Each costs a task, a request and a response that the
/// client may leave unread, so this bounds what one connection can make the server hold. Browsers open six requests at
/// a time to a service like this one; proxies open more connections once the streams of one are in use.
const MAX_STREAMS: u32 = 32;

/// A connection is closed after this many streams that the server reset because of errors of the client
/// (CVE-2025-8671). A stream beyond [`MAX_STREAMS`] is one of them. Clients open a hundred streams before they know
/// that limit (nghttp2, Go), which must not cost them the connection.
const MAX_ERROR_RESETS: usize = 128;

/// The connection builders of both versions.
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<LocalExecutor>,
}

impl Protocols {
    pub(super) fn new(max_body: usize, tasks: &Rc<TaskContext>) -> Self {
        let mut http1 = http1::Builder::new();
        // `timeouts` covers heads and idle connections; hyper would create and drop a timer for each request.
        http1.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(4 * MAX_HEAD);
        let window = u32::try_from(max_body).unwrap_or(u32::MAX).clamp(0xffff, 0x10_0000);
        let mut http2 = http2::Builder::new(LocalExecutor(tasks.clone()));
        http2
            .max_header_list_size(MAX_HEAD as u32)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(window)
            .initial_connection_window_size(window.saturating_mul(4))
            .max_send_buf_size(4 * MAX_HEAD)
            // Closes the connection after this many streams that the client opened and reset before they were accepted
            // (rapid reset, CVE-2023-44487).
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(MAX_ERROR_RESETS);
        Self { http1, http2 }
    }
}
