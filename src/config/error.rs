//! What can be wrong with written settings, and how it is said: the key, where it was written, what was written there
//! (never a secret) and what is allowed.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the built-in value holds.
    BuiltIn,
    /// In a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from one.
        line: usize,
    },
    /// In an environment variable of that name.
    Environment(String),
    /// After `--set` on the command line.
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

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is the matter with it.
        problem: String,
    },
    /// There is no such setting.
    Unknown {
        /// The name as it was written.
        name: String,
        /// Where.
        source: Source,
        /// The name that is most like it.
        meant: Option<String>,
    },
    /// The value is not one that the setting can have.
    Bad {
        /// Which setting.
        key: String,
        /// Where it was written.
        source: Source,
        /// What was written; none if that is secret.
        value: Option<String>,
        /// What may be written.
        allowed: String,
    },
    /// Each value is good, but they do not go together.
    Conflict {
        /// The setting to change first.
        key: String,
        /// Where it was written.
        source: Source,
        /// What it must agree with, and how.
        rule: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Unknown { name, source, meant } => {
                match source {
                    Source::Environment(_) => write!(f, "{name}: no setting has this name")?,
                    source => write!(f, "{name} ({source}): no setting has this name")?,
                }
                match meant {
                    Some(meant) => write!(f, "; did you mean {meant}?"),
                    None => Ok(()),
                }
            }
            Self::Bad { key, source, value: Some(value), allowed } => {
                write!(f, "{key} ({source}) is {value:?}; allowed: {allowed}")
            }
            Self::Bad { key, source, value: None, allowed } => {
                write!(
                    f,
                    "{key} ({source}) has a value that cannot be used (not shown: it may be secret); allowed: {allowed}"
                )
            }
            Self::Conflict { key, source, rule } => write!(f, "{key} ({source}) {rule}"),
        }
    }
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<ConfigError>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}
