//! Why a command did not do what was asked, and what can be done about it.

use std::io;

use serde_json::json;

use crate::config::Faults;
use crate::store;

/// See above.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] Faults),
    /// What was typed cannot be done.
    #[error("{what}")]
    Usage {
        /// What is the matter.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    Absent {
        /// What was looked for.
        what: &'static str,
        /// By which name.
        name: String,
    },
    /// It was tried and did not come about.
    #[error("{what}")]
    Refused {
        /// What is the matter.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Reading or writing failed.
    #[error("{doing}: {cause}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        cause: io::Error,
    },
}

impl CliError {
    /// Reading or writing failed.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |cause| Self::Io { doing, cause }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Settings(_) => Some("config.toml describes every setting; nothing was started"),
            Self::Usage { remedy, .. } | Self::Refused { remedy, .. } => Some(remedy),
            Self::Absent { what: "user", .. } => Some("`signet users list` shows who there is"),
            Self::Absent { what: "signing key", .. } => Some("`signet keys list` shows which there are"),
            Self::Absent { what: "API key", .. } => Some("`signet api-keys list --user WHO` shows which there are"),
            Self::Absent { .. } => None,
            Self::Store(store::Error::Unavailable { .. }) => {
                Some("`signet check` tries every store and the settings by which it is reached")
            }
            Self::Store(store::Error::Corrupt { .. }) => {
                Some("something else has written there, or a newer version of Signet has: look at what is named")
            }
            Self::Io { .. } => None,
        }
    }

    /// 2 where asking differently helps, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Usage { .. } => 2,
            Self::Absent { .. } | Self::Refused { .. } | Self::Store(_) | Self::Io { .. } => 1,
        }
    }

    /// As it is printed: what happened, and what to do.
    pub(super) fn worded(&self, json: bool) -> String {
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
