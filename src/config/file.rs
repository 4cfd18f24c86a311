//! Parses the TOML file into raw settings, each with its line. Knows no individual setting; unknown ones are refused
//! later.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::{ConfigError, Source};
use crate::config::raw::{RawConfig, RawValue, Value};

impl RawConfig {
    /// Adds the settings of a file.
    pub(super) fn add_file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.add_toml(path, &text),
            Err(error) => self.unreadable(path, format!("cannot be read: {error}")),
        }
    }

    /// Adds the settings of a file's text.
    pub(super) fn add_toml(&mut self, path: &Path, text: &str) {
        let line_of = |span: Range<usize>| 1 + text[..span.start.min(text.len())].matches('\n').count();
        match DeTable::parse(text) {
            Ok(table) => self.add_table(
                &mut |span| Source::File { path: path.to_owned(), line: line_of(span) },
                "",
                table.get_ref(),
            ),
            // The message only: the full error quotes the line, which may contain a secret.
            Err(error) => {
                let line = error.span().map(line_of).map(|line| format!("line {line}: ")).unwrap_or_default();
                self.unreadable(path, format!("{line}{}", error.message().trim()));
            }
        }
    }

    fn unreadable(&mut self, path: &Path, problem: String) {
        self.errors.push(ConfigError::Unreadable { path: path.to_owned(), problem });
    }

    fn add_table(&mut self, source: &mut dyn FnMut(Range<usize>) -> Source, before: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{before}{}", name.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                let parent = before.trim_end_matches('.').to_owned();
                self.tables.insert((parent, name.get_ref().to_string()), source(name.span()));
                self.add_table(source, &format!("{key}."), inner);
                continue;
            }
            let source = source(name.span());
            match parse_value(value) {
                Some(value) => {
                    self.file.insert(key, RawValue { value, source });
                }
                None => self.errors.push(ConfigError::InvalidValue {
                    key,
                    source,
                    value: None,
                    allowed: "a string, a number, true or false, or a list of strings".to_owned(),
                }),
            }
        }
    }
}

fn parse_value(value: &Spanned<DeValue<'_>>) -> Option<Value> {
    match value.get_ref() {
        DeValue::Array(items) => {
            items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>().map(Value::List)
        }
        value => scalar(value).map(Value::Text),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
