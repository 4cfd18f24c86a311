//! The error of a command: what is wrong, and what to do about it.

use std::io;

use serde_json::json;

use crate::auth;
use crate::auth::error::InputError;
use crate::auth::signing_keys::KeyringError;
use crate::config::ConfigErrors;
use crate::node::error::{NoStore, StartError};
use crate::node::serve::ServeError;
use crate::store;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings are invalid.
    #[error(transparent)]
    Settings(#[from] ConfigErrors),
    /// The arguments are invalid.
    #[error("{problem}")]
    Usage {
        /// The problem.
        problem: String,
        /// How to solve it.
        remedy: String,
    },
    /// The object named on the command line does not exist.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// The kind of object.
        kind: &'static str,
        /// The name as it was typed.
        name: String,
    },
    /// The command was refused or did not succeed.
    #[error("{problem}")]
    Failed {
        /// The problem.
        problem: String,
        /// How to solve it.
        remedy: String,
    },
    /// The command did what it could, and somebody else must do the rest.
    #[error("{problem}")]
    Incomplete {
        /// The part that is missing.
        problem: String,
        /// How to solve it.
        remedy: String,
    },
    /// A store call failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Reading or writing failed.
    #[error("{action}: {cause}")]
    Io {
        /// The action that failed.
        action: String,
        /// The system's error.
        cause: io::Error,
    },
}

impl CliError {
    /// Wraps an I/O error, for `map_err`.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }

    /// How to solve the problem.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Settings(_) => Some("config.toml describes every setting; nothing was started or changed"),
            Self::Usage { remedy, .. } | Self::Failed { remedy, .. } | Self::Incomplete { remedy, .. } => Some(remedy),
            Self::NotFound { kind: "user", .. } => Some("`signet users list` lists all users"),
            Self::NotFound { kind: "session", .. } => Some("`signet sessions list USER` lists a user's open sessions"),
            Self::NotFound { kind: "signing key", .. } => Some("`signet keys list` lists all signing keys"),
            Self::NotFound { kind: "API key", .. } => {
                Some("`signet api-keys list --user USER` lists a user's API keys")
            }
            Self::NotFound { .. } => None,
            Self::Store(store::Error::Unavailable { .. }) => {
                Some("run `signet check` to test every store and the settings it is reached by")
            }
            Self::Store(store::Error::Corrupt { .. }) => {
                Some("another program or a newer version of Signet has written to this store")
            }
            Self::Io { .. } => None,
        }
    }

    /// The process's exit code: 2 if other arguments or settings help, 3 if something else must be done besides, 1
    /// otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Usage { .. } => 2,
            Self::Incomplete { .. } => 3,
            Self::NotFound { .. } | Self::Failed { .. } | Self::Store(_) | Self::Io { .. } => 1,
        }
    }

    /// The text for stderr: what is wrong, then what to do.
    pub(super) fn render(&self, json: bool) -> String {
        if json {
            let error = json!({"error": {"message": self.to_string(), "remedy": self.remedy()}});
            return format!("{error}\n");
        }
        match self.remedy() {
            Some(remedy) => format!("signet: {self}\n        {remedy}\n"),
            None => format!("signet: {self}\n"),
        }
    }
}

impl From<auth::Error> for CliError {
    fn from(error: auth::Error) -> Self {
        let remedy = match &error {
            auth::Error::Unavailable(error) => return Self::Store(error.clone()),
            auth::Error::EmailTaken | auth::Error::UsernameTaken => "`signet users show` shows the user who has it",
            auth::Error::InvalidInput(InputError::Password(_)) => {
                "choose another password; [passwords] in config.toml sets the rules"
            }
            _ => "nothing was changed",
        };
        Self::Failed { problem: error.to_string(), remedy: remedy.to_owned() }
    }
}

impl From<KeyringError> for CliError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => Self::Store(error),
            error @ KeyringError::Missing { .. } => Self::Failed {
                problem: error.to_string(),
                remedy: "start a node that has the mirror (keyring.sealed in its data_dir), or `signet keys import` a \
                         key; a new fleet's first start creates one"
                    .to_owned(),
            },
            error => Self::Failed { problem: error.to_string(), remedy: "the keyring is unchanged".to_owned() },
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => Self::Store(error),
            StartError::Keyring(error @ KeyringError::Missing { .. }) => error.into(),
            StartError::NoStore(error) => {
                Self::Failed { problem: error.to_string(), remedy: NoStore::REMEDY.to_owned() }
            }
            error => {
                Self::Failed { problem: error.to_string(), remedy: "run `signet check` to test every part".to_owned() }
            }
        }
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        let remedy = match error {
            ServeError::Start(error) => return error.into(),
            ServeError::Stdout(cause) => return Self::Io { action: "writing to stdout".to_owned(), cause },
            ServeError::Bind { setting, .. } => format!("change {setting}, or free the address"),
            _ => "run `signet check` to test every part".to_owned(),
        };
        Self::Failed { problem: error.to_string(), remedy }
    }
}
