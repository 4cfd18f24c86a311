//! Raw settings before they are checked: strings or lists of strings, each with its source.
//!
//! The three layers (file, environment, flags) stay separate until a key is read, so that an error can name the source.
//! Knows no individual setting.

use std::collections::BTreeMap;

use crate::config::error::{ConfigError, Source};

/// An unchecked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One value. Numbers and booleans are kept as text; the setting's type parses them.
    Text(String),
    /// Several values.
    List(Vec<String>),
}

impl Value {
    /// The value as a list. Text is split at commas, which is how a variable holds several values.
    pub(super) fn items(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
            Self::List(items) => items.iter().map(String::as_str).collect(),
        }
    }

    /// The value for error messages.
    pub(super) fn display(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => format!("[{}]", items.join(", ")),
        }
    }
}

/// A value and its source.
#[derive(Clone, Debug)]
pub(super) struct RawValue {
    /// The value.
    pub(super) value: Value,
    /// The source.
    pub(super) source: Source,
}

/// All layers, and the errors found while reading them.
#[derive(Clone, Debug, Default)]
pub(super) struct RawConfig {
    /// Values of the file, by dotted key.
    pub(super) file: BTreeMap<String, RawValue>,
    /// Tables of the file, by the dotted key of the table that they are in, and by name.
    pub(super) tables: BTreeMap<(String, String), Source>,
    /// Environment variables, by name.
    pub(super) environment: BTreeMap<String, String>,
    /// Values of `--set`, by dotted key.
    pub(super) flags: BTreeMap<String, String>,
    /// Errors found while reading.
    pub(super) errors: Vec<ConfigError>,
}

impl RawConfig {
    /// Adds the values of `--set`: `key=value`.
    pub(super) fn add_flags(&mut self, flags: &[String]) {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, value)) => {
                    self.flags.insert(key.trim().to_owned(), value.trim().to_owned());
                }
                // The text is not quoted: it may be a secret without its key.
                None => self.errors.push(ConfigError::InvalidValue {
                    key: "--set".to_owned(),
                    source: Source::Flag,
                    value: None,
                    allowed: "a key, `=` and a value, such as server.listen=0.0.0.0:8000".to_owned(),
                }),
            }
        }
    }

    /// Removes a key from every layer and returns the value with the highest precedence: flags, then the key's own
    /// variable, then its aliases, then the file.
    pub(super) fn take(&mut self, key: &str, variables: &[&str]) -> Option<RawValue> {
        let from_file = self.file.remove(key);
        // All names are removed, so that none is later reported as unknown.
        let mut from_environment = None;
        for name in variables {
            let entry = self
                .environment
                .remove(*name)
                .map(|text| RawValue { value: Value::Text(text), source: Source::Environment((*name).to_owned()) });
            from_environment = from_environment.or(entry);
        }
        let from_flag = self.flags.remove(key).map(|text| RawValue { value: Value::Text(text), source: Source::Flag });
        from_flag.or(from_environment).or(from_file)
    }
}
