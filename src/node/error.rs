//! Why a node could not be built.

use std::path::PathBuf;

use super::secret_file::SecretFileError;
use crate::auth::passwords;
use crate::auth::signing_keys::KeyringError;
use crate::mail;
use crate::store;
use crate::store::ephemeral::redis;
use crate::store::sqlite;
use crate::token::keyring::UnusableKey;
use crate::token::secret::KeyDerivationError;

/// There is no embedded file where one is needed.
#[derive(Debug, thiserror::Error)]
#[error("{} does not exist", path.display())]
pub struct NoStore {
    /// The missing file.
    pub(super) path: PathBuf,
}

impl NoStore {
    /// How to solve the problem.
    pub const REMEDY: &str = "set SIGNET_DATA_DIR, or name the settings with --config; the first start of the server \
                              and `signet users create` make a new store";
}

/// Why a node could not be built.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A store does not answer, or holds data that Signet did not write.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Redis does not accept the settings.
    #[error(transparent)]
    Redis(#[from] redis::ConnectError),
    /// A command needs the embedded file, and there is none.
    #[error(transparent)]
    NoStore(#[from] NoStore),
    /// The embedded file cannot be opened.
    #[error(transparent)]
    Embedded(#[from] sqlite::OpenError),
    /// The secret file cannot be read or created.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// No keys can be derived from the secret.
    #[error(transparent)]
    Secret(#[from] KeyDerivationError),
    /// The keyring cannot be opened or created.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A key in the keyring is invalid.
    #[error(transparent)]
    Key(#[from] UnusableKey),
    /// The threads that hash passwords cannot be started.
    #[error(transparent)]
    Hasher(#[from] passwords::StartError),
    /// Mail cannot be set up.
    #[error(transparent)]
    Mail(#[from] mail::MailerError),
}

impl StartError {
    /// True if a store is unavailable, so that the same step may succeed in a moment.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Store(store::Error::Unavailable { .. })
                | Self::Keyring(KeyringError::Store(store::Error::Unavailable { .. }))
        )
    }
}
