//! Limits of a request's size and time. Knows nothing of how they are enforced.

use std::time::Duration;

/// Limits of a request's size and time.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Largest body in bytes.
    pub max_body: usize,
    /// Bytes that one worker buffers of larger bodies, and as many again of smaller bodies.
    pub max_held: usize,
    /// Time in which a body must have arrived.
    pub body_timeout: Duration,
    /// Time in which the response must be ready.
    pub request_timeout: Duration,
}
