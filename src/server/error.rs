//! Why the server does not start. Knows nothing of the settings' names.

use std::fmt;

use super::bind::BindError;
use super::tls::TlsError;

/// Why the server does not start. `E` is the error of creating a worker's context.
#[derive(Debug, thiserror::Error)]
pub enum ServerStartError<E: fmt::Debug + fmt::Display> {
    /// The server cannot listen on the address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A worker's context could not be created.
    #[error("{0}")]
    Context(E),
    /// The system provided no thread or no runtime.
    #[error("cannot start a worker: {0}")]
    Worker(String),
}
