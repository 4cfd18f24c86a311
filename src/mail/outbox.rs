//! Writes mails to files, one each, if no mail server is configured. A file that ends in `.eml` is complete. Knows nothing of the
//! content of mails.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::clock::Timestamp;
use crate::rng::Rng;

/// The directory's name in `data_dir`.
pub(super) const NAME: &str = "outbox";

/// The directory that mails are written to.
pub(super) struct Outbox {
    folder: PathBuf,
    rng: Rng,
    /// Orders mails of the same millisecond.
    count: AtomicU64,
}

impl Outbox {
    pub(super) fn new(folder: PathBuf, rng: Rng) -> Self {
        Self { folder, rng, count: AtomicU64::new(0) }
    }

    /// Writes a mail under a hidden name and renames it, so that it appears complete. Only the owner can read it, because it contains
    /// codes and links.
    pub(super) fn put(&self, mail: &[u8], now: Timestamp) -> std::io::Result<()> {
        // Created with the first mail, not at start: a server that never mails needs no directory, and a removed one comes back.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // The random part keeps apart several processes that write to the same directory.
        let name = format!("{}-{count:06}-{:08x}", stamp(now), u32::from_ne_bytes(self.rng.bytes()));
        let fresh = self.folder.join(format!(".{name}"));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let put = file.write_all(mail).and_then(|()| std::fs::rename(&fresh, self.folder.join(format!("{name}.eml"))));
        if put.is_err() {
            // Removes the partial file, for example of a full disk.
            let _ = std::fs::remove_file(&fresh);
        }
        put
    }
}

/// Formats a moment so that file names sort by time.
fn stamp(now: Timestamp) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.millis()) * 1_000_000);
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}
