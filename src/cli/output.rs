//! Printing: tables for people, JSON for scripts. Knows nothing about the printed data.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::CliError;

/// The columns of a table: each has a heading and a function from a row to its cell.
pub(super) type Columns<T> = &'static [(&'static str, fn(&T) -> String)];

/// The output of one command.
pub(super) struct Output<'a> {
    writer: &'a mut dyn Write,
    json: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(writer: &'a mut dyn Write, json: bool) -> Self {
        Self { writer, json }
    }

    /// True with `--json`.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints many rows: a table, or an array.
    pub(super) fn rows<T: Serialize>(&mut self, rows: &[T], columns: Columns<T>) -> Result<(), CliError> {
        if self.json {
            return self.json(&rows);
        }
        let cells =
            |row: &T| columns.iter().map(|(_, cell)| without_control_characters(&cell(row))).collect::<Vec<_>>();
        let heading = columns.iter().map(|(name, _)| name.to_uppercase()).collect::<Vec<_>>();
        let lines = std::iter::once(heading).chain(rows.iter().map(cells)).collect::<Vec<_>>();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths = (0..columns.len()).map(width).collect::<Vec<_>>();
        for line in &lines {
            let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
            self.line(padded.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Prints one row: its fields below each other, or an object.
    pub(super) fn one<T: Serialize>(&mut self, row: &T, columns: Columns<T>) -> Result<(), CliError> {
        if self.json {
            return self.json(row);
        }
        let width = columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        columns.iter().try_for_each(|(name, cell)| {
            self.line(format!("{name:width$}  {}", without_control_characters(&cell(row))).trim_end())
        })
    }

    /// Prints JSON on one line, with or without `--json`.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(value).map_err(|error| CliError::io("printing")(error.into()))?;
        self.line(&escape_control_characters(&line))
    }

    /// Prints a sentence for people. Omitted with `--json`, because scripts read the data and the exit code.
    pub(super) fn note(&mut self, sentence: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.line(&without_control_characters(sentence)) }
    }

    /// Prints a warning to stderr: the command succeeds, but the operator should know this.
    pub(super) fn warn(&mut self, warning: &str) -> Result<(), CliError> {
        let line = match self.json {
            true => serde_json::json!({"warning": {"message": warning}}).to_string(),
            false => format!("signet: warning: {warning}"),
        };
        let line = if self.json { escape_control_characters(&line) } else { without_control_characters(&line).into() };
        io::stderr().write_all(format!("{line}\n").as_bytes()).map_err(CliError::io("printing"))
    }

    /// Prints text unchanged.
    pub(super) fn text(&mut self, text: &[u8]) -> Result<(), CliError> {
        self.writer.write_all(text).map_err(CliError::io("printing"))
    }

    /// Prints one line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.writer, "{line}").map_err(CliError::io("printing"))
    }

    /// Prints indented JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| CliError::io("printing")(error.into()))?;
        self.line(&escape_control_characters(&text))
    }
}

/// Returns true for control characters, also those that change the direction of the text: users choose their names, and
/// an escape sequence in one could rewrite the operator's terminal. None has a code of more than four digits.
fn controls_terminal(letter: char) -> bool {
    let is_direction =
        matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || is_direction
}

/// Replaces these characters.
fn without_control_characters(text: &str) -> String {
    text.chars().map(|letter| if controls_terminal(letter) { '\u{fffd}' } else { letter }).collect()
}

/// Escapes these characters in a JSON text. JSON itself demands that only for codes below U+0020, and some terminals take
/// U+009B for the beginning of an escape sequence. Programs read the same text.
fn escape_control_characters(json: &str) -> Cow<'_, str> {
    // Indented JSON has line breaks between its values. In a string, they are escaped.
    let is_unsafe = |letter: char| letter != '\n' && controls_terminal(letter);
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let escape = |letter: char| match is_unsafe(letter) {
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.to_string(),
    };
    json.chars().map(escape).collect()
}

/// A boolean as a table cell.
pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// An optional value as a table cell.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
