//! Why a store cannot answer. Drivers' errors are translated into these two kinds.

/// A store cannot answer. The detail is for the log: it contains no secret and reaches no client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store is down, frozen, full or out of connections; trying again later can help.
    #[error("{store} is unavailable: {detail}")]
    Unavailable {
        /// The name of the store.
        store: &'static str,
        /// The driver's explanation.
        detail: String,
        /// True if the store has logged its outage, so that callers need not log its consequences.
        is_logged: bool,
    },
    /// The store returned data that this program never writes.
    #[error("{store} contains unexpected data: {detail}")]
    Corrupt {
        /// The name of the store.
        store: &'static str,
        /// The data that was found.
        detail: String,
    },
}

impl Error {
    /// True if this is the consequence of an outage that the store has logged itself, once per process.
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::Unavailable { is_logged: true, .. })
    }
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;
