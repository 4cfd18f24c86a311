//! The interface through which the server reports requests and connections. Knows nothing of metrics or logs.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;

use crate::clock::Timestamp;
use crate::http::{RequestId, Response};

/// Receives events on the worker's own thread. `request_completed` runs before the response is sent, so an
/// implementation should take nanoseconds.
pub trait Observer: Send + Sync + 'static {
    /// The response to a request is ready.
    fn request_completed(&self, _request: &CompletedRequest<'_>) {}
    /// A connection was accepted.
    fn connection_opened(&self, _worker: usize) {}
    /// An idle connection released its HTTP buffers.
    fn connection_hibernated(&self, _worker: usize) {}
    /// A connection was closed.
    fn connection_closed(&self, _worker: usize) {}
    /// A connection is being closed, but not because its client closed it, it was idle, or the server stops.
    fn connection_cut_off(&self, _worker: usize, _reason: CutOffReason) {}
    /// An HTTP/2 stream was reset because its client read no byte of the response in time.
    fn stream_timed_out(&self, _worker: usize) {}
    /// A task kept the worker's thread for longer than a millisecond.
    fn worker_stalled(&self, _worker: usize, _stall: Duration) {}
    /// New connections wait because the limit of connections is reached.
    fn connections_exhausted(&self) {}
    /// Connections are accepted again.
    fn connections_available(&self) {}
    /// A TLS certificate is in use, which expires at this time.
    fn certificate_loaded(&self, _expires: Timestamp) {}
    /// A connection could not be accepted, for lack of file descriptors or memory.
    fn accept_failed(&self, _worker: usize) {}
}

/// Why a connection is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOffReason {
    /// Few connections are left, and this one was idle longest among those of the network with the most connections.
    NetworkShare,
    /// The worker's budget for held bytes is used up, and this connection is one of those that hold most.
    HeldBytes,
    /// Its client read no byte of a pending response in time.
    WriteTimeout,
}

/// A request whose response is ready. Leaves out the path, which can contain tokens; the metric label names the route.
#[derive(Debug)]
pub struct CompletedRequest<'a> {
    /// Index of the worker.
    pub worker: usize,
    /// Index of the route in [`Router::metric_labels`](crate::http::Router::metric_labels).
    pub route: usize,
    /// The route's metric label.
    pub metric_label: &'static str,
    /// The request's method.
    pub method: &'a Method,
    /// The request's id.
    pub id: &'a RequestId,
    /// The client's IP address.
    pub client_ip: IpAddr,
    /// The response, including its cause.
    pub response: &'a Response,
    /// Time to the response from the poll that completed the request's head. It includes reading the head, and over
    /// HTTP/2 other heads that arrived with it.
    pub elapsed: Duration,
}
