//! The settings as an operator sees them: each with its value, where that comes from, and what `config.toml` says of it.
//!
//! The file that documents the settings has every one with its default, which a test checks. Names and texts are read
//! from it when somebody asks, so nothing is kept in memory for them.

use super::error::Source;
use super::{Config, config_toml_setting};

/// The file that documents every setting.
const DOCUMENTED: &str = include_str!("../../config.toml");

/// The text shown in place of a secret.
pub const MASK: &str = "…";

/// A setting that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenSetting {
    /// Its name.
    pub(super) name: String,
    /// The value as it was written; `None` if it is secret.
    pub(super) value: Option<String>,
    /// The place where it was given.
    pub(super) source: Source,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, such as `server.listen`.
    pub name: String,
    /// The value as it is written in the settings: [`MASK`] if it is secret. `None` if it has none and is not given.
    pub value: Option<String>,
    /// The source of the value.
    pub source: Source,
    /// True if the value is not the default. A settings file may repeat defaults, as the file of the packages does.
    pub is_changed: bool,
    /// True if the value is secret.
    pub is_secret: bool,
    /// Its description in the file; empty for a setting of a table that the file has only as an example.
    pub description: String,
}

/// A setting of the file.
struct Documented {
    name: String,
    /// The default; `None` if the file has only an example.
    default: Option<String>,
    description: String,
}

impl Config {
    /// Every setting in the order of `config.toml`, then those of tables that operators name themselves.
    pub fn settings(&self) -> Vec<Setting> {
        let mut given: Vec<&GivenSetting> = self.given.iter().collect();
        let mut settings = Vec::new();
        for Documented { name, default, description } in documented() {
            let found = given.iter().position(|setting| setting.name == name).map(|at| given.remove(at));
            settings.push(match found {
                Some(setting) => {
                    // A secret has no default, and its value is not kept here.
                    let is_changed = setting.value.is_none() || setting.value != default;
                    Setting { is_changed, ..setting.described(description) }
                }
                None => {
                    let (source, is_changed, is_secret) = (Source::BuiltIn, false, false);
                    Setting { name, value: default, source, is_changed, is_secret, description }
                }
            });
        }
        settings.extend(given.into_iter().map(|setting| setting.described(String::new())));
        settings
    }
}

impl GivenSetting {
    fn described(&self, description: String) -> Setting {
        Setting {
            name: self.name.clone(),
            value: Some(self.value.clone().unwrap_or_else(|| MASK.to_owned())),
            source: self.source.clone(),
            is_changed: true,
            is_secret: self.value.is_none(),
            description,
        }
    }
}

/// The settings of the file, without those of tables that it has only as an example.
fn documented() -> Vec<Documented> {
    let (mut section, mut text, mut settings) = (String::new(), Vec::new(), Vec::<Documented>::new());
    let mut is_example_table = false;
    for line in DOCUMENTED.lines() {
        let (shown, is_comment) = line.strip_prefix("# ").map_or((line, false), |shown| (shown, true));
        let table = shown.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(table) = table.filter(|_| !is_comment || shown.starts_with("[audiences.")) {
            (section, is_example_table) = (table.to_owned(), is_comment);
            text.clear();
        } else if let Some((key, value)) = config_toml_setting(shown) {
            let name = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            let default = (!is_comment).then(|| value.trim_matches('"').to_owned());
            // The settings of the first dialect have texts that hold for all. Settings that follow each other share a text.
            let shared = || settings.last().filter(|last| section_of(&last.name) == section);
            let description = match text.is_empty() {
                true => find_similar(&settings, &name).or_else(shared).map(|other| other.description.clone()),
                false => Some(text.join(" ")),
            };
            let description = description.unwrap_or_default();
            if !is_example_table {
                settings.push(Documented { name, default, description });
            }
            text.clear();
        } else if is_comment {
            text.push(shown.trim());
        } else {
            text.clear();
        }
    }
    settings
}

/// The name of the section of a setting.
fn section_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(section, _)| section)
}

/// The text of a setting of the same name in a similar section, such as `api.native.enabled` for `api.v1.enabled`.
fn find_similar<'a>(settings: &'a [Documented], name: &str) -> Option<&'a Documented> {
    let ends = |name: &str| {
        let (first, last) = (name.split('.').next(), name.rsplit('.').next());
        (first.map(str::to_owned), last.map(str::to_owned))
    };
    settings.iter().find(|other| ends(&other.name) == ends(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_text() {
        for Documented { name, description, .. } in documented() {
            assert!(!description.is_empty(), "{name}");
        }
    }
}
