//! The server over real TCP: HTTP/1.1 and HTTP/2, every limit and time-out, TLS, draining, and what it does when
//! connections or memory run short.

mod bounds;
mod drain;
mod hibernation;
mod protocol;
mod routing;
mod secure;
mod shares;
mod unread_responses;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use signet::config;
use signet::http::{Rejection, Request, Response, Routes};
use signet::rng::Rng;
use signet::server::{self, CompletedRequest, CutOffReason, Observer, RunningServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::support::client::client_builder;

/// Time limit of every step of a test.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A time-out that no test reaches.
const HOUR: Duration = Duration::from_secs(3600);

/// The context of the handlers: a gate that tests open, and the number of requests that wait for it.
#[derive(Clone)]
struct WorkerContext {
    worker: usize,
    gate: watch::Receiver<bool>,
    waiting: Arc<AtomicUsize>,
}

/// A server under test.
struct InProcessServer {
    running: Option<RunningServer>,
    address: SocketAddr,
    gate: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    log: Arc<Log>,
}

/// The events that the server reported to its observer.
#[derive(Default)]
struct Log {
    completed: std::sync::Mutex<Vec<(&'static str, StatusCode, Option<String>)>>,
    open: AtomicUsize,
    opened: AtomicUsize,
    hibernated: AtomicUsize,
    accept_failures: AtomicUsize,
    cut_off: std::sync::Mutex<Vec<CutOffReason>>,
    streams_timed_out: AtomicUsize,
    stalls: std::sync::Mutex<Vec<Duration>>,
    /// True if connections are exhausted, false if not: each change of it.
    exhausted: std::sync::Mutex<Vec<bool>>,
}

impl Observer for Log {
    fn request_completed(&self, request: &CompletedRequest<'_>) {
        let cause = request.response.cause().map(ToString::to_string);
        self.completed.lock().unwrap().push((request.metric_label, request.response.status(), cause));
    }
    fn connection_opened(&self, _: usize) {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.opened.fetch_add(1, Ordering::SeqCst);
    }
    fn connection_hibernated(&self, _: usize) {
        self.hibernated.fetch_add(1, Ordering::SeqCst);
    }
    fn connection_closed(&self, _: usize) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
    fn connection_cut_off(&self, _: usize, reason: CutOffReason) {
        self.cut_off.lock().unwrap().push(reason);
    }
    fn stream_timed_out(&self, _: usize) {
        self.streams_timed_out.fetch_add(1, Ordering::SeqCst);
    }
    fn worker_stalled(&self, _: usize, stall: Duration) {
        self.stalls.lock().unwrap().push(stall);
    }
    fn connections_exhausted(&self) {
        self.exhausted.lock().unwrap().push(true);
    }
    fn connections_available(&self) {
        self.exhausted.lock().unwrap().push(false);
    }
    fn accept_failed(&self, _: usize) {
        self.accept_failures.fetch_add(1, Ordering::SeqCst);
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
        header_timeout: TIMEOUT,
        body_timeout: TIMEOUT,
        request_timeout: TIMEOUT,
        write_timeout: TIMEOUT,
        idle_timeout: TIMEOUT,
        drain_timeout: TIMEOUT,
        trusted_proxies: Vec::new(),
        cors_origins: Vec::new(),
        tls: None,
    }
}

/// Renders a rejection as text that names the renderer and the rejection.
fn render(dialect: &'static str) -> impl Fn(&WorkerContext, Rejection) -> Response + Send + Sync + 'static {
    move |_, rejection| {
        let status = match &rejection {
            Rejection::NotFound => StatusCode::NOT_FOUND,
            Rejection::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Rejection::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Rejection::MalformedBody { .. } => StatusCode::BAD_REQUEST,
            Rejection::InvalidFields(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Rejection::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Rejection::Overloaded | Rejection::Timeout { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Rejection::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Response::text(status, format!("{dialect}: {rejection}")).with_cause(rejection)
    }
}

/// An error type as dialects have one.
struct HandlerError(Rejection);

impl From<Rejection> for HandlerError {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl signet::http::IntoResponse for HandlerError {
    fn into_response(self) -> Response {
        let render_error = render("handler");
        let (_, gate) = watch::channel(false);
        render_error(&WorkerContext { worker: 0, gate, waiting: Arc::default() }, self.0)
    }
}

fn routes(settings: &config::Server) -> Routes<WorkerContext> {
    let mut routes = Routes::new();
    routes.cors(&settings.cors_origins);
    routes
        .group("", render("root"))
        .get("/hello", "hello", async |_: WorkerContext, _| Response::json(StatusCode::OK, "hello"))
        .get("/worker", "worker", async |context: WorkerContext, _| {
            Response::text(StatusCode::OK, context.worker.to_string())
        })
        .get("/client", "client", async |_, request: Request| {
            Response::text(StatusCode::OK, request.client_ip().to_string())
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
            Ok::<_, HandlerError>(Response::text(StatusCode::OK, query.get("q").unwrap_or("none").to_owned()))
        })
        .post("/echo", "echo", async |_, mut request: Request| {
            let bytes = request.bytes().await?;
            Ok::<_, HandlerError>(Response::bytes(StatusCode::OK, http::HeaderValue::from_static("x/y"), bytes))
        })
        .post("/json", "json", async |_, mut request: Request| {
            let object: Vec<(String, u32)> =
                request.json::<std::collections::BTreeMap<_, _>>().await?.into_iter().collect();
            Ok::<_, HandlerError>(Response::json(StatusCode::OK, &object))
        })
        .post("/form", "form", async |_, mut request: Request| {
            let form = request.form().await?;
            Ok::<_, HandlerError>(Response::json(StatusCode::OK, &form.iter().collect::<Vec<_>>()))
        })
        .get("/gate", "gate", async |mut context: WorkerContext, _| {
            context.waiting.fetch_add(1, Ordering::SeqCst);
            let _ = context.gate.wait_for(|open| *open).await;
            Response::text(StatusCode::OK, "through")
        })
        .get("/large/{size}", "large", async |_, request: Request| {
            Response::text(StatusCode::OK, "x".repeat(request.param("size").parse().unwrap()))
        })
        .get("/stall/{millis}", "stall", async |_, request: Request| {
            std::thread::sleep(Duration::from_millis(request.param("millis").parse().unwrap()));
            Response::text(StatusCode::OK, "at last")
        })
        .get("/panic", "panic", async |_, request: Request| -> Response { panic!("{}", request.path()) });
    routes.group("/deep", render("deep")).get("", "deep", async |_, _| Response::text(StatusCode::OK, "deep")).get(
        "/panic",
        "deep.panic",
        |_, _| -> std::future::Ready<Response> { panic!("before the future is made") },
    );
    routes
}

fn serve(settings: config::Server) -> InProcessServer {
    let router = Arc::new(routes(&settings).build().unwrap());
    let (gate, gate_state) = watch::channel(false);
    let (waiting, log) = (Arc::<AtomicUsize>::default(), Arc::<Log>::default());
    let context = {
        let waiting = waiting.clone();
        move |worker| WorkerContext { worker, gate: gate_state.clone(), waiting: waiting.clone() }
    };
    let make = move |worker| std::future::ready(Ok::<_, Infallible>(context(worker)));
    let running = server::start(&settings, router, log.clone(), &Rng::system(), make).unwrap();
    InProcessServer { address: running.address(), running: Some(running), gate, waiting, log }
}

impl InProcessServer {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes over a new connection and reads until the server closes it.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_close(&mut stream).await
    }

    fn cut_off(&self) -> Vec<CutOffReason> {
        self.log.cut_off.lock().unwrap().clone()
    }

    fn open_connections(&self) -> usize {
        self.log.open.load(Ordering::SeqCst)
    }

    /// Drains the server; returns the number of connections that it cut off.
    async fn drain(mut self) -> usize {
        let running = self.running.take().unwrap();
        tokio::task::spawn_blocking(|| running.drain()).await.unwrap()
    }
}

async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await.expect("the server closes").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads one response with `Content-Length`.
async fn read_response(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Ok(text);
            }
        }
        let read = tokio::time::timeout(TIMEOUT, stream.read_buf(&mut bytes)).await.expect("a response arrives")?;
        if read == 0 {
            let kind =
                if bytes.is_empty() { std::io::ErrorKind::UnexpectedEof } else { std::io::ErrorKind::InvalidData };
            return Err(kind.into());
        }
    }
}

/// Waits until a condition holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < TIMEOUT, "{what}: not within {TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
