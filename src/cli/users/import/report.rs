//! The report of an import: a summary for the terminal or as JSON, and a file with a line for each user who was not
//! imported, or only in part.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use super::super::super::CliError;
use super::super::super::output::Output;
use super::reason::{Reason, ReasonCode};

/// The most records that the summary lists one by one. The file has all.
const MAX_LISTED: usize = 1000;

/// The position of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordPosition {
    /// The file, if there are several.
    pub(super) file: Option<String>,
    /// The number of the line, row or element, from 1.
    pub(super) number: u64,
}

/// A user as a record names it.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) id: Option<String>,
    pub(super) email: Option<String>,
}

/// The result for a user who was not imported in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordResult {
    LeftOut,
    InPart,
    /// Imported before, in part.
    Exists,
}

/// A line of the file.
#[derive(Serialize)]
struct ReportLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    record: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    result: RecordResult,
    reasons: &'a [Reason],
}

/// A record that created no user, as printed.
#[derive(Debug, PartialEq, Serialize)]
struct SkippedRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    line: u64,
    why: String,
    /// True if the record itself is invalid.
    faulty: bool,
}

/// The result of an import, as printed.
#[derive(Default, Serialize)]
pub(super) struct ImportReport {
    #[serde(skip_serializing_if = "is_false")]
    dry_run: bool,
    imported: u64,
    /// Users who were there, recognized by their id in the other system.
    #[serde(skip_serializing_if = "is_zero")]
    existing: u64,
    left_out: Vec<SkippedRecord>,
    /// Records left out that `left_out` does not list.
    #[serde(skip_serializing_if = "is_zero")]
    more_left_out: u64,
    /// Users who were imported in part.
    #[serde(skip_serializing_if = "is_zero")]
    in_part: u64,
    /// The reasons why users were left out or imported in part. A user can have several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<ReasonCode, u64>,
    /// Imported users who had a second factor in the other system and have none here.
    #[serde(skip_serializing_if = "is_zero")]
    without_second_factor: u64,
    /// Imported users whose password hash has another format than new ones.
    #[serde(skip_serializing_if = "is_zero")]
    other_hash_formats: u64,
    #[serde(skip)]
    faulty: u64,
    /// The word for a record: a line, or a record.
    #[serde(skip)]
    unit: &'static str,
    #[serde(skip)]
    file: Option<BufWriter<File>>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ImportReport {
    /// Creates the file, which names users: only its owner can read it.
    pub(super) fn create(dry_run: bool, unit: &'static str, path: Option<&Path>) -> Result<Self, CliError> {
        let file = path.map(|path| {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            file.map(BufWriter::new).map_err(CliError::io(format!("creating {}", path.display())))
        });
        Ok(Self { dry_run, unit, file: file.transpose()?, ..Self::default() })
    }

    pub(super) fn imported(&self) -> u64 {
        self.imported
    }

    /// Counts a user who was imported, or would be.
    pub(super) fn add_imported(
        &mut self,
        position: &RecordPosition,
        named: &Named,
        missing: &[Reason],
        other_hash_format: bool,
        lost_second_factor: bool,
    ) -> Result<(), CliError> {
        self.imported += 1;
        self.other_hash_formats += u64::from(other_hash_format);
        self.without_second_factor += u64::from(lost_second_factor);
        if missing.is_empty() {
            return Ok(());
        }
        self.in_part += 1;
        self.count(missing);
        self.write(position, named, RecordResult::InPart, missing)
    }

    /// Counts a user who was imported before.
    pub(super) fn add_existing(
        &mut self,
        position: &RecordPosition,
        named: &Named,
        missing: &[Reason],
    ) -> Result<(), CliError> {
        self.existing += 1;
        if missing.is_empty() { Ok(()) } else { self.write(position, named, RecordResult::Exists, missing) }
    }

    /// Counts a record that creates no user. `why` is for people.
    pub(super) fn leave_out(
        &mut self,
        position: &RecordPosition,
        named: &Named,
        reason: Reason,
        why: String,
        faulty: bool,
    ) -> Result<(), CliError> {
        self.faulty += u64::from(faulty);
        if self.left_out.len() < MAX_LISTED {
            let (file, line) = (position.file.clone(), position.number);
            self.left_out.push(SkippedRecord { file, line, why, faulty });
        } else {
            self.more_left_out += 1;
        }
        let reasons = [reason];
        self.count(&reasons);
        self.write(position, named, RecordResult::LeftOut, &reasons)
    }

    fn count(&mut self, reasons: &[Reason]) {
        for (at, reason) in reasons.iter().enumerate() {
            // A user with two reasons of a kind is one user.
            let is_first = reasons.iter().take(at).all(|earlier| earlier.code != reason.code);
            *self.reasons.entry(reason.code).or_default() += u64::from(is_first);
        }
    }

    fn write(
        &mut self,
        position: &RecordPosition,
        named: &Named,
        result: RecordResult,
        reasons: &[Reason],
    ) -> Result<(), CliError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = ReportLine {
            file: position.file.as_deref(),
            record: position.number,
            id: named.id.as_deref(),
            email: named.email.as_deref(),
            result,
            reasons,
        };
        let written = serde_json::to_writer(&mut *file, &line).map_err(std::io::Error::from);
        written.and_then(|()| file.write_all(b"\n")).map_err(CliError::io("writing the report"))
    }

    /// Writes what is buffered, so that an interrupted import leaves a report of what it did.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        match &mut self.file {
            Some(file) => file.flush().map_err(CliError::io("writing the report")),
            None => Ok(()),
        }
    }

    /// Prints the summary. Fails if records are invalid. `count_reasons` is false for Signet's format, whose records
    /// are imported in full or not at all.
    pub(super) fn print(mut self, output: &mut Output<'_>, count_reasons: bool) -> Result<(), CliError> {
        self.left_out.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        if !count_reasons {
            self.reasons.clear();
        }
        if output.is_json() {
            output.json(&self)?;
        }
        for skipped in &self.left_out {
            let file = skipped.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
            output.note(&format!("{file}{} {}: left out: {}", self.unit, skipped.line, skipped.why))?;
        }
        if self.more_left_out > 0 {
            output.note(&format!("{} more left out: --report FILE lists all of them", self.more_left_out))?;
        }
        if self.without_second_factor > 0 {
            let count = self.without_second_factor;
            output.note(&format!("{count} imported without their second factor: they must enroll it again"))?;
        }
        if self.other_hash_formats > 0 {
            let count = self.other_hash_formats;
            output.note(&format!(
                "{count} with a password hash of another format: until they have signed in, the time of a refused \
                 sign-in tells their accounts from others, unless passwords.refusal_step is longer than a check takes"
            ))?;
        }
        if !self.reasons.is_empty() {
            output.note(&format!("{} imported in part. Of these and those left out:", self.in_part))?;
        }
        for (code, count) in &self.reasons {
            output.note(&format!("  {}", code.describe(*count)))?;
        }
        if self.existing > 0 {
            output.note(&format!("{} exist already and are as they were", self.existing))?;
        }
        let left_out = self.left_out.len() as u64 + self.more_left_out;
        if self.dry_run {
            output.note(&format!("{} would be imported, {left_out} left out; nothing was written", self.imported))?;
        } else {
            output.note(&format!("{} imported, {left_out} left out", self.imported))?;
        }
        match self.faulty {
            0 => Ok(()),
            faulty => Err(CliError::Failed {
                problem: format!("{faulty} {}s are invalid", self.unit),
                remedy: "correct them and import the file again: existing users are left out".to_owned(),
            }),
        }
    }
}
