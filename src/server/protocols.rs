//! hyper's settings for HTTP/1.1 and HTTP/2: limits on heads, streams, windows and resets. Knows nothing of sockets or
//! time.

use std::rc::Rc;

use hyper::server::conn::{http1, http2};

use super::tasks::{LocalExecutor, TaskContext};

/// Larger request heads are answered 431: the longest credential has 8 KiB, and as much is left for everything else.
/// hyper's limit of 100 header fields applies as well.
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
        http1.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(2 * MAX_HEAD);
        let window = u32::try_from(max_body).unwrap_or(u32::MAX).clamp(0xffff, 0x10_0000);
        let mut http2 = http2::Builder::new(LocalExecutor(tasks.clone()));
        http2
            .max_header_list_size(MAX_HEAD as u32)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(window)
            .initial_connection_window_size(window.saturating_mul(4))
            .max_send_buf_size(4 * MAX_HEAD)
            // `date` adds it.
            .auto_date_header(false)
            // Closes the connection after this many streams that the client opened and reset before they were accepted
            // (rapid reset, CVE-2023-44487).
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(MAX_ERROR_RESETS);
        Self { http1, http2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::activity::{ConnectionActivity, Version};
    use crate::server::observer::Observer;
    use crate::server::response_body::ResponseBody;
    use crate::server::wire::Wire;
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::rt::TokioIo;
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    struct Silent;
    impl Observer for Silent {}

    /// A client whose requests have arrived and that sends no more. Records each write of the server.
    struct Recorder {
        requests: Bytes,
        writes: Rc<RefCell<Vec<usize>>>,
    }

    impl AsyncRead for Recorder {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            if self.requests.is_empty() {
                return Poll::Pending;
            }
            let length = self.requests.len().min(into.remaining());
            into.put_slice(&self.requests.split_to(length));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Recorder {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
            self.writes.borrow_mut().push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            pieces: &[std::io::IoSlice<'_>],
        ) -> Poll<std::io::Result<usize>> {
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
            self.poll_write(cx, &bytes)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The sizes of the writes that answer one request over HTTP/1.1 with a body of this size.
    fn writes_over_http1(body: usize) -> Vec<usize> {
        let tasks = Rc::new(TaskContext::new(0, Arc::new(Silent), Duration::from_secs(5)));
        let activity = Rc::new(ConnectionActivity::new(Instant::now()));
        let recorder =
            Recorder { requests: Bytes::from_static(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"), writes: Rc::default() };
        let writes = recorder.writes.clone();
        let wire = TokioIo::new(Wire::new(recorder, Bytes::new(), activity.clone(), Rc::default()));
        let service = hyper::service::service_fn(move |_: http::Request<hyper::body::Incoming>| {
            let body = ResponseBody::over_http1(vec![b'x'; body].into(), body, &activity);
            async move { Ok::<_, Infallible>(http::Response::new(body)) }
        });
        let mut connection = Box::pin(Protocols::new(1024, &tasks).http1.serve_connection(wire, service));
        assert!(connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        writes.take()
    }

    #[test]
    fn small_response_over_http1_is_one_write() {
        let small = writes_over_http1(900);
        assert!(small.len() == 1 && small[0] > 900, "{small:?}");
    }

    #[test]
    fn large_response_over_http1_is_copied_in_parts() {
        const BODY: usize = 1 << 20;
        let writes = writes_over_http1(BODY);
        assert!(writes.iter().sum::<usize>() > BODY);
        assert!(writes.iter().all(|size| *size <= 48 * 1024), "{writes:?}");
    }

    /// The sizes of the writes, after the settings, that answer four requests with bodies of this size.
    fn writes(body: usize) -> Vec<usize> {
        // The preface, empty settings, and `GET /` by HPACK's static table.
        let mut requests = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for stream in [1, 3, 5, 7] {
            requests.extend_from_slice(&[0, 0, 3, 1, 5, 0, 0, 0, stream, 0x82, 0x86, 0x84]);
        }
        let tasks = Rc::new(TaskContext::new(0, Arc::new(Silent), Duration::from_secs(5)));
        let activity = Rc::new(ConnectionActivity::new(Instant::now()));
        activity.set_version(Version::Http2);
        let recorder = Recorder { requests: requests.into(), writes: Rc::default() };
        let writes = recorder.writes.clone();
        let wire = TokioIo::new(Wire::new(recorder, Bytes::new(), activity, Rc::default()));
        let service = hyper::service::service_fn(move |_: http::Request<hyper::body::Incoming>| async move {
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(vec![b'x'; body]))))
        });
        let mut connection = Box::pin(Protocols::new(1024, &tasks).http2.serve_connection(wire, service));
        let mut poll = || connection.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        writes.borrow_mut().clear();
        assert!(tasks.run_streams() && poll().is_pending());
        writes.take()
    }

    #[test]
    fn small_responses_of_many_streams_are_one_write() {
        let small = writes(900);
        assert!(small.len() == 1 && small[0] > 4 * 900, "{small:?}");
    }

    #[test]
    fn head_and_body_of_a_large_response_are_one_write() {
        let large = writes(4000);
        assert!(large.len() == 4 && large.iter().all(|size| *size > 4000), "{large:?}");
    }
}
