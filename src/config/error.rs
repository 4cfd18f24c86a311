//! Errors in settings: the key, its source, its value (never a secret) and the allowed values.

use std::fmt;
use std::path::PathBuf;

/// The source of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in default.
    BuiltIn,
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// `--set` on the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// No setting has this name.
    Unknown {
        /// The name.
        name: String,
        /// Its source.
        source: Source,
        /// The most similar name of a setting.
        suggestion: Option<String>,
    },
    /// The value is invalid for this setting.
    InvalidValue {
        /// The setting.
        key: String,
        /// Its source.
        source: Source,
        /// Its value; `None` if that may be secret.
        value: Option<String>,
        /// The allowed values.
        allowed: String,
    },
    /// Each value is valid, but they contradict each other.
    Conflict {
        /// The setting to change first.
        key: String,
        /// Its source.
        source: Source,
        /// The rule that is violated.
        rule: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Unknown { name, source, suggestion } => {
                match source {
                    Source::Environment(_) => write!(f, "{name}: no setting has this name")?,
                    source => write!(f, "{name} ({source}): no setting has this name")?,
                }
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean {suggestion}?"),
                    None => Ok(()),
                }
            }
            Self::InvalidValue { key, source, value: Some(value), allowed } => {
                write!(f, "{key} ({source}) is {value:?}; allowed: {allowed}")
            }
            Self::InvalidValue { key, source, value: None, allowed } => {
                write!(f, "{key} ({source}) has an invalid value (not shown: it may be secret); allowed: {allowed}")
            }
            Self::Conflict { key, source, rule } => write!(f, "{key} ({source}) {rule}"),
        }
    }
}

/// All errors of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid settings:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}
