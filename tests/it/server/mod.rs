//! The server over real TCP: both versions of HTTP, every bound and time-out, TLS, the drain.

mod bounds;
mod drain;
mod protocol;
mod rest;
mod routing;
mod secure;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use signet::config;
use signet::http::{Rejection, Request, Response, Routes};
use signet::rng::Rng;
use signet::server::{self, Answered, Observer, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// No step of a test takes longer unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the handlers are handed: a gate that tests open, and how many wait at it.
#[derive(Clone)]
struct TestServer {
    worker: usize,
    gate: watch::Receiver<bool>,
    waiting: Arc<AtomicUsize>,
}

/// A server under test.
struct Served {
    running: Option<Running>,
    address: SocketAddr,
    gate: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    log: Arc<Log>,
}

/// What the observer saw.
#[derive(Default)]
struct Log {
    answered: std::sync::Mutex<Vec<(&'static str, StatusCode, Option<String>)>>,
    open: AtomicUsize,
    opened: AtomicUsize,
    rested: AtomicUsize,
    not_accepted: AtomicUsize,
}

impl Observer for Log {
    fn answered(&self, answered: &Answered<'_>) {
        let cause = answered.response.cause().map(ToString::to_string);
        self.answered.lock().unwrap().push((answered.name, answered.response.status(), cause));
    }
    fn opened(&self, _: usize) {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.opened.fetch_add(1, Ordering::SeqCst);
    }
    fn rested(&self, _: usize) {
        self.rested.fetch_add(1, Ordering::SeqCst);
    }
    fn closed(&self, _: usize) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
    fn not_accepted(&self, _: usize) {
        self.not_accepted.fetch_add(1, Ordering::SeqCst);
    }
}

fn settings() -> config::Server {
    config::Server {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        management: None,
        workers: 2,
        public_url: "http://localhost".into(),
        max_connections: 1000,
        max_body: 64 * 1024,
        max_held: 4 << 20,
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        request_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        drain_timeout: PATIENCE,
        trusted_proxies: Vec::new(),
        cors_origins: Vec::new(),
        tls: None,
    }
}

/// Words rejections so that tests see which wording it was, and what.
fn wording(dialect: &'static str) -> impl Fn(&TestServer, Rejection) -> Response + Send + Sync + 'static {
    move |_, rejection| {
        let status = match &rejection {
            Rejection::NotFound => StatusCode::NOT_FOUND,
            Rejection::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Rejection::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Rejection::Unreadable { .. } => StatusCode::BAD_REQUEST,
            Rejection::Fields(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Rejection::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Rejection::Crowded | Rejection::Timeout { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Rejection::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Response::text(status, format!("{dialect}: {rejection}")).because(rejection)
    }
}

/// A failure as dialects have them.
struct Failure(Rejection);

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl signet::http::IntoResponse for Failure {
    fn into_response(self) -> Response {
        let word = wording("handler");
        let (_, gate) = watch::channel(false);
        word(&TestServer { worker: 0, gate, waiting: Arc::default() }, self.0)
    }
}

fn routes(settings: &config::Server) -> Routes<TestServer> {
    let mut routes = Routes::new();
    routes.cors(&settings.cors_origins);
    routes
        .group("", wording("root"))
        .get("/hello", "hello", async |_: TestServer, _| Response::json(StatusCode::OK, "hello"))
        .get("/worker", "worker", async |server: TestServer, _| {
            Response::text(StatusCode::OK, server.worker.to_string())
        })
        .get("/client", "client", async |_, request: Request| {
            Response::text(StatusCode::OK, request.client().to_string())
        })
        .get("/items/{id}", "item", async |_, request: Request| {
            Response::text(StatusCode::OK, request.param("id").to_owned())
        })
        .delete("/items/{id}", "item.delete", async |_, _| Response::empty(StatusCode::NO_CONTENT))
        .get("/bearer", "bearer", async |_, request: Request| {
            Response::text(StatusCode::OK, request.bearer().unwrap_or("none").to_owned())
        })
        .get("/query", "query", async |_, request: Request| {
            let query = request.query()?;
            Ok::<_, Failure>(Response::text(StatusCode::OK, query.get("q").unwrap_or("none").to_owned()))
        })
        .post("/echo", "echo", async |_, mut request: Request| {
            let bytes = request.bytes().await?;
            Ok::<_, Failure>(Response::bytes(StatusCode::OK, http::HeaderValue::from_static("x/y"), bytes))
        })
        .post("/json", "json", async |_, mut request: Request| {
            let read: Vec<(String, u32)> =
                request.json::<std::collections::BTreeMap<_, _>>().await?.into_iter().collect();
            Ok::<_, Failure>(Response::json(StatusCode::OK, &read))
        })
        .post("/form", "form", async |_, mut request: Request| {
            let form = request.form().await?;
            Ok::<_, Failure>(Response::json(StatusCode::OK, &form.iter().collect::<Vec<_>>()))
        })
        .get("/gate", "gate", async |mut server: TestServer, _| {
            server.waiting.fetch_add(1, Ordering::SeqCst);
            let _ = server.gate.wait_for(|open| *open).await;
            Response::text(StatusCode::OK, "through")
        })
        .get("/panic", "panic", async |_, request: Request| -> Response { panic!("{}", request.path()) });
    routes.group("/deep", wording("deep")).get("", "deep", async |_, _| Response::text(StatusCode::OK, "deep")).get(
        "/panic",
        "deep.panic",
        |_, _| -> std::future::Ready<Response> { panic!("before the future is made") },
    );
    routes
}

fn serve(settings: config::Server) -> Served {
    let router = Arc::new(routes(&settings).build().unwrap());
    let (gate, opened) = watch::channel(false);
    let (waiting, log) = (Arc::<AtomicUsize>::default(), Arc::<Log>::default());
    let server = {
        let waiting = waiting.clone();
        move |worker| TestServer { worker, gate: opened.clone(), waiting: waiting.clone() }
    };
    let make = move |worker| std::future::ready(Ok::<_, Infallible>(server(worker)));
    let running = server::start(&settings, router, log.clone(), &Rng::system(), make).unwrap();
    Served { address: running.address(), running: Some(running), gate, waiting, log }
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes over a new connection and reads until the server closes it.
    async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        to_the_end(&mut stream).await
    }

    fn open(&self) -> usize {
        self.log.open.load(Ordering::SeqCst)
    }

    /// Stops it, and tells how many connections it cut.
    async fn drain(mut self) -> usize {
        let running = self.running.take().unwrap();
        tokio::task::spawn_blocking(|| running.drain()).await.unwrap()
    }
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the server closes").unwrap();
    String::from_utf8(said).unwrap()
}

/// Reads one answer with `Content-Length`.
async fn one_answer(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut said = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Ok(text);
            }
        }
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut said)).await.expect("an answer comes")?;
        if read == 0 {
            let kind =
                if said.is_empty() { std::io::ErrorKind::UnexpectedEof } else { std::io::ErrorKind::InvalidData };
            return Err(kind.into());
        }
    }
}

/// Waits until it is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to pass that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
