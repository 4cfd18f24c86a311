//! The format of a backup: one line that says what it is, one line of JSON that describes it, then the database. So
//! `tail -n +3 FILE > signet.db` gets the database out without Signet.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::encoding::hex;
use crate::files::create_private_file;

/// The first line. Its number changes if an older program could not read what follows.
const FIRST_LINE: &str = "signet backup 1\n";

/// The most bytes of the second line, which has less than a thousand.
const MAX_MANIFEST: u64 = 64 * 1024;

/// Bytes copied at a time.
const CHUNK: usize = 256 * 1024;

/// The second line.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of the program that wrote it.
    pub(super) signet: String,
    /// When it was begun, as RFC 3339. Everything that was acknowledged before is in it.
    pub(super) created_at: String,
    /// The roles that the database has, as [`super::roles`] names them.
    pub(super) holds: Vec<String>,
    /// The number of the newest migration of the database.
    pub(super) schema: i32,
    pub(super) users: u64,
    pub(super) api_keys: u64,
    pub(super) sessions: u64,
    /// The length of the database.
    pub(super) bytes: u64,
    /// The SHA-256 of the database, in hexadecimal.
    pub(super) sha256: String,
    /// The secret, if a file in `data_dir` holds it and it was not left out: the file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Zeroizing<String>>,
}

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin like one, or was made by a newer program.
    #[error("it is not a backup that this version of Signet can read: its first line is not \"{}\"", FIRST_LINE.trim())]
    Unknown,
    /// Its content is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// The length and the SHA-256 of a file.
pub(super) fn measure(path: &Path) -> io::Result<(u64, String)> {
    copy(&mut File::open(path)?, &mut io::sink())
}

/// Writes a backup to a new file that only its owner can read, and returns when the disk has it.
pub(super) fn write(target: &Path, manifest: &Manifest, database: &Path) -> io::Result<()> {
    // Not `create_private_file`: a backup belongs to the user that takes it, not to the owner of the folder.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    let mut writer = BufWriter::new(&file);
    let line = Zeroizing::new(serde_json::to_string(manifest)?);
    writer.write_all(FIRST_LINE.as_bytes())?;
    writer.write_all(line.as_bytes())?;
    writer.write_all(b"\n")?;
    copy(&mut File::open(database)?, &mut writer)?;
    writer.flush()?;
    drop(writer);
    file.sync_all()
}

/// A backup that is being read, positioned at the database.
pub(super) struct Reader {
    pub(super) manifest: Manifest,
    rest: BufReader<File>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, FormatError> {
        let mut rest = BufReader::new(File::open(path)?);
        let mut first = Vec::new();
        rest.by_ref().take(FIRST_LINE.len() as u64).read_to_end(&mut first)?;
        if first != FIRST_LINE.as_bytes() {
            return Err(FormatError::Unknown);
        }
        let mut line = Zeroizing::new(Vec::new());
        rest.by_ref().take(MAX_MANIFEST).read_until(b'\n', &mut line)?;
        let manifest =
            serde_json::from_slice(&line).map_err(|_| FormatError::Damaged("its second line is not a description"))?;
        Ok(Self { manifest, rest })
    }

    /// Writes the database to a new file that only its owner can read, and checks that it is what was backed up.
    pub(super) fn extract(mut self, target: &Path) -> Result<Manifest, FormatError> {
        let mut file = create_private_file(target)?;
        // One byte more than there should be, so that a longer file is noticed without being read to its end.
        let mut database = self.rest.by_ref().take(self.manifest.bytes.saturating_add(1));
        let (bytes, sha256) = copy(&mut database, &mut file)?;
        file.sync_all()?;
        if bytes != self.manifest.bytes {
            return Err(FormatError::Damaged("the database in it is shorter or longer than it was"));
        }
        if sha256 != self.manifest.sha256 {
            return Err(FormatError::Damaged("the SHA-256 of the database in it is another one"));
        }
        Ok(self.manifest)
    }
}

/// Copies everything, and returns its length and SHA-256.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut buffer, mut digest, mut bytes) = (vec![0; CHUNK], Context::new(&SHA256), 0);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(digest.finish().as_ref()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        digest.update(chunk);
        to.write_all(chunk)?;
        bytes += read as u64;
    }
}
