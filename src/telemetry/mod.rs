//! What operators see: [`metrics`], [`health`] and [`logs`]. Says how the rooms are doing; decides nothing for them.
//! Knows nothing of HTTP types, of tokens, or of what a request means.

pub mod health;
pub mod logs;
pub mod metrics;

pub use health::{Condition, Readiness};
pub use metrics::Metrics;

/// A page for the management listener, free of HTTP types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}
