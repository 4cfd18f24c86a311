//! Whole requests without a network: bytes into hyper and bytes out, answered by the table of routes, and beside that by hyper alone. The
//! difference is what routing, header fields, JSON and the operation itself take.

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
use signet::http::{Bounds, Intake, Proxies, RequestIds};
use signet::rng::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::Bench;

const PATIENCE: Duration = Duration::from_secs(30);

/// `app` has seen `token`.
pub(super) fn requests(bench: &mut impl Bench, ctx: &Context, token: &str) {
    let keys = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned();
    let body = format!(r#"{{"token":"{token}"}}"#);
    let length = body.len();
    let verify = format!(
        "POST /verify HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    for (name, request) in [("request/jwks", keys), ("request/verify seen", verify)] {
        let mut signet = Line::to_signet(ctx);
        let answer = signet.ask(&request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let mut alone = Line::to_hyper(body.to_owned());
        bench.part(&format!("{name}, hyper alone"), &mut || drop(alone.ask(&request)));
        bench.part(name, &mut || drop(signet.ask(&request)));
    }
}

/// A connection, and what answers it.
struct Line {
    runtime: LocalRuntime,
    client: DuplexStream,
}

impl Line {
    fn to_signet(ctx: &Context) -> Self {
        let router = Rc::new(api::router(&ctx.node.config).unwrap());
        let bounds = Bounds { max_body: 65_536, max_held: 32 << 20, body_timeout: PATIENCE, request_timeout: PATIENCE };
        let intake = Intake::new(bounds, Proxies::default(), RequestIds::new(&Rng::system()));
        let (ctx, peer) = (ctx.clone(), SocketAddr::from(([127, 0, 0, 1], 1)));
        Self::to(move |request| {
            let request = intake.admit(request, peer);
            let (id, router, ctx) = (request.id().clone(), router.clone(), ctx.clone());
            let begun = router.begin(&ctx, request);
            async move { Response::from(router.finish(begun, &ctx, &id).await.response) }
        })
    }

    fn to_hyper(body: String) -> Self {
        let body = Bytes::from(body);
        Self::to(move |request: Request<Incoming>| {
            let body = body.clone();
            async move {
                request.into_body().collect().await.unwrap();
                let mut answer = Response::new(Full::new(body));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                answer
            }
        })
    }

    fn to<F>(answer: impl Fn(Request<Incoming>) -> F + 'static) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let (client, server) = duplex(64 * 1024);
        runtime.spawn_local(async move {
            let service = service_fn(move |request| {
                let answering = answer(request);
                async move { Ok::<_, std::convert::Infallible>(answering.await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(server), service).await;
        });
        Self { runtime, client }
    }

    fn ask(&mut self, request: &str) -> String {
        let Self { runtime, client } = self;
        runtime.block_on(async {
            client.write_all(request.as_bytes()).await.unwrap();
            // The server writes an answer of this size in one piece.
            let mut answer = Vec::with_capacity(4096);
            client.read_buf(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        })
    }
}
