//! Storage, as two roles: [`Accounts`] for durable state (users, projects, API keys) and [`Ephemeral`] for short-lived
//! state (sessions, mailed codes and links, rate limits, revocations) and the sealed keyring.
//!
//! Each method is one atomic step (a statement, a transaction or a script) and its doc states the guarantee, so a
//! caller never combines two calls to get one. "Not found", "taken" and "reused" are values; [`Error`] is only for a
//! store that cannot answer. Drivers' error types end here. Knows nothing of HTTP, of tokens, or of what the claims
//! of a session contain.

pub mod accounts;
mod authorities;
pub mod ephemeral;
mod error;
pub mod migrations;
mod operation;
pub mod sqlite;

pub use accounts::Accounts;
pub use ephemeral::Ephemeral;
pub use error::{Error, Result};
pub use operation::{Observer, Operation};
