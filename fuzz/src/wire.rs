//! Requests as they come in: bytes through hyper into a table of routes, in memory. What a request says of its body can
//! only be tried as a request.

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
use signet::http::{Bounds, Exchange, Intake, Proxies, RequestIds, Router};
use signet::rng::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PATIENCE: Duration = Duration::from_secs(5);
const BOUNDS: Bounds =
    Bounds { max_body: 64 * 1024, max_held: 32 << 20, body_timeout: PATIENCE, request_timeout: PATIENCE };

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    static INTAKE: Intake = Intake::new(BOUNDS, Proxies::default(), RequestIds::new(&Rng::system()));
}

/// A request as hyper understood it, and what was made of it.
pub(super) struct Asked {
    pub(super) method: http::Method,
    pub(super) path: String,
    pub(super) exchange: Exchange,
}

/// Sends bytes over a connection that ends with them, and gives each request that was found in them.
pub(super) fn ask(router: &Router<()>, bytes: &[u8]) -> Vec<Asked> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let service = {
        let asked = asked.clone();
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let request = INTAKE.with(|intake| intake.admit(request, ([127, 0, 0, 1], 1).into()));
            let (id, asked) = (request.id().clone(), asked.clone());
            let begun = router.begin(&(), request);
            async move {
                let exchange = router.finish(begun, &(), &id).await;
                asked.borrow_mut().push(Asked { method, path, exchange });
                Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new())))
            }
        })
    };
    // The bytes end before the answer is there, and what was asked is to be answered all the same.
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(Wire(bytes)), service);
    // What hyper says of bytes that are no request is hyper's affair.
    let _ = RUNTIME.with(|runtime| runtime.block_on(connection));
    asked.take()
}

/// One side's bytes; what the other says is not listened to.
struct Wire<'b>(&'b [u8]);

impl AsyncRead for Wire<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(into.remaining()));
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
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
