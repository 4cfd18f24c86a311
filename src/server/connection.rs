//! Serves one connection: TLS handshake, choice of HTTP version, requests, and a close that loses no response.
//!
//! **Timeouts** are in `timeouts`. **Memory.** HTTP's read and write buffers are six of the nine kilobytes that a
//! connection needs. An idle connection releases them: it then consists of a socket and a task, and gets new buffers
//! with its next byte.
//!
//! **Closing.** Closing a socket while bytes from the client are unread resets the connection, and the reset can
//! overtake the response (RFC 9112, 9.6). So when HTTP has finished, the connection is first closed in our direction
//! and then read for a while, until the client closes too. When the server stops, an idle client has a moment to send
//! one more request, which is answered with `Connection: close`: a request that is already on its way is not lost.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, DATE};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::field::Empty;

use super::activity::{ConnectionActivity, Version};
use super::in_flight::InFlightRequest;
use super::observer::{CompletedRequest, CutOffReason};
use super::response_body::ResponseBody;
use super::socket::Socket;
use super::state::{ConnectionSlot, Phase, WorkerState};
use super::timeouts::{DriveOutcome, LINGER, aborted, drain_grace_over, drive, hibernate};
use super::wire::{ReturnedStream, Wire};
use crate::http::{Exchange, RequestId};

/// Serves one connection until it ends.
pub(super) async fn serve<C: Clone + 'static>(slot: &ConnectionSlot<C>, stream: TcpStream, peer: SocketAddr) {
    let (worker, activity) = (slot.worker(), slot.activity());
    let stream = Socket::new(stream, &worker.socket_buffer);
    match &worker.tls {
        None => serve_http(worker, stream, peer, activity).await,
        Some(tls) => {
            // Boxed because it is several kilobytes that a plain connection does not need; the same holds for the next
            // future.
            let mut handshake = Box::pin(tls.accept(stream));
            let measured = poll_fn(|cx| {
                let polled = worker.tasks.measure(|| handshake.as_mut().poll(cx));
                // There is no socket here once the handshake is complete.
                activity.set_handshake_bytes(handshake.get_ref().map_or(0, Socket::received));
                worker.count_held(activity);
                polled
            });
            let handshake = tokio::time::timeout(worker.header_timeout, measured);
            let result = tokio::select! { result = handshake => result, () = drain_grace_over(worker) => return };
            if let Ok(Ok(stream)) = result {
                Box::pin(serve_http(worker, stream, peer, activity)).await;
            }
        }
    }
}

async fn serve_http<C, S>(
    worker: &Rc<WorkerState<C>>,
    mut stream: S,
    peer: SocketAddr,
    activity: &Rc<ConnectionActivity>,
) where
    C: Clone + 'static,
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let deadline = (activity.idle_since() + worker.header_timeout).into();
    let detected = tokio::select! {
        biased;
        detected = tokio::time::timeout_at(deadline, Wire::detect_version(&mut stream)) => detected,
        () = drain_grace_over(worker) => return linger(worker, stream).await,
    };
    let Ok(Ok((version, bytes))) = detected else { return };
    activity.set_version(version);
    let returned = ReturnedStream::default();
    let mut wire = TokioIo::new(Wire::new(stream, bytes, activity.clone(), returned.clone()));
    let mut service = {
        let (worker, activity) = (worker.clone(), activity.clone());
        service_fn(move |request| {
            let head_size = if version == Version::Http2 { head_size(&request) } else { 0 };
            let in_flight = InFlightRequest::begin(activity.clone(), head_size);
            respond(worker.clone(), request, peer, version, in_flight)
        })
    };
    let outcome = loop {
        if version == Version::Http2 {
            let mut connection = Box::pin(worker.protocols.http2.serve_connection(wire, service));
            break drive(worker, activity, version, connection.as_mut()).await;
        }
        let mut connection = Box::new(worker.protocols.http1.serve_connection(wire, service));
        match drive(worker, activity, version, Pin::new(&mut *connection)).await {
            DriveOutcome::Hibernate => worker.observer.connection_hibernated(worker.index),
            outcome => break outcome,
        }
        let parts = connection.into_parts();
        (wire, service) = (parts.io, parts.service);
        wire.inner_mut().unread(parts.read_buf);
        hibernate(worker, activity, wire.inner_mut()).await;
    };
    if outcome == DriveOutcome::WriteTimedOut {
        worker.observer.connection_cut_off(worker.index, CutOffReason::WriteTimeout);
    }
    if let (DriveOutcome::Finished, Some(stream)) = (outcome, returned.take()) {
        linger(worker, stream).await;
    }
}

/// Routes a request and builds the response to it.
///
/// Not an `async fn`, so that the request is moved into its handler before the future is moved to the place where it is
/// polled.
fn respond<C: Clone + 'static>(
    worker: Rc<WorkerState<C>>,
    request: Request<Incoming>,
    peer: SocketAddr,
    version: Version,
    in_flight: InFlightRequest,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> {
    // The poll that completes a head begins with reading it.
    let started = worker.tasks.poll_began();
    let request = worker.request_factory.create(request, peer);
    let (id, method, client_ip) = (request.id().clone(), request.method().clone(), request.client_ip());
    let begun = worker.router.begin(&worker.context, request);
    async move {
        let exchange = pin!(worker.router.finish(begun, &worker.context, &id));
        // A span per request allocates and is entered at every poll, so there is one only at debug level or with traces.
        // The observer gets the id of every failed request without it.
        let exchange = if tracing::span_enabled!(tracing::Level::DEBUG) {
            Box::pin(in_span(exchange, &id, &method, worker.router.metric_labels())).await
        } else {
            exchange.await
        };
        let ended = Instant::now();
        // Over HTTP/2 the poll goes on with other streams.
        if version == Version::Http1 {
            worker.tasks.measured_until(ended);
        }
        worker.observer.request_completed(&CompletedRequest {
            worker: worker.index,
            route: exchange.route,
            metric_label: worker.router.metric_labels()[exchange.route],
            method: &method,
            id: &id,
            client_ip,
            response: &exchange.response,
            elapsed: ended - started,
        });
        let (mut head, body) = Response::<Bytes>::from(exchange.response).into_parts();
        if version == Version::Http1 && (exchange.last || worker.phase() != Phase::Serving) {
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if version == Version::Http2
            && let Some(date) = worker.date.at(ended)
        {
            head.headers.insert(DATE, date);
        }
        let (body, unread) = in_flight.end(ended, body, worker.max_body);
        if let Some(unread) = unread {
            worker.tasks.response_begins(unread);
        }
        Ok(Response::from_parts(head, body))
    }
}

/// Handles a request in a span of its own. The fields that begin with `otel` are for traces: the name of the span, and
/// whether it failed.
async fn in_span(
    exchange: impl Future<Output = Exchange>,
    id: &RequestId,
    method: &Method,
    labels: &[&'static str],
) -> Exchange {
    let span = tracing::debug_span!(
        "request",
        %id,
        %method,
        route = Empty,
        status = Empty,
        otel.kind = "server",
        otel.name = Empty,
        otel.status_code = Empty,
    );
    let exchange = tracing::Instrument::instrument(exchange, span.clone()).await;
    let (route, status) = (labels[exchange.route], exchange.response.status());
    span.record("route", route);
    span.record("status", status.as_u16());
    span.record("otel.name", format!("{method} {route}"));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    exchange
}

/// The memory of an HTTP/2 request head. Fields without text, of which a client sends hundreds in a few bytes each
/// (RFC 7541, 6.1), take several times the 32 bytes that HTTP/2 counts for each (RFC 9113, 6.5.2).
fn head_size<B>(request: &Request<B>) -> usize {
    // An entry of the map has 104 bytes, and a twelfth of that in the index.
    const FIELD: usize = 112;
    let headers = request.headers();
    let text = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    // The first value of a name is an entry of the map. Further ones are in a list, which grows by doubling.
    let fields = headers.capacity() + headers.len() - headers.keys_len();
    fields * FIELD + text + request.uri().path().len() + request.uri().query().map_or(0, str::len)
}

/// Closes our direction and reads until the client has closed its own.
async fn linger<C, S>(worker: &Rc<WorkerState<C>>, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        stream.shutdown().await?;
        let mut discarded = vec![0; 8 * 1024];
        while stream.read(&mut discarded).await? > 0 {}
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = tokio::time::timeout(LINGER, closing) => {}
        () = aborted(worker) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    #[test]
    fn fields_without_text_count_as_much_as_they_take() {
        let mut request = Request::new(());
        for number in 0..400 {
            let name = HeaderName::try_from(format!("x{number}")).unwrap();
            request.headers_mut().append(name, HeaderValue::from_static(""));
        }
        let least = size_of::<HeaderName>() + size_of::<HeaderValue>();
        assert!(head_size(&request) > request.headers().capacity() * least, "{}", head_size(&request));
    }
}
