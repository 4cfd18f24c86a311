//! One connection's life: handshake, version, requests, and an end that loses nothing.
//!
//! **Time** is `pace`'s affair. **Room.** What HTTP needs to read and write, six kilobytes of the nine that it takes, a connection has only while it
//! is in use: one that rests is a socket and a task that waits for it, and is given new room with its next byte.
//!
//! **The end.** A socket closed while the client's bytes are unread is reset, and the reset can overtake the answer (RFC 9112,
//! 9.6). So what HTTP has done with is first closed in our direction, then read for a while until the client closes too. When
//! the server stops, an idle client has a moment to put one more question, which is answered with `Connection: close`:
//! one that sent it just then need not find the door shut.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Answered;
use super::socket::Socket;
use super::wire::{Beat, ConnectionActivity, Left, Version, Wire};
use super::worker::{Phase, Worker};
use crate::server::timeouts::{End, drive, rest};

/// For how long a client may put one more question when the server stops.
pub(super) const QUIET: Duration = Duration::from_millis(250);
/// For how long a connection that was closed is read.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// Heads larger than this are answered 431. hyper's bound of 100 fields stands beside it.
const MAX_HEAD: usize = 16 * 1024;

/// How hyper reads the two versions.
pub(super) struct Protocols {
    one: http1::Builder,
    two: http2::Builder<Local>,
}

impl Protocols {
    pub(super) fn new(max_body: usize) -> Self {
        let mut one = http1::Builder::new();
        // Heads and idle connections are timed here, not by a timer that hyper makes and drops with each request.
        one.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(4 * MAX_HEAD);
        let window = u32::try_from(max_body).unwrap_or(u32::MAX).clamp(0xffff, 0x10_0000);
        let mut two = http2::Builder::new(Local);
        two.max_header_list_size(MAX_HEAD as u32)
            // A client has at most this many handlers at work and bodies in memory over one connection.
            .max_concurrent_streams(128)
            .initial_stream_window_size(window)
            .initial_connection_window_size(window.saturating_mul(4))
            .max_send_buf_size(4 * MAX_HEAD)
            // Rapid reset (CVE-2023-44487): streams that the client opened and reset before they were even looked at, and
            // those that we reset for what was wrong with them (CVE-2025-8671). Beyond this the connection is closed.
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(64);
        Self { one, two }
    }
}

/// Runs what belongs to a connection on its own worker.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve<C: Clone + 'static>(worker: &Rc<Worker<C>>, stream: TcpStream, peer: SocketAddr) {
    let accepted = Instant::now();
    let stream = Socket::new(stream, &worker.passage);
    match &worker.tls {
        None => speak(worker, stream, peer, accepted).await,
        Some(tls) => {
            // Boxed, since it is several kilobytes that a plain connection has no use for; what follows, likewise.
            let handshake = Box::pin(tls.acceptor().accept(stream));
            let handshake = tokio::time::timeout(worker.header_timeout, handshake);
            let shaken = tokio::select! { shaken = handshake => shaken, () = quiet(worker) => return };
            if let Ok(Ok(stream)) = shaken {
                Box::pin(speak(worker, stream, peer, accepted)).await;
            }
        }
    }
}

async fn speak<C, S>(worker: &Rc<Worker<C>>, mut stream: S, peer: SocketAddr, accepted: Instant)
where
    C: Clone + 'static,
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let deadline = (accepted + worker.header_timeout).into();
    let sniffed = tokio::select! {
        biased;
        sniffed = tokio::time::timeout_at(deadline, Wire::sniff(&mut stream)) => sniffed,
        () = quiet(worker) => return linger(worker, stream).await,
    };
    let Ok(Ok((version, bytes))) = sniffed else { return };
    let pulse = Rc::new(ConnectionActivity::new(version, accepted));
    let left = Left::default();
    let mut wire = TokioIo::new(Wire::new(stream, bytes, pulse.clone(), left.clone()));
    let mut service = {
        let (worker, pulse) = (worker.clone(), pulse.clone());
        service_fn(move |request| answer(worker.clone(), request, peer, version, pulse.begin()))
    };
    let end = loop {
        if version == Version::Two {
            let mut connection = Box::pin(worker.protocols.two.serve_connection(wire, service));
            break drive(worker, &pulse, version, connection.as_mut()).await;
        }
        let mut connection = Box::new(worker.protocols.one.serve_connection(wire, service));
        match drive(worker, &pulse, version, Pin::new(&mut *connection)).await {
            End::Rests => worker.observer.rested(worker.index),
            end => break end,
        }
        let parts = connection.into_parts();
        (wire, service) = (parts.io, parts.service);
        wire.inner_mut().unread(parts.read_buf);
        rest(worker, &pulse, wire.inner_mut()).await;
    };
    if let (End::Done, Some(stream)) = (end, left.take()) {
        linger(worker, stream).await;
    }
}

/// From a request off the wire to the answer for it.
///
/// No `async fn`, so that the request is with its handler before the future is moved to where it waits.
fn answer<C: Clone + 'static>(
    worker: Rc<Worker<C>>,
    request: Request<Incoming>,
    peer: SocketAddr,
    version: Version,
    beat: Beat,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> {
    let started = Instant::now();
    let request = worker.intake.admit(request, peer);
    let (id, method, client) = (request.id().clone(), request.method().clone(), request.client());
    let begun = worker.router.begin(&worker.context, request);
    async move {
        let answering = pin!(worker.router.finish(begun, &worker.context, &id));
        // With a span each request allocates and is entered at every poll, so there is one only for those who look closely;
        // the observer is told the id of every failure without it.
        let exchange = if tracing::enabled!(tracing::Level::DEBUG) {
            let span = tracing::debug_span!("request", %id, %method);
            tracing::Instrument::instrument(answering, span).await
        } else {
            answering.await
        };
        let ended = Instant::now();
        worker.observer.answered(&Answered {
            worker: worker.index,
            route: exchange.route,
            name: worker.router.names()[exchange.route],
            method: &method,
            id: &id,
            client,
            response: &exchange.response,
            elapsed: ended - started,
        });
        let mut answer = Response::from(exchange.response);
        if version == Version::One && (exchange.last || worker.phase() != Phase::Serving) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        beat.end(ended);
        Ok(answer)
    }
}

/// Closes our direction, and reads until the client has closed its own.
async fn linger<C, S>(worker: &Rc<Worker<C>>, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        stream.shutdown().await?;
        let mut unread = vec![0; 8 * 1024];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = tokio::time::timeout(LINGER, closing) => {}
        () = cut(worker) => {}
    }
}

/// Comes back when a connection without a request should end for the server to stop.
async fn quiet<C>(worker: &Worker<C>) {
    loop {
        let changed = worker.phase_changed();
        match worker.phase() {
            Phase::Serving => changed.await,
            Phase::Draining(since) => return tokio::time::sleep_until((since + QUIET).into()).await,
            Phase::Cut => return,
        }
    }
}

/// Comes back when all is over.
async fn cut<C>(worker: &Worker<C>) {
    loop {
        let changed = worker.phase_changed();
        if worker.phase() == Phase::Cut {
            return;
        }
        changed.await;
    }
}
