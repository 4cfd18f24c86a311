//! Settings as written, before anyone has judged them: text or lists of text, each with the place where it was found.
//!
//! The three layers stay apart until a key is asked for, so that a fault can name the place. Knows no setting.

use std::collections::BTreeMap;

use crate::config::error::{ConfigError, Source};

/// What stands after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One value. Numbers and truth values are kept as they are spelt: the kind of the setting reads them.
    Text(String),
    /// Several.
    List(Vec<String>),
}

impl Value {
    /// The value as a list; in one text the commas part it, which is how a variable holds several.
    pub(super) fn items(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
            Self::List(items) => items.iter().map(String::as_str).collect(),
        }
    }

    /// The value as a person would write it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => format!("[{}]", items.join(", ")),
        }
    }
}

/// A value and where it was found.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What was found.
    pub(super) value: Value,
    /// Where.
    pub(super) source: Source,
}

/// Every layer, and what was already wrong when it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct RawConfig {
    /// By dotted key.
    pub(super) file: BTreeMap<String, Entry>,
    /// By the variable's name.
    pub(super) environment: BTreeMap<String, String>,
    /// By dotted key.
    pub(super) flags: BTreeMap<String, String>,
    /// What could not be read at all.
    pub(super) faults: Vec<ConfigError>,
}

impl RawConfig {
    /// Adds what follows `--set`: `key=value`.
    pub(super) fn add_flags(&mut self, flags: &[String]) {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, value)) => {
                    self.flags.insert(key.trim().to_owned(), value.trim().to_owned());
                }
                // The text is not repeated: it may be a secret that lost its key.
                None => self.faults.push(ConfigError::Bad {
                    key: "--set".to_owned(),
                    source: Source::Flag,
                    value: None,
                    allowed: "a key, `=` and a value, such as server.listen=0.0.0.0:8000".to_owned(),
                }),
            }
        }
    }

    /// Takes a key from every layer and gives what the strongest says: flags, then the key's own variable, then the
    /// variable by which the rest of the world knows it, then the file.
    pub(super) fn take(&mut self, key: &str, variables: &[&str]) -> Option<Entry> {
        let from_file = self.file.remove(key);
        // All are removed, or the weaker name would be left over and taken for an unknown setting.
        let mut from_environment = None;
        for name in variables {
            let entry = self
                .environment
                .remove(*name)
                .map(|text| Entry { value: Value::Text(text), source: Source::Environment((*name).to_owned()) });
            from_environment = from_environment.or(entry);
        }
        let from_flag = self.flags.remove(key).map(|text| Entry { value: Value::Text(text), source: Source::Flag });
        from_flag.or(from_environment).or(from_file)
    }
}
