//! Reads a file byte by byte, with a look at the next one, for the readers of CSV and JSON. Knows neither.

use std::io::{self, BufRead};

/// Single bytes of a buffered input.
pub(super) trait Bytes: BufRead {
    /// The next byte, which stays; `None` at the end.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.fill_buf()?.first().copied())
    }

    /// Takes the next byte; `None` at the end.
    fn take_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.consume(1);
        }
        Ok(byte)
    }
}

impl<R: BufRead> Bytes for R {}
