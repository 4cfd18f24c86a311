//! Reads settings from the raw ones, one key at a time, and collects all errors: an invalid value is replaced by the
//! default, so that every error is reported in one run. Knows no individual setting.

use std::collections::{BTreeMap, BTreeSet};

use super::environment::variable;
use crate::config::error::{ConfigError, ConfigErrors, Source};
use crate::config::raw::{RawConfig, RawValue};
use crate::config::settings::GivenSetting;
use crate::config::values::ValueType;

/// Reads settings and collects errors.
pub(super) struct Reader {
    raw: RawConfig,
    /// Environment variables accepted for a key besides its own.
    aliases: &'static [(&'static str, &'static str)],
    /// Every key read so far, with its source.
    known: BTreeMap<String, Source>,
    errors: Vec<ConfigError>,
    /// Every setting that was given.
    given: Vec<GivenSetting>,
}

impl Reader {
    pub(super) fn new(mut raw: RawConfig, aliases: &'static [(&'static str, &'static str)]) -> Self {
        let errors = std::mem::take(&mut raw.errors);
        Self { raw, aliases, known: BTreeMap::new(), errors, given: Vec::new() }
    }

    /// The settings whose keys begin with `name.`.
    pub(super) fn section<'a>(&'a mut self, name: &str) -> Section<'a> {
        Section { reader: self, before: format!("{name}.") }
    }

    /// The settings outside any section.
    pub(super) fn top(&mut self) -> Section<'_> {
        Section { reader: self, before: String::new() }
    }

    /// The names of the tables below a section, for tables with these settings. Each layer can add some: a table of the
    /// file may be empty, `--set` and variables name it with one of its settings.
    pub(super) fn table_names(&mut self, section: &str, settings: &[&str]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for ((parent, name), source) in &self.raw.tables {
            if parent == section {
                names.insert(name.clone());
            } else if let Some(outer) = parent.strip_prefix(&format!("{section}.")) {
                self.errors.push(ConfigError::Unknown {
                    name: format!("{parent}.{name}"),
                    source: source.clone(),
                    suggestion: Some(format!("[{section}.\"{outer}.{name}\"]")),
                });
            }
        }
        for flag in self.raw.flags.keys() {
            let table = flag.strip_prefix(&format!("{section}.")).and_then(|rest| rest.rsplit_once('.'));
            names.extend(table.filter(|(_, setting)| settings.contains(setting)).map(|(name, _)| name.to_owned()));
        }
        let in_variables = self.raw.tables_in_variables(section, settings, names.iter());
        names.extend(in_variables);
        names
    }

    /// Reports that a value contradicts another.
    pub(super) fn conflict(&mut self, key: &str, rule: impl Into<String>) {
        let table = || self.raw.tables.get(&key.split_once('.').map(|(section, name)| (section.into(), name.into()))?);
        let source = self.known.get(key).or_else(table).cloned().unwrap_or(Source::BuiltIn);
        self.errors.push(ConfigError::Conflict { key: key.to_owned(), source, rule: rule.into() });
    }

    /// Every key read so far.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<String> {
        self.known.keys().cloned().collect()
    }

    /// Every setting that was given so far, with its source.
    pub(super) fn take_given(&mut self) -> Vec<GivenSetting> {
        std::mem::take(&mut self.given)
    }

    /// Returns all errors, including one for each setting that was given but never read.
    pub(super) fn finish(mut self) -> Result<(), ConfigErrors> {
        let keys = self.known.keys().cloned().collect::<Vec<_>>();
        let mut unknown = Vec::new();
        for (name, entry) in &self.raw.file {
            unknown.push((name.clone(), entry.source.clone(), nearest(name, &keys, str::to_owned)));
        }
        for name in self.raw.unused_variables() {
            unknown.push((name.to_owned(), Source::Environment(name.to_owned()), nearest(name, &keys, variable)));
        }
        for name in self.raw.flags.keys() {
            unknown.push((name.clone(), Source::Flag, nearest(name, &keys, str::to_owned)));
        }
        self.errors.extend(unknown.into_iter().map(|(name, source, suggestion)| ConfigError::Unknown {
            name,
            source,
            suggestion,
        }));
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }

    fn take(&mut self, key: &str, secret: bool) -> Option<RawValue> {
        let own = variable(key);
        let aliases = self.aliases.iter().filter(|(_, means)| *means == key).map(|(name, _)| *name);
        let variables = std::iter::once(own.as_str()).chain(aliases).collect::<Vec<_>>();
        let entry = self.raw.take(key, &variables);
        let source = entry.as_ref().map_or(Source::BuiltIn, |entry| entry.source.clone());
        if let Some(RawValue { value, source }) = &entry {
            let value = (!secret).then(|| value.display());
            self.given.push(GivenSetting { name: key.to_owned(), value, source: source.clone() });
        }
        self.known.insert(key.to_owned(), source);
        if secret && entry.as_ref().is_some_and(|entry| entry.source == Source::Flag) {
            let allowed = format!("a file or {own}: every process on the machine can read a command line");
            self.errors.push(ConfigError::InvalidValue {
                key: key.to_owned(),
                source: Source::Flag,
                value: None,
                allowed,
            });
            return None;
        }
        entry
    }

    fn invalid<K: ValueType>(&mut self, key: &str, entry: &RawValue, value_type: &K) {
        let value = (!K::SECRET).then(|| entry.value.display());
        let source = entry.source.clone();
        self.errors.push(ConfigError::InvalidValue {
            key: key.to_owned(),
            source,
            value,
            allowed: value_type.allowed(),
        });
    }
}

/// The settings of one section.
pub(super) struct Section<'a> {
    reader: &'a mut Reader,
    before: String,
}

impl Section<'_> {
    /// Reads a setting that has a default.
    pub(super) fn read<K: ValueType>(&mut self, name: &str, value_type: K, default: K::Value) -> K::Value {
        self.read_option(name, value_type).unwrap_or(default)
    }

    /// Reads an optional setting.
    pub(super) fn read_option<K: ValueType>(&mut self, name: &str, value_type: K) -> Option<K::Value> {
        let key = format!("{}{name}", self.before);
        let entry = self.reader.take(&key, K::SECRET)?;
        let read = match &entry.value {
            crate::config::raw::Value::Text(text) => value_type.parse(text.trim()),
            crate::config::raw::Value::List(_) => None,
        };
        if read.is_none() {
            self.reader.invalid(&key, &entry, &value_type);
        }
        read
    }

    /// Reads a list; `None` if the setting is not given.
    pub(super) fn read_list<K: ValueType>(&mut self, name: &str, value_type: K) -> Option<Vec<K::Value>> {
        let key = format!("{}{name}", self.before);
        let entry = self.reader.take(&key, K::SECRET)?;
        let read: Option<Vec<_>> = entry.value.items().into_iter().map(|item| value_type.parse(item)).collect();
        if read.is_none() {
            self.reader.invalid(&key, &entry, &value_type);
        }
        read
    }
}

/// Returns the most similar name of a setting, as `spell` writes it, if the number of edits is at most a third of the
/// length of its last part. The whole length does not count: settings of one section have the rest in common.
fn nearest(name: &str, keys: &[String], spell: fn(&str) -> String) -> Option<String> {
    // One underscore in place of two is a common mistake, and no edit: SIGNET_SERVER_TLS_KEY has it twice.
    let normalize = |name: &str| name.to_lowercase().replace("__", "_");
    let name = normalize(name);
    keys.iter()
        .filter_map(|key| {
            let last_part = key.rsplit_once('.').map_or(key.as_str(), |(_, last_part)| last_part);
            let spelled = spell(key);
            let edits = strsim::osa_distance(&name, &normalize(&spelled));
            (edits <= last_part.len() / 3).then_some((edits, spelled))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, spelled)| spelled)
}
