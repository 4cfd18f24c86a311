//! Reads the records of a JSON file one by one: lines, the elements of an array, or those of the members `users` of an
//! object.
//!
//! Only finds where a record begins and ends. Holds one record at a time, and reads each byte once, so a file may be of
//! any size. A record that is not JSON, but has balanced brackets and quotation marks, does not affect the others.

use std::io::{self, BufRead};

use zeroize::Zeroizing;

use super::bytes::Bytes;

/// The largest record. More than any of the systems stores of a user in practice, and little enough to parse at once.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// The member that holds the users, in quotation marks.
const USERS: &[u8] = b"\"users\"";

/// The place of the records in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One on each line, or the elements of one array.
    Plain,
    /// The elements of every array that is the member `users` of the outermost object, or of an object of the outermost
    /// array.
    Users,
}

/// Why a record has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BrokenRecord {
    #[error("it is longer than {MAX_RECORD} bytes")]
    TooLong,
    #[error("the file ends in the middle of it")]
    Unfinished,
}

/// A record's text, or why it has none.
pub(super) type RecordText = Result<Zeroizing<Vec<u8>>, BrokenRecord>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Lines,
    Elements,
    /// Before the next member `users`.
    Seek,
    Done,
}

/// The records of a file.
pub(super) struct JsonRecords<R> {
    input: R,
    layout: Layout,
    state: State,
    /// Brackets that are open while seeking.
    depth: usize,
    /// The depth of the members among which `users` is.
    members_at: usize,
    /// Blank lines at the beginning.
    leading_lines: u64,
}

impl<R: BufRead> JsonRecords<R> {
    pub(super) fn new(input: R, layout: Layout) -> Self {
        Self { input, layout, state: State::Start, depth: 0, members_at: 1, leading_lines: 0 }
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<RecordText>> {
        loop {
            match self.state {
                State::Start => self.start()?,
                State::Lines => return self.line(),
                State::Elements => match self.element()? {
                    Some(element) => return Ok(Some(element)),
                    None => self.state = self.after_elements(),
                },
                State::Seek => {
                    if !self.seek()? {
                        self.state = State::Done;
                        if self.depth > 0 {
                            return Ok(Some(Err(BrokenRecord::Unfinished)));
                        }
                    }
                }
                State::Done => return Ok(None),
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        self.skip_whitespace()?;
        let first = self.input.peek()?;
        if first == Some(b'[') && self.layout == Layout::Users {
            self.members_at = 2;
        }
        self.state = match (self.layout, first) {
            (Layout::Users, _) => State::Seek,
            (Layout::Plain, Some(b'[')) => {
                self.input.consume(1);
                State::Elements
            }
            (Layout::Plain, _) => State::Lines,
        };
        Ok(())
    }

    fn after_elements(&self) -> State {
        match self.layout {
            Layout::Users => State::Seek,
            Layout::Plain => State::Done,
        }
    }

    /// The next line. A blank one is an empty text, so that lines can be counted.
    fn line(&mut self) -> io::Result<Option<RecordText>> {
        if self.leading_lines > 0 {
            self.leading_lines -= 1;
            return Ok(Some(Ok(Zeroizing::default())));
        }
        if self.input.peek()?.is_none() {
            return Ok(None);
        }
        let (mut line, mut too_long) = (Zeroizing::new(Vec::new()), false);
        while let Some(byte) = self.input.take_byte()?.filter(|byte| *byte != b'\n') {
            push(&mut line, byte, &mut too_long);
        }
        Ok(Some(if too_long { Err(BrokenRecord::TooLong) } else { Ok(line) }))
    }

    /// The next element of an array. `None` at its end.
    fn element(&mut self) -> io::Result<Option<RecordText>> {
        loop {
            match self.input.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',') => self.input.consume(1),
                Some(b']') => {
                    self.input.consume(1);
                    return Ok(None);
                }
                Some(_) => break,
                None => {
                    self.state = State::Done;
                    return Ok(Some(Err(BrokenRecord::Unfinished)));
                }
            }
        }
        let (mut text, mut too_long) = (Zeroizing::new(Vec::new()), false);
        let mut nesting = Nesting::default();
        while let Some(byte) = self.input.peek()? {
            if nesting.is_outside() && matches!(byte, b',' | b']') {
                break;
            }
            self.input.consume(1);
            push(&mut text, byte, &mut too_long);
            if nesting.step(byte) {
                break;
            }
        }
        if !nesting.is_outside() {
            self.state = State::Done;
            return Ok(Some(Err(BrokenRecord::Unfinished)));
        }
        Ok(Some(if too_long { Err(BrokenRecord::TooLong) } else { Ok(text) }))
    }

    /// Goes to the first element of the next member `users`. `false` if there is none.
    fn seek(&mut self) -> io::Result<bool> {
        while let Some(byte) = self.input.take_byte()? {
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b'"' => {
                    let is_users = self.is_users_string()?;
                    if !is_users || self.depth != self.members_at {
                        continue;
                    }
                    self.skip_whitespace()?;
                    if self.input.peek()? != Some(b':') {
                        continue;
                    }
                    self.input.consume(1);
                    self.skip_whitespace()?;
                    if self.input.peek()? == Some(b'[') {
                        self.input.consume(1);
                        self.state = State::Elements;
                        return Ok(true);
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// Reads the rest of a string whose opening quotation mark was read. True if it is `users`.
    fn is_users_string(&mut self) -> io::Result<bool> {
        let (mut at, mut equal, mut escaped) = (1, true, false);
        while let Some(byte) = self.input.take_byte()? {
            equal = equal && USERS.get(at) == Some(&byte);
            at += 1;
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return Ok(equal && at == USERS.len()),
                _ => {}
            }
        }
        Ok(false)
    }

    fn skip_whitespace(&mut self) -> io::Result<()> {
        // A byte order mark, which some programs write at the beginning, counts as a space.
        while let Some(space @ (b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF)) = self.input.peek()? {
            self.input.consume(1);
            self.leading_lines += u64::from(space == b'\n');
        }
        Ok(())
    }
}

fn push(text: &mut Vec<u8>, byte: u8, too_long: &mut bool) {
    if text.len() < MAX_RECORD {
        text.push(byte);
    } else {
        *too_long = true;
    }
}

/// The brackets and the string that are open within a value.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    fn is_outside(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    /// True if this byte closes the value.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    return self.depth == 0;
                }
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Read in pieces of one byte, so that no place for the end of a piece is missed.
    fn read(text: &str, layout: Layout) -> Vec<Result<String, BrokenRecord>> {
        let mut records = JsonRecords::new(BufReader::with_capacity(1, text.as_bytes()), layout);
        let mut found = Vec::new();
        while let Some(record) = records.next().unwrap() {
            found.push(record.map(|text| String::from_utf8(text.to_vec()).unwrap()));
        }
        found
    }

    fn texts(expected: &[&str]) -> Vec<Result<String, BrokenRecord>> {
        expected.iter().map(|text| Ok((*text).to_owned())).collect()
    }

    #[test]
    fn records_are_lines_or_elements() {
        assert_eq!(read("\n{\"a\":1}\n\nno\n{}", Layout::Plain), texts(&["", "{\"a\":1}", "", "no", "{}"]));
        let list = r#"[ {"a":"]},\"{"} , 5, "x,y" ,nonsense,[1,[2]] ]  "#;
        assert_eq!(read(list, Layout::Plain), texts(&[r#"{"a":"]},\"{"}"#, "5", "\"x,y\"", "nonsense", "[1,[2]]"]));
        assert_eq!(read("", Layout::Plain), []);
        assert_eq!(read("[]", Layout::Plain), []);
    }

    #[test]
    fn members_called_users_are_found_at_their_depth() {
        let realm =
            r#"{"a":{"users":[1]},"users":"users","b":"\"users\":[2]","users" : [ {"users":[3]}, {} ],"c":[4]}"#;
        assert_eq!(read(realm, Layout::Users), texts(&[r#"{"users":[3]}"#, "{}"]));
        let realms = r#"[{"users":[1]},{"x":[{"users":[2]}],"users":[3]}]"#;
        assert_eq!(read(realms, Layout::Users), texts(&["1", "3"]));
        assert_eq!(read(r#"{"realm":"x"}"#, Layout::Users), []);
    }

    #[test]
    fn unfinished_file_is_a_broken_record() {
        let unfinished = [Ok("{}".to_owned()), Err(BrokenRecord::Unfinished)];
        assert_eq!(read("[{},", Layout::Plain), unfinished);
        assert_eq!(read("[{},{\"a\":[", Layout::Plain), unfinished);
        assert_eq!(read("{\"users\":[{},{\"a\":\"", Layout::Users), unfinished);
        assert_eq!(read("{\"users\":[{}],\"x\":", Layout::Users), unfinished);
    }

    #[test]
    fn too_long_record_is_skipped() {
        let long = "x".repeat(MAX_RECORD + 1);
        let expected = [Ok("1".to_owned()), Err(BrokenRecord::TooLong), Ok("2".to_owned())];
        let read = |text: &str| {
            let mut records = JsonRecords::new(text.as_bytes(), Layout::Plain);
            std::iter::from_fn(|| records.next().unwrap())
                .map(|record| record.map(|text| String::from_utf8(text.to_vec()).unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(read(&format!("1\n{long}\n2")), expected);
        assert_eq!(read(&format!("[1,\"{long}\",2]")), expected);
    }
}
