//! The image file that stands for the service in mails and on pages. Read and checked once, at start.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Maximum size of the file: every reader of a mail loads it.
const MAX_SIZE: usize = 64 * 1024;

/// The formats that all mail clients show, by the bytes that a file begins with.
const FORMATS: [(&[u8], &str); 2] = [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg")];

/// The logo cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("mail.logo: {} {problem}", path.display())]
pub struct LogoError {
    path: PathBuf,
    problem: String,
}

/// The logo's file.
#[derive(Clone, Debug)]
pub struct LogoFile {
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: Bytes,
}

impl LogoFile {
    /// Reads the file and finds its format.
    pub(super) fn read(path: &Path) -> Result<Self, LogoError> {
        let invalid = |problem: String| LogoError { path: path.to_owned(), problem };
        let mut content = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_SIZE as u64 + 1).read_to_end(&mut content))
            .map_err(|error| invalid(format!("cannot be read: {error}")))?;
        if content.len() > MAX_SIZE {
            return Err(invalid(format!("is larger than {} KiB", MAX_SIZE / 1024)));
        }
        let format = FORMATS.iter().find(|(begin, _)| content.starts_with(begin));
        let media_type = format.map(|(_, media_type)| *media_type);
        let media_type = media_type.ok_or_else(|| invalid("is neither a PNG nor a JPEG file".to_owned()))?;
        Ok(Self { media_type, content: content.into() })
    }
}
