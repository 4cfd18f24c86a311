//! Sends bytes through hyper into a router, in memory. Only a whole request tests the headers that describe its body.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use signet::config::Network;
use signet::http::{Exchange, RequestFactory, RequestIdGenerator, RequestLimits, Router, TrustedProxies};
use signet::rng::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const TIMEOUT: Duration = Duration::from_secs(5);
const LIMITS: RequestLimits =
    RequestLimits { max_body: 64 * 1024, max_held: 32 << 20, body_timeout: TIMEOUT, request_timeout: TIMEOUT };

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    static FACTORY: RequestFactory = RequestFactory::new(LIMITS, proxies(), RequestIdGenerator::new(&Rng::system()));
}

/// Trusts the peer, so that `X-Forwarded-For` is read.
fn proxies() -> TrustedProxies {
    TrustedProxies::new(vec![Network { address: [127, 0, 0, 0].into(), bits: 8 }])
}

/// A request as hyper parsed it, and its exchange.
pub(super) struct Sent {
    pub(super) method: http::Method,
    pub(super) path: String,
    pub(super) exchange: Exchange,
}

/// Sends bytes over a connection that ends after them; returns each request that was found in them.
pub(super) fn send(router: &Router<()>, bytes: &[u8]) -> Vec<Sent> {
    let exchanges = Rc::new(RefCell::new(Vec::new()));
    let service = {
        let exchanges = exchanges.clone();
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let request = FACTORY.with(|factory| factory.create(request, ([127, 0, 0, 1], 1).into()));
            let (id, exchanges) = (request.id().clone(), exchanges.clone());
            let started = router.begin(&(), request);
            async move {
                let exchange = router.finish(started, &(), &id).await;
                exchanges.borrow_mut().push(Sent { method, path, exchange });
                Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new())))
            }
        })
    };
    // The bytes end before the response, so the connection must stay half open.
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(Connection(bytes)), service);
    // Bytes that are not a request are hyper's concern.
    let _ = RUNTIME.with(|runtime| runtime.block_on(connection));
    exchanges.take()
}

/// A connection that delivers these bytes and discards the responses.
struct Connection<'b>(&'b [u8]);

impl AsyncRead for Connection<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (head, tail) = self.0.split_at(self.0.len().min(buffer.remaining()));
        buffer.put_slice(head);
        self.0 = tail;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
