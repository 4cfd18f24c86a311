//! Complete requests without a network: bytes into hyper and bytes out, once with the router of Signet and once with
//! hyper alone. The difference is the cost of routing, header fields, JSON and the operation itself.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use signet::api;
use signet::auth::context::Context;
use signet::http::{RequestFactory, RequestIdGenerator, RequestLimits, TrustedProxies};
use signet::rng::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::bench::Bench;

const TIMEOUT: Duration = Duration::from_secs(30);

/// `token` must be in the cache of `ctx`.
pub(super) fn run(bench: &mut impl Bench, ctx: &Context, token: &str) {
    let keys = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned();
    let body = format!(r#"{{"token":"{token}"}}"#);
    let length = body.len();
    let verify = format!(
        "POST /verify HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    for (name, request) in [("request/jwks", keys), ("request/verify seen", verify)] {
        let mut signet = Connection::to_signet(ctx);
        let response = signet.send(&request);
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let mut hyper = Connection::to_hyper(body.to_owned());
        bench.part(&format!("{name}, hyper alone"), &mut || drop(hyper.send(&request)));
        bench.part(name, &mut || drop(signet.send(&request)));
    }
}

/// An in-memory connection, with its server on the same thread.
struct Connection {
    runtime: LocalRuntime,
    client: DuplexStream,
}

impl Connection {
    fn to_signet(ctx: &Context) -> Self {
        let router = Rc::new(api::router(&ctx.node.config).unwrap());
        let limits =
            RequestLimits { max_body: 65_536, max_held: 32 << 20, body_timeout: TIMEOUT, request_timeout: TIMEOUT };
        let factory = RequestFactory::new(limits, TrustedProxies::default(), RequestIdGenerator::new(&Rng::system()));
        let (ctx, peer) = (ctx.clone(), SocketAddr::from(([127, 0, 0, 1], 1)));
        Self::new(move |request| {
            let request = factory.create(request, peer);
            let (id, router, ctx) = (request.id().clone(), router.clone(), ctx.clone());
            let begun = router.begin(&ctx, request);
            async move { Response::<Bytes>::from(router.finish(begun, &ctx, &id).await.response).map(Full::new) }
        })
    }

    fn to_hyper(body: String) -> Self {
        let body = Bytes::from(body);
        Self::new(move |request: Request<Incoming>| {
            let body = body.clone();
            async move {
                request.into_body().collect().await.unwrap();
                let mut response = Response::new(Full::new(body));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
        })
    }

    fn new<F>(handler: impl Fn(Request<Incoming>) -> F + 'static) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let (client, server) = duplex(64 * 1024);
        runtime.spawn_local(async move {
            let service = service_fn(move |request| {
                let response = handler(request);
                async move { Ok::<_, std::convert::Infallible>(response.await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(server), service).await;
        });
        Self { runtime, client }
    }

    fn send(&mut self, request: &str) -> String {
        let Self { runtime, client } = self;
        runtime.block_on(async {
            client.write_all(request.as_bytes()).await.unwrap();
            // The server writes a response of this size in one piece.
            let mut response = Vec::with_capacity(4096);
            client.read_buf(&mut response).await.unwrap();
            String::from_utf8(response).unwrap()
        })
    }
}
