//! Mails as files, one each, for who has no mail server: a file that ends in `.eml` is whole. Knows nothing of what is in them.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::clock::Timestamp;
use crate::rng::Rng;

/// The folder's name in `data_dir`.
pub(super) const NAME: &str = "outbox";

/// See above.
pub(super) struct Outbox {
    folder: PathBuf,
    rng: Rng,
    /// Tells apart, and in order, what is put there within a millisecond.
    count: AtomicU64,
}

impl Outbox {
    pub(super) fn new(folder: PathBuf, rng: Rng) -> Self {
        Self { folder, rng, count: AtomicU64::new(0) }
    }

    /// Puts a mail there. Written under a name that nobody looks for and then renamed, so that it appears whole; codes and links are
    /// in it, so nobody else may read it.
    pub(super) fn put(&self, mail: &[u8], now: Timestamp) -> std::io::Result<()> {
        // At the first mail and not at the start: a server that never mails needs no folder, and a removed one comes back.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // Another process may put its mails into the same folder.
        let name = format!("{}-{count:06}-{:08x}", stamp(now), u32::from_ne_bytes(self.rng.bytes()));
        let fresh = self.folder.join(format!(".{name}"));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let put = file.write_all(mail).and_then(|()| std::fs::rename(&fresh, self.folder.join(format!("{name}.eml"))));
        if put.is_err() {
            // What could not be written, a full disk's piece of it, is in nobody's way.
            let _ = std::fs::remove_file(&fresh);
        }
        put
    }
}

/// A moment such that names sort as moments do.
fn stamp(now: Timestamp) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.millis()) * 1_000_000);
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}
