//! Draws settings out of what was written, one key at a time, and gathers every fault on the way: a fault does not stop
//! the reading, it puts the built-in value in its place, so that all of them are told at once. Knows no setting.

use std::collections::BTreeMap;

use super::environment::variable;
use crate::config::error::{ConfigError, Faults, Source};
use crate::config::raw::{Entry, RawConfig};
use crate::config::values::Kind;

/// See above.
pub(super) struct Reader {
    written: RawConfig,
    /// The variables by which the rest of the world knows a key.
    honoured: &'static [(&'static str, &'static str)],
    /// Every key that was asked for, and where it was found.
    known: BTreeMap<String, Source>,
    faults: Vec<ConfigError>,
}

impl Reader {
    pub(super) fn new(mut written: RawConfig, honoured: &'static [(&'static str, &'static str)]) -> Self {
        let faults = std::mem::take(&mut written.faults);
        Self { written, honoured, known: BTreeMap::new(), faults }
    }

    /// The settings whose keys begin with `name` and a dot.
    pub(super) fn section<'a>(&'a mut self, name: &str) -> Section<'a> {
        Section { reader: self, before: format!("{name}.") }
    }

    /// The settings that stand in no section.
    pub(super) fn top(&mut self) -> Section<'_> {
        Section { reader: self, before: String::new() }
    }

    /// Says that a value does not go with another.
    pub(super) fn conflict(&mut self, key: &str, rule: impl Into<String>) {
        let source = self.known.get(key).cloned().unwrap_or(Source::BuiltIn);
        self.faults.push(ConfigError::Conflict { key: key.to_owned(), source, rule: rule.into() });
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<String> {
        self.known.keys().cloned().collect()
    }

    /// What was wrong, including all that was written and that nobody has asked for.
    pub(super) fn finish(mut self) -> Result<(), Faults> {
        let keys = self.known.keys().cloned().collect::<Vec<_>>();
        let variables = keys.iter().map(|key| variable(key)).collect::<Vec<_>>();
        let mut unknown = Vec::new();
        for (name, entry) in &self.written.file {
            unknown.push((name.clone(), entry.source.clone(), nearest(name, &keys)));
        }
        for name in self.written.left_in_environment() {
            unknown.push((name.to_owned(), Source::Environment(name.to_owned()), nearest(name, &variables)));
        }
        for name in self.written.flags.keys() {
            unknown.push((name.clone(), Source::Flag, nearest(name, &keys)));
        }
        self.faults.extend(unknown.into_iter().map(|(name, source, meant)| ConfigError::Unknown {
            name,
            source,
            meant,
        }));
        if self.faults.is_empty() { Ok(()) } else { Err(Faults(self.faults)) }
    }

    fn take(&mut self, key: &str, secret: bool) -> Option<Entry> {
        let own = variable(key);
        let honoured = self.honoured.iter().filter(|(_, means)| *means == key).map(|(name, _)| *name);
        let variables = std::iter::once(own.as_str()).chain(honoured).collect::<Vec<_>>();
        let entry = self.written.take(key, &variables);
        let source = entry.as_ref().map_or(Source::BuiltIn, |entry| entry.source.clone());
        self.known.insert(key.to_owned(), source);
        if secret && entry.as_ref().is_some_and(|entry| entry.source == Source::Flag) {
            let allowed = format!("a file or {own}: every process of the machine can read a command line");
            self.faults.push(ConfigError::Bad { key: key.to_owned(), source: Source::Flag, value: None, allowed });
            return None;
        }
        entry
    }

    fn bad<K: Kind>(&mut self, key: &str, entry: &Entry, kind: &K) {
        let value = (!K::SECRET).then(|| entry.value.shown());
        let source = entry.source.clone();
        self.faults.push(ConfigError::Bad { key: key.to_owned(), source, value, allowed: kind.allowed() });
    }
}

/// The settings of one section.
pub(super) struct Section<'a> {
    reader: &'a mut Reader,
    before: String,
}

impl Section<'_> {
    /// A setting that always has a value.
    pub(super) fn read<K: Kind>(&mut self, name: &str, kind: K, built_in: K::Value) -> K::Value {
        self.read_option(name, kind).unwrap_or(built_in)
    }

    /// A setting that may be left out.
    pub(super) fn read_option<K: Kind>(&mut self, name: &str, kind: K) -> Option<K::Value> {
        let key = format!("{}{name}", self.before);
        let entry = self.reader.take(&key, K::SECRET)?;
        let read = match &entry.value {
            crate::config::raw::Value::Text(text) => kind.read(text.trim()),
            crate::config::raw::Value::List(_) => None,
        };
        if read.is_none() {
            self.reader.bad(&key, &entry, &kind);
        }
        read
    }

    /// A setting of which there can be several; none if it was not written at all.
    pub(super) fn read_list<K: Kind>(&mut self, name: &str, kind: K) -> Option<Vec<K::Value>> {
        let key = format!("{}{name}", self.before);
        let entry = self.reader.take(&key, K::SECRET)?;
        let read: Option<Vec<_>> = entry.value.items().into_iter().map(|item| kind.read(item)).collect();
        if read.is_none() {
            self.reader.bad(&key, &entry, &kind);
        }
        read
    }
}

/// The name most like the one written, if it is like it at all.
fn nearest(name: &str, names: &[String]) -> Option<String> {
    names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate.clone())
}
