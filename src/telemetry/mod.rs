//! Observability: [`metrics`], [`health`] and [`logs`]. Reports the state of other modules and decides nothing for
//! them. Knows nothing of HTTP types, tokens, or the meaning of a request.

pub mod health;
pub mod logs;
pub mod metrics;

pub use health::{Condition, Readiness};
pub use metrics::Metrics;

/// A response of the management listener, without HTTP types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}
