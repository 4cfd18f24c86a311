//! How data is printed: tables for people, JSON for scripts. Knows nothing of what is printed.

use std::io::Write;

use serde::Serialize;

use super::CliError;

/// The columns of a table: what stands above each, and how a row fills it.
pub(super) type Columns<T> = &'static [(&'static str, fn(&T) -> String)];

/// Where a command prints.
pub(super) struct Output<'a> {
    to: &'a mut dyn Write,
    json: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(to: &'a mut dyn Write, json: bool) -> Self {
        Self { to, json }
    }

    /// Whether a script reads.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Many of one kind: a table, or an array.
    pub(super) fn rows<T: Serialize>(&mut self, rows: &[T], columns: Columns<T>) -> Result<(), CliError> {
        if self.json {
            return self.json(&rows);
        }
        let cells = |row: &T| columns.iter().map(|(_, cell)| visible(&cell(row))).collect::<Vec<_>>();
        let head = columns.iter().map(|(name, _)| name.to_uppercase()).collect::<Vec<_>>();
        let lines = std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths = (0..columns.len()).map(width).collect::<Vec<_>>();
        for line in &lines {
            let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
            self.line(padded.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// One: its fields below each other, or an object.
    pub(super) fn one<T: Serialize>(&mut self, row: &T, columns: Columns<T>) -> Result<(), CliError> {
        if self.json {
            return self.json(row);
        }
        let width = columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        columns
            .iter()
            .try_for_each(|(name, cell)| self.line(format!("{name:width$}  {}", visible(&cell(row))).trim_end()))
    }

    /// An object on a line of its own, whoever reads.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(value).map_err(|error| CliError::io("printing")(error.into()))?;
        self.line(&line)
    }

    /// A sentence for people; scripts are told by the exit code and the data.
    pub(super) fn say(&mut self, sentence: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.line(sentence) }
    }

    /// Text as it is.
    pub(super) fn text(&mut self, text: &[u8]) -> Result<(), CliError> {
        self.to.write_all(text).map_err(CliError::io("printing"))
    }

    /// A line of text.
    pub(super) fn line(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.to, "{line}").map_err(CliError::io("printing"))
    }

    /// Any data as JSON, laid out to be read.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| CliError::io("printing")(error.into()))?;
        self.line(&text)
    }
}

/// Names are written by their owners: a control character in one could make the operator's terminal say anything.
fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A yes or no in a table.
pub(super) fn yes(truth: bool) -> String {
    if truth { "yes" } else { "no" }.to_owned()
}

/// Something that may be missing, in a table.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
