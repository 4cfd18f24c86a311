//! Where things are kept, as two roles: [`Accounts`] for what lasts (users, projects, API keys) and [`Ephemeral`] for
//! what expires (sessions, claims, limits, revocations) plus the sealed keyring.
//!
//! Each method is one statement, transaction or script, and its doc states what it guarantees; a caller never combines
//! two calls to get a guarantee. "Absent", "taken" and "reused" are values: [`Error`] is only for a store that
//! cannot answer. Drivers' errors stop here. Knows nothing of HTTP, of tokens, or of what a profile says.

pub mod accounts;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod ephemeral;
pub mod migrations;
pub mod sqlite;

pub use accounts::Accounts;
pub use ephemeral::Ephemeral;

/// Why a store did not answer. The detail is for the log: it names no secret and reaches no client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store is down, frozen, full or out of connections; trying again later can help.
    #[error("{store} is unavailable: {detail}")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// What its driver said.
        detail: String,
    },
    /// The store answered something that this program never wrote.
    #[error("{store} holds something unreadable: {detail}")]
    Corrupt {
        /// Which store.
        store: &'static str,
        /// What was found.
        detail: String,
    },
}

/// What a store answers.
pub type Result<T> = std::result::Result<T, Error>;
