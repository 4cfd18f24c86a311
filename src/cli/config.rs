//! `signet config`: shows the settings.

use serde::Serialize;

use super::CliError;
use super::arguments::ConfigCommand;
use super::output::{Columns, Output, or_dash};
use crate::config::{Config, Setting, Source};

/// A setting as printed.
#[derive(Serialize)]
struct SettingRow {
    name: String,
    value: Option<String>,
    /// `default`, `file`, `environment` or `flag`.
    source: &'static str,
    /// The file and the line, or the variable.
    from: String,
    secret: bool,
    description: String,
}

const COLUMNS: Columns<SettingRow> = &[
    ("setting", |row| row.name.clone()),
    ("value", |row| or_dash(row.value.as_ref())),
    ("source", |row| row.from.clone()),
];

pub(super) fn run(command: &ConfigCommand, config: &Config, output: &mut Output<'_>) -> Result<(), CliError> {
    let ConfigCommand::Show { changed } = command;
    let is_shown = |setting: &Setting| !changed || setting.is_changed;
    let rows: Vec<_> = config.settings().into_iter().filter(is_shown).map(SettingRow::from).collect();
    output.rows(&rows, COLUMNS)
}

impl From<Setting> for SettingRow {
    fn from(setting: Setting) -> Self {
        let from = setting.source.to_string();
        let source = match setting.source {
            Source::BuiltIn => "default",
            Source::File { .. } => "file",
            Source::Environment(_) => "environment",
            Source::Flag => "flag",
        };
        let Setting { name, value, is_secret, description, .. } = setting;
        Self { name, value, source, from, secret: is_secret, description }
    }
}
