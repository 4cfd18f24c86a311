//! Why a backup was not taken, or not restored, and what to do.

use std::io;
use std::path::PathBuf;

use super::format::FormatError;
use crate::node::error::NoStore;
use crate::node::secret_file::SecretFileError;
use crate::store::sqlite::OpenError;

/// Why a backup was not taken, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Both stores are servers.
    #[error("both stores are servers, so there is no embedded file")]
    Servers,
    /// There is no embedded file yet.
    #[error(transparent)]
    NoStore(#[from] NoStore),
    /// A file of that name exists.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is no backup, or damaged.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        error: FormatError,
    },
    /// The backup was made with other stores.
    #[error("the backup holds {has}, but with these settings the embedded file holds {wanted}")]
    OtherStores {
        /// The stores in the backup.
        has: String,
        /// The stores that it should hold.
        wanted: String,
    },
    /// There are users already.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The secret of the backup differs from the one in `data_dir`.
    #[error("{} is not the secret of the backup", path.display())]
    OtherSecret {
        /// The file.
        path: PathBuf,
    },
    /// Nothing has the secret.
    #[error("the backup was made without its secret, and neither the settings nor {} has one", path.display())]
    NoSecret {
        /// Where the secret is looked for.
        path: PathBuf,
    },
    /// The embedded file cannot be opened or copied.
    #[error(transparent)]
    Embedded(#[from] OpenError),
    /// The secret file cannot be used.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// Reading or writing failed.
    #[error("{action}: {cause}")]
    Io {
        /// The action that failed.
        action: String,
        /// The system's error.
        cause: io::Error,
    },
}

impl BackupError {
    /// Wraps an I/O error, for `map_err`.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }

    /// How to solve the problem.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Servers => "see above for what to do",
            Self::NoStore(_) => NoStore::REMEDY,
            Self::Exists { .. } => "choose another name, or replace it with --force",
            Self::Unreadable { error: FormatError::Io(_), .. } => {
                "nothing was changed; is the file there, and may this user read it?"
            }
            Self::Unreadable { .. } => "nothing was changed; take another backup",
            Self::OtherStores { .. } => "use the settings that the backup was made with; nothing was changed",
            Self::NotEmpty { .. } => {
                "choose an empty SIGNET_DATA_DIR, or use --force, which keeps the old files under other names"
            }
            Self::OtherSecret { .. } => {
                "replace it with --force, which keeps the old file under another name; nothing was changed"
            }
            Self::NoSecret { .. } => "put the secret file there, or set SIGNET_SECRET; nothing was changed",
            Self::Embedded(OpenError::Busy { .. }) => "stop every signet on this folder first; nothing was changed",
            Self::Io { .. } => "the store is as it was; is the folder there, and may this user write to it?",
            Self::Embedded(_) | Self::SecretFile(_) => "the store is as it was",
        }
    }
}
