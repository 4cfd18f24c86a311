//! A layer for tower that verifies the token of each request, and extractors for axum 0.8.
//!
//! ```no_run
//! # use axum::{Router, routing::get};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use signet_verify::follow::Verifier;
//! use signet_verify::tower::{Claims, Scoped, VerifyLayer, scope};
//!
//! scope!(ReadReports = "reports:read");
//!
//! let verifier = Verifier::builder("https://id.example.org").audience("reports").start()?;
//! let app: Router = Router::new()
//!     .route("/me", get(|claims: Claims| async move { claims.subject().to_owned() }))
//!     .route("/reports", get(|reader: Scoped<ReadReports>| async move { reader.subject().to_owned() }))
//!     .layer(VerifyLayer::new(verifier));
//! # Ok(())
//! # }
//! ```
//!
//! Requests without a valid token get 401, those without a required scope 403, and 503 while tokens cannot be verified,
//! each with a challenge (RFC 6750, 3) and a problem document (RFC 9457).

mod extract;
mod layer;
mod problem;

pub use extract::{Claims, Scope, Scoped};
pub use layer::{Verify, VerifyLayer};
pub use problem::Problem;

pub use crate::scope;
