//! Large numbers of slow, idle or waiting connections. This module does not check their effect on other clients.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The descriptors of the test itself, beside its connections.
const OWN_FILES: u64 = 512;

/// The number of concurrent connection attempts.
const CONCURRENCY: usize = 64;

/// Raises this process's limit of open files for so many connections.
///
/// # Panics
/// If the hard limit is too low.
pub(super) fn raise_open_file_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = (connections as u64 + OWN_FILES).max(limit.current.unwrap_or(u64::MAX));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum });
    raised.unwrap_or_else(|_| panic!("{needed} files must be allowed to be open: raise `ulimit -Hn`"));
}

/// How a slow client keeps the server waiting.
#[derive(Clone, Copy, Debug)]
pub(super) enum SlowClient {
    /// Sends nothing.
    Silent,
    /// Stops in the middle of its head.
    StoppingHead,
    /// Sends an endless head, one byte at a time.
    DrippingHead,
    /// Sends a body of known length, one byte at a time.
    DrippingBody,
    /// Sends a chunked body, one byte at a time.
    DrippingChunks,
}

impl SlowClient {
    fn head(self) -> &'static str {
        match self {
            Self::Silent => "",
            Self::StoppingHead => "POST /verify HTTP/1.1\r\nhost: a",
            Self::DrippingHead => "POST /verify HTTP/1.1\r\nhost: a\r\nx: ",
            Self::DrippingBody => {
                "POST /verify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
            }
            Self::DrippingChunks => {
                "POST /verify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            }
        }
    }

    fn drip(self) -> &'static [u8] {
        match self {
            Self::Silent | Self::StoppingHead => b"",
            Self::DrippingHead | Self::DrippingBody => b"x",
            Self::DrippingChunks => b"1\r\nx\r\n",
        }
    }

    /// Connects and keeps the server waiting; returns the time until the server closes the connection. It begins before
    /// the connection, because the server may accept it, and measure the time, before this task goes on.
    pub(super) async fn run(self, address: String, pause: Duration, timeout: Duration) -> Duration {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let mut closed = stream.write_all(self.head().as_bytes()).await.is_err();
        let (mut ticks, mut read) = (tokio::time::interval(pause), [0; 512]);
        while !closed {
            assert!(began.elapsed() < timeout, "{self:?} is not closed within {timeout:?}");
            closed = tokio::select! {
                read = stream.read(&mut read) => !matches!(read, Ok(1..)),
                _ = ticks.tick() => stream.write_all(self.drip()).await.is_err(),
            };
        }
        began.elapsed()
    }
}

/// Sends one request and reads the whole response.
pub(super) async fn send_request(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    let mut response = String::new();
    loop {
        if let Some((head, body)) = response.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.expect("the response has a length") {
                return Ok(());
            }
        }
        let mut chunk = [0; 2048];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        response.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
}

/// Opens connections, sends one request on each, and keeps them open.
pub(super) async fn open_idle_connections(address: &str, count: usize) -> Vec<TcpStream> {
    let one = async |_| {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        send_request(&mut stream).await.expect("the server responds");
        stream
    };
    iter(0..count).map(one).buffer_unordered(CONCURRENCY).collect().await
}

/// More connections than the server can accept. Each sends one request and stays open after the response until
/// [`Crowd::disconnect`]; from then on, each closes as soon as it has its response.
pub(super) struct Crowd {
    served: Arc<AtomicUsize>,
    disconnect: watch::Sender<bool>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    pub(super) async fn connect(address: &str, count: usize) -> Self {
        let (disconnect, disconnected) = watch::channel(false);
        let served = Arc::new(AtomicUsize::new(0));
        // The kernel accepts the connections. With more at the same time it would drop SYNs, which are retried after
        // one second and then three.
        let streams = iter(0..count).map(|_| TcpStream::connect(address)).buffer_unordered(CONCURRENCY);
        let one = |stream: io::Result<TcpStream>| {
            let (served, mut disconnected) = (served.clone(), disconnected.clone());
            tokio::spawn(async move {
                let mut stream = stream.expect("the server listens");
                send_request(&mut stream).await.expect("the server responds");
                served.fetch_add(1, Ordering::Relaxed);
                disconnected.wait_for(|disconnected| *disconnected).await.expect("the sender exists");
            })
        };
        let clients = streams.map(one).collect().await;
        Self { served, disconnect, clients }
    }

    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Closes the connections that have their response, and the others when they get theirs; returns the time until all
    /// did.
    pub(super) async fn disconnect(self) -> Duration {
        let began = Instant::now();
        self.disconnect.send_replace(true);
        for client in self.clients {
            client.await.unwrap();
        }
        began.elapsed()
    }
}
