//! Reads the rows of a CSV file (RFC 4180) one by one.
//!
//! Lenient where programs differ: a quotation mark within a quoted field that is not doubled belongs to the field, unless
//! a comma or the end of the line follows: `firebase auth:export` does not double those of names. Holds one row at a
//! time, and reads each byte once.

use std::io::{self, BufRead};

use zeroize::Zeroizing;

use super::bytes::Bytes;
use super::json::{BrokenRecord, MAX_RECORD};

/// The most fields of a row: more than the columns of any export.
const MAX_FIELDS: usize = 256;

/// A row's fields, or why it has none.
pub(super) type Row = Result<Vec<Zeroizing<Vec<u8>>>, BrokenRecord>;

/// The rows of a file.
pub(super) struct CsvRecords<R> {
    input: R,
    started: bool,
}

/// A row while it is read.
#[derive(Default)]
struct Building {
    fields: Vec<Zeroizing<Vec<u8>>>,
    field: Zeroizing<Vec<u8>>,
    length: usize,
}

impl Building {
    fn push(&mut self, byte: u8) {
        self.length += 1;
        if self.length <= MAX_RECORD {
            self.field.push(byte);
        }
    }

    fn end_field(&mut self) {
        self.length += 1;
        if self.fields.len() <= MAX_FIELDS {
            self.fields.push(std::mem::take(&mut self.field));
        }
    }

    fn finish(mut self) -> Row {
        self.end_field();
        let too_long = self.length > MAX_RECORD || self.fields.len() > MAX_FIELDS;
        if too_long { Err(BrokenRecord::TooLong) } else { Ok(self.fields) }
    }
}

impl<R: BufRead> CsvRecords<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, started: false }
    }

    /// The next row that is not blank; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        while let Some(byte) = self.input.peek()? {
            // A byte order mark is only at the beginning.
            let is_mark = !self.started && matches!(byte, 0xEF | 0xBB | 0xBF);
            if !(is_mark || matches!(byte, b'\r' | b'\n')) {
                break;
            }
            self.input.consume(1);
        }
        self.started = true;
        if self.input.peek()?.is_none() {
            return Ok(None);
        }
        let mut row = Building::default();
        let (mut quoted, mut at_start) = (false, true);
        while let Some(byte) = self.input.take_byte()? {
            match byte {
                b'"' if quoted => match self.input.peek()? {
                    Some(b'"') => {
                        self.input.consume(1);
                        row.push(b'"');
                    }
                    Some(b',' | b'\r' | b'\n') | None => quoted = false,
                    Some(_) => row.push(b'"'),
                },
                _ if quoted => row.push(byte),
                b'"' if at_start => {
                    quoted = true;
                    at_start = false;
                }
                b',' => {
                    row.end_field();
                    at_start = true;
                }
                b'\r' if self.input.peek()? == Some(b'\n') => {}
                b'\n' => return Ok(Some(row.finish())),
                _ => {
                    row.push(byte);
                    at_start = false;
                }
            }
        }
        Ok(Some(if quoted { Err(BrokenRecord::Unfinished) } else { row.finish() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Vec<String>, BrokenRecord>> {
        let mut rows = CsvRecords::new(text.as_bytes());
        let row = |row: Row| {
            row.map(|fields| fields.iter().map(|field| String::from_utf8(field.to_vec()).unwrap()).collect())
        };
        std::iter::from_fn(|| rows.next().unwrap()).map(row).collect()
    }

    #[test]
    fn fields_may_be_quoted() {
        let rows = read("\u{feff}a,b\r\n\r\n\"x,\"\"y\"\"\nz\",\n\"Ann \"The\" B, C\",5\"\n");
        let expected = [vec!["a", "b"], vec!["x,\"y\"\nz", ""], vec!["Ann \"The\" B, C", "5\""]];
        assert_eq!(rows, expected.map(|row| Ok(row.into_iter().map(str::to_owned).collect::<Vec<_>>())));
        assert_eq!(read(""), []);
    }

    #[test]
    fn broken_rows_have_bounds() {
        assert_eq!(read("a,\"b\nc"), [Err(BrokenRecord::Unfinished)]);
        let long = format!("{}\n1", "x".repeat(MAX_RECORD + 1));
        assert_eq!(read(&long), [Err(BrokenRecord::TooLong), Ok(vec!["1".to_owned()])]);
        let many = format!("{}\n1", ",".repeat(MAX_FIELDS));
        assert_eq!(read(&many), [Err(BrokenRecord::TooLong), Ok(vec!["1".to_owned()])]);
    }
}
