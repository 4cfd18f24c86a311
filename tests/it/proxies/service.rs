//! The service behind a proxy: it responds with the request that it received.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// A running service. It ends with the test's runtime.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Service {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counter = counter.clone();
                let respond = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    echo(request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), respond),
                );
            }
        });
        Self { address, requests }
    }

    /// The number of requests that reached the service.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn echo(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push(Value::from(String::from_utf8_lossy(value.as_bytes())));
    }
    let received = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Ok(http::Response::new(Full::from(received.to_string())))
}
