//! Many connections that mean no good, or nothing at all. Knows nothing of what they do to others.

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

/// What the test itself takes beside its connections.
const OWN: u64 = 512;

/// How many connect at once.
const AT_ONCE: usize = 64;

/// Lets this process have so many connections.
///
/// # Panics
/// If the system does not.
pub(super) fn make_room(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (connections as u64 + OWN).max(limit.current.unwrap_or(u64::MAX));
    let enough = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    enough.unwrap_or_else(|_| panic!("{wanted} files must be allowed to be open: raise `ulimit -Hn`"));
}

/// How one keeps a server waiting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slow {
    /// Says nothing.
    Silent,
    /// Stops in the middle of its head.
    StoppingHead,
    /// Sends a head without an end, a byte at a time.
    DrippingHead,
    /// Sends the body that it has announced a byte at a time.
    DrippingBody,
    /// Sends a body whose length it has not told a chunk of one byte at a time.
    DrippingChunks,
}

impl Slow {
    fn beginning(self) -> &'static str {
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

    fn byte(self) -> &'static [u8] {
        match self {
            Self::Silent | Self::StoppingHead => b"",
            Self::DrippingHead | Self::DrippingBody => b"x",
            Self::DrippingChunks => b"1\r\nx\r\n",
        }
    }

    /// Keeps the server waiting, and tells for how long it did.
    pub(super) async fn dawdle(self, to: String, between: Duration, patience: Duration) -> Duration {
        let mut stream = TcpStream::connect(to).await.expect("the server listens");
        let began = Instant::now();
        let mut closed = stream.write_all(self.beginning().as_bytes()).await.is_err();
        let (mut drops, mut read) = (tokio::time::interval(between), [0; 512]);
        while !closed {
            assert!(began.elapsed() < patience, "{self:?} is not closed within {patience:?}");
            closed = tokio::select! {
                read = stream.read(&mut read) => !matches!(read, Ok(1..)),
                _ = drops.tick() => stream.write_all(self.byte()).await.is_err(),
            };
        }
        began.elapsed()
    }
}

/// Puts one question, and reads all of the answer.
pub(super) async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    let mut answer = String::new();
    loop {
        if let Some((head, body)) = answer.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.expect("it tells its length") {
                return Ok(());
            }
        }
        let mut piece = [0; 2048];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

/// Connections that have asked once, and are kept.
pub(super) async fn keep(to: &str, many: usize) -> Vec<TcpStream> {
    let one = async |_| {
        let mut stream = TcpStream::connect(to).await.expect("the server listens");
        ask(&mut stream).await.expect("it is answered");
        stream
    };
    iter(0..many).map(one).buffer_unordered(AT_ONCE).collect().await
}

/// More than there is room for: each asks once, stays when it was answered until all are to leave, and then goes as soon as it was.
pub(super) struct Crowd {
    answered: Arc<AtomicUsize>,
    leave: watch::Sender<bool>,
    people: Vec<JoinHandle<()>>,
}

impl Crowd {
    pub(super) async fn come(to: &str, many: usize) -> Self {
        let (leave, left) = watch::channel(false);
        let answered = Arc::new(AtomicUsize::new(0));
        // The kernel lets them in. More of them at once and it would let some wait for a second, and then for three.
        let streams = iter(0..many).map(|_| TcpStream::connect(to)).buffer_unordered(AT_ONCE);
        let one = |stream: io::Result<TcpStream>| {
            let (answered, mut left) = (answered.clone(), left.clone());
            tokio::spawn(async move {
                let mut stream = stream.expect("the server listens");
                ask(&mut stream).await.expect("it is answered");
                answered.fetch_add(1, Ordering::Relaxed);
                left.wait_for(|left| *left).await.expect("it is told");
            })
        };
        let people = streams.map(one).collect().await;
        Self { answered, leave, people }
    }

    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Those who were answered leave, and the others after them. Tells how long it took until all were answered.
    pub(super) async fn leaves(self) -> Duration {
        let began = Instant::now();
        self.leave.send_replace(true);
        for person in self.people {
            person.await.unwrap();
        }
        began.elapsed()
    }
}
