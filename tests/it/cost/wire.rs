//! Requests as bytes, because no client library sends such heads and frames, and the connection that sends them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::http2::{DATA, END_STREAM, HEADERS, LAST_PING, PING, RESET};

/// A server that takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request of HTTP/1.1.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
}

/// How the body is framed.
#[derive(Clone, Debug, Default)]
pub(super) enum Framing {
    #[default]
    Length,
    /// Chunks of this size, each with this extension, and these trailer fields.
    Chunks { size: usize, extension: String, trailers: String },
}

impl Message {
    /// Adds a header field.
    pub(super) fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.field("content-type", media_type)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let has_host = self.fields.iter().any(|(name, _)| name == "host");
        let host = (!has_host).then(|| ("host".to_owned(), "x".to_owned()));
        for (name, value) in host.iter().chain(&self.fields) {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n");
        match &self.framing {
            Framing::Length => {
                bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
                bytes.extend_from_slice(&self.body);
            }
            Framing::Chunks { size, extension, trailers } => {
                bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in self.body.chunks(*size) {
                    bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            }
        }
        bytes
    }
}

/// The sign that the server has processed everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// It closes the connection.
    Http1,
    /// It closes the connection, or has answered the request in stream 1 and the ping behind it.
    Http2,
}

/// Sends these bytes over a connection of their own and reads until the server has processed them. Returns the status
/// of the response; zero if there is none, or for HTTP/2.
pub(super) async fn exchange(address: &str, bytes: &[u8], protocol: Protocol) -> u16 {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut from, mut to) = stream.into_split();
    let mut received = Vec::new();
    let exchanging = async {
        // The server may close before it has read everything.
        let writing = async {
            let _ = to.write_all(bytes).await;
        };
        tokio::pin!(writing);
        let (mut piece, mut writes) = (vec![0; 64 << 10], true);
        loop {
            tokio::select! {
                () = &mut writing, if writes => writes = false,
                read = from.read(&mut piece) => match read {
                    Ok(read @ 1..) => received.extend_from_slice(&piece[..read]),
                    Ok(0) | Err(_) => return,
                },
            }
            if protocol == Protocol::Http2 && is_processed(&received) {
                return;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, exchanging).await.expect("the server answers or closes the connection");
    let status = received.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or_default()
}

/// Stream 1 has ended, and the last ping is answered.
fn is_processed(received: &[u8]) -> bool {
    let (mut has_ended, mut has_answered, mut rest) = (false, false, received);
    while let Some((head, after)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = after.get(..length) else { break };
        let (kind, flags) = (head[3], head[4]);
        let is_last = kind == RESET || ([DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0);
        has_ended |= is_last && head[5..] == 1_u32.to_be_bytes();
        has_answered |= kind == PING && payload == LAST_PING;
        rest = &after[length..];
    }
    has_ended && has_answered
}
