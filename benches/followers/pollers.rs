//! Clients that read the feed as followers do, and count what they read. They verify nothing, so that thousands of them
//! need little of this machine.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::support::http;

const FEED: &str = "/.well-known/signet-revocations";

/// A cache keeps the head for a second.
const HEAD_INTERVAL: Duration = Duration::from_secs(1);

/// Responses and their bytes, heads included.
#[derive(Default)]
pub(crate) struct Traffic {
    responses: AtomicU64,
    bytes: AtomicU64,
    clients: AtomicUsize,
}

impl Traffic {
    /// The number of clients that have had a response.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// The number of responses and of bytes.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.responses.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// The members of a frame that a poller reads.
#[derive(Deserialize)]
struct Frame {
    epoch: String,
    to: String,
    #[serde(default)]
    segments: Vec<String>,
}

struct Poller<'a> {
    stream: TcpStream,
    traffic: &'a Traffic,
}

/// Reads the feed as long as the runtime runs: heads and segments, or by long polls.
pub(crate) async fn run(address: SocketAddr, through_cache: bool, number: usize, traffic: &Traffic) {
    let mut poller = Poller { stream: TcpStream::connect(address).await.expect("the server listens"), traffic };
    poller.get(FEED).await;
    traffic.clients.fetch_add(1, Ordering::Relaxed);
    if through_cache {
        poller.poll(number).await;
    } else {
        poller.follow().await;
    }
}

impl Poller<'_> {
    async fn poll(&mut self, number: usize) {
        // Not all at the same moment.
        let phase = HEAD_INTERVAL * (number % 1000) as u32 / 1000;
        let mut next = Instant::now() + phase;
        let (mut known, mut position) = (None, String::new());
        loop {
            tokio::time::sleep_until(next).await;
            next += HEAD_INTERVAL;
            let head = self.get(FEED).await;
            if head.to == position {
                continue;
            }
            position.clone_from(&head.to);
            let from = head.segments.iter().rposition(|end| Some(end) == known.as_ref());
            let new = from.map_or(&[][..], |from| &head.segments[from..]);
            for pair in new.windows(2) {
                self.get(&format!("{FEED}/{}/segments/{}/{}", head.epoch, pair[0], pair[1])).await;
            }
            // The last position may be within a second, and then no later head lists it.
            known = head.segments.iter().rev().nth(1).or(head.segments.last()).cloned();
        }
    }

    async fn follow(&mut self) {
        let mut frame = self.get(FEED).await;
        loop {
            frame = self.get(&format!("{FEED}/{}/after/{}", frame.epoch, frame.to)).await;
        }
    }

    /// Requests a document. Returns the last frame.
    async fn get(&mut self, path: &str) -> Frame {
        let request = http::build_request("GET", path, "", "");
        self.stream.write_all(request.as_bytes()).await.expect("the server reads the request");
        let mut response = Vec::new();
        while !http::is_complete(&response) {
            let read = self.stream.read_buf(&mut response).await.expect("the server responds");
            assert!(read > 0, "the server closed the connection");
        }
        self.traffic.responses.fetch_add(1, Ordering::Relaxed);
        self.traffic.bytes.fetch_add(response.len() as u64, Ordering::Relaxed);
        let text = String::from_utf8(response).expect("text");
        let frame = text.lines().rfind(|line| line.starts_with("eyJ")).unwrap_or_else(|| panic!("no frame: {text}"));
        let payload = frame.split('.').nth(1).expect("a JWS");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("a frame")
    }
}
