//! The load generator of `signet bench` and of the benches: HTTP/1.1 on a number of connections with one request in
//! flight on each. It sends the next request as soon as the response is complete. The benches also use HTTP/2 with
//! several requests in flight on each connection, and TLS (the feature `tls`), with a handshake for each connection or
//! for each request.
//!
//! This is a closed loop: a slow server receives fewer requests, and latencies are those under full load, not those at
//! a given rate. The client must be cheaper than the server, or it would measure itself. So it uses one thread, one
//! system call to send and one to receive, and requests that are built in advance. It checks every response: one with
//! another status, or without the expected text, ends the run.
//!
//! It connects to loopback addresses only, so that nobody can send load to another machine. It knows nothing of Signet
//! but the name of the field with a refresh token.

mod client;
mod drive;
mod histogram;
mod http2;
mod request;
mod stream;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use client::{Client, refresh_token};
pub use histogram::Histogram;
pub use http2::Http2Client;
pub use request::{build_request, post_form, post_json};
#[cfg(feature = "tls")]
pub use tls::Handshakes;

/// Connections of one client at most: a bound for mistakes, far above what saturates a server.
pub const MAX_CONNECTIONS: usize = 4096;

/// A load: the requests, their servers, and the responses that are expected.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The servers. Connections are distributed over them.
    pub addresses: &'a [SocketAddr],
    /// The number of connections, at most [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// The requests.
    pub requests: &'a Requests,
    /// The status that every response must have.
    pub expected_status: u16,
    /// Text that every response must contain.
    pub expected_text: &'a str,
    /// The server will be killed: the first broken connection ends the run successfully.
    pub stop_on_disconnect: bool,
}

/// The requests of a load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Requests {
    /// These requests in a cycle. Each free connection sends the next one.
    Cycle(Vec<String>),
    /// Refreshes: the token between `prefix` and `suffix`, where each response contains the next token. The tokens are
    /// distributed over the connections, each of which uses its own in turn.
    Rotate {
        /// The request before the token.
        prefix: String,
        /// The first tokens, at least one for each connection.
        tokens: Vec<String>,
        /// The request after the token.
        suffix: String,
    },
}

/// When to stop. Responses to requests that were sent are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The maximum number of requests.
    pub requests: u64,
    /// The time after which no request is sent, apart from the first of each connection.
    pub time: Option<Duration>,
    /// True once no request is to be sent any more.
    pub stop: Option<&'a AtomicBool>,
}

impl Bound<'_> {
    /// Exactly this many requests.
    pub fn requests(requests: u64) -> Self {
        Self { requests, time: None, stop: None }
    }
}

/// The state of a refresh token at the end of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotatedToken {
    /// The token that was received last.
    pub newest: String,
    /// The token before it, if there was any.
    pub previous: Option<String>,
    /// `newest` was sent, and no response arrived.
    pub in_flight: bool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An address is not one of loopback.
    #[error("{0} is not a loopback address, and the load generator connects to no other")]
    NotLoopback(SocketAddr),
    /// The load is impossible.
    #[error("the load is impossible: {0}")]
    Impossible(&'static str),
    /// A connection cannot be opened.
    #[error("connecting to {address}: {cause}")]
    Connect {
        /// The server.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// A connection broke.
    #[error("a connection broke: {0}")]
    Disconnected(io::Error),
    /// A response was not as expected.
    #[error("{problem}:\n{response}")]
    BadResponse {
        /// The difference from the expected response.
        problem: String,
        /// The response, as text.
        response: String,
    },
    /// The server does not respond.
    #[error("no response to {0} requests within a minute")]
    NoResponse(u64),
}

impl LoadError {
    fn bad_response(problem: &str, received: &[u8]) -> Self {
        Self::BadResponse { problem: problem.to_owned(), response: String::from_utf8_lossy(received).into_owned() }
    }
}
