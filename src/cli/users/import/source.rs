//! The records of one file, in whichever form it has, with one record in memory at a time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::super::CliError;
use super::super::super::arguments::ImportFrom;
use super::csv::CsvRecords;
use super::fields::Fields;
use super::firebase;
use super::json::{BrokenRecord, JsonRecords, Layout};
use super::reason::Reason;

type Input = Box<dyn BufRead>;

/// A record as it is in the file.
pub(super) enum Record {
    Json(Zeroizing<Vec<u8>>),
    Row(Fields),
    Broken(Reason),
}

enum Records {
    Json(JsonRecords<Input>),
    /// With the names of its columns.
    Csv(CsvRecords<Input>, Vec<String>),
}

/// The records of a file.
pub(super) struct Source {
    records: Records,
    number: u64,
}

impl Source {
    /// Checks that a file can be opened. A pipe is only found, because it can be read once.
    pub(super) fn check(path: &Path, from: ImportFrom) -> Result<(), CliError> {
        if path == Path::new("-") {
            return Ok(());
        }
        let metadata = fs::metadata(path).map_err(CliError::io(format!("opening {}", path.display())))?;
        if metadata.is_file() { Self::open(path, from).map(drop) } else { Ok(()) }
    }

    /// Opens a file; `-` is stdin.
    pub(super) fn open(path: &Path, from: ImportFrom) -> Result<Self, CliError> {
        let opening = || format!("opening {}", path.display());
        let mut input: Input = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(CliError::io(opening()))?))
        };
        let first = input.fill_buf().map_err(CliError::io(opening()))?;
        let starts_json = first.iter().find(|byte| !b" \t\r\n\xef\xbb\xbf".contains(byte));
        let is_json = starts_json.is_none_or(|byte| b"{[".contains(byte));
        let layout = match from {
            ImportFrom::Signet | ImportFrom::Auth0 => return Ok(Self::json(input, Layout::Plain)),
            ImportFrom::Keycloak => return Ok(Self::json(input, Layout::Users)),
            ImportFrom::Firebase if is_json => Layout::Users,
            ImportFrom::Supabase if is_json => Layout::Plain,
            ImportFrom::Firebase => {
                let columns = firebase::COLUMNS.iter().map(|column| (*column).to_owned()).collect();
                return Ok(Self { records: Records::Csv(CsvRecords::new(input), columns), number: 0 });
            }
            ImportFrom::Supabase | ImportFrom::Clerk => return Self::with_heading(input, path),
        };
        Ok(Self::json(input, layout))
    }

    fn json(input: Input, layout: Layout) -> Self {
        Self { records: Records::Json(JsonRecords::new(input, layout)), number: 0 }
    }

    fn with_heading(input: Input, path: &Path) -> Result<Self, CliError> {
        let mut rows = CsvRecords::new(input);
        let heading = rows.next().map_err(CliError::io(format!("reading {}", path.display())))?;
        let names = heading.and_then(Result::ok).unwrap_or_default();
        let columns: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        if !columns.iter().any(|column| column == "id") {
            return Err(CliError::Failed {
                problem: format!("the first row of {} does not name a column id", path.display()),
                remedy: "export with a heading; nothing was imported from this file".to_owned(),
            });
        }
        Ok(Self { records: Records::Csv(rows, columns), number: 1 })
    }

    /// The next record with its number, from 1. In CSV the heading is the first.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Record)>> {
        let record = match &mut self.records {
            Records::Json(records) => loop {
                self.number += 1;
                match records.next()? {
                    None => return Ok(None),
                    Some(Ok(text)) if text.iter().all(u8::is_ascii_whitespace) => {}
                    Some(Ok(text)) => break Record::Json(text),
                    Some(Err(error)) => break broken(error),
                }
            },
            Records::Csv(rows, columns) => {
                self.number += 1;
                match rows.next()? {
                    None => return Ok(None),
                    Some(Ok(row)) => match Fields::from_row(columns.as_slice(), &row) {
                        Ok(fields) => Record::Row(fields),
                        Err(reason) => Record::Broken(reason),
                    },
                    Some(Err(error)) => broken(error),
                }
            }
        };
        Ok(Some((self.number, record)))
    }
}

fn broken(error: BrokenRecord) -> Record {
    Record::Broken(Reason::invalid(error.to_string()))
}
