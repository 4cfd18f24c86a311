//! Writes mails to files, one each, if no mail server is configured. A file that ends in `.eml` is complete. Knows
//! nothing of the content of mails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::clock::Timestamp;
use crate::files::{create_private_file, create_private_folder};
use crate::rng::Rng;

/// The directory's name in `data_dir`.
pub(super) const NAME: &str = "outbox";

/// The moment at the beginning of a name, so that names sort by time.
pub(super) const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");

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

    /// Writes a mail under a hidden name and renames it, so that it appears complete. Only the owner can read it,
    /// because it contains codes and links.
    pub(super) fn put(&self, mail: &[u8], now: Timestamp) -> std::io::Result<()> {
        // Created with the first mail, not at start: a server that never mails needs no directory, and a removed one
        // comes back.
        create_private_folder(&self.folder)?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // The random part keeps apart several processes that write to the same directory.
        let name = format!("{}-{count:06}-{:08x}", stamp(now), u32::from_ne_bytes(self.rng.bytes()));
        let fresh = self.folder.join(format!(".{name}"));
        let mut file = create_private_file(&fresh)?;
        let put = file.write_all(mail).and_then(|()| std::fs::rename(&fresh, self.folder.join(format!("{name}.eml"))));
        if put.is_err() {
            // Removes the partial file, for example of a full disk.
            let _ = std::fs::remove_file(&fresh);
        }
        put
    }
}

/// Removes the mails in `folder` that were written more than `keep` ago, by their names, and partial files that a
/// killed process has left. Leaves files with other names alone. Returns how many it removed. Blocks.
pub(super) fn remove_older(folder: &Path, keep: Duration, now: Timestamp) -> std::io::Result<u64> {
    let oldest = stamp(now - keep);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // Created with the first mail.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| is_older(name, &oldest)) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => removed += 1,
                // Another process on the same directory removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(removed)
}

/// Returns true if a file of that name is a mail, complete or partial, from before `oldest`.
fn is_older(name: &str, oldest: &str) -> bool {
    let mail = name.strip_prefix('.').or_else(|| name.strip_suffix(".eml"));
    let written = mail.and_then(split_stamp).map(|(written, _)| written);
    // Stamps have one form, so comparing them as text compares the moments. An empty one is of a moment that cannot be
    // written.
    let is_stamp = |text: &str| {
        let form = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
        text.len() == oldest.len() && text.bytes().map(form).eq(oldest.bytes().map(form))
    };
    !oldest.is_empty() && written.is_some_and(|written| is_stamp(written) && written < oldest)
}

/// The moment in the name of a mail, without its ending, and what follows it.
pub(super) fn split_stamp(name: &str) -> Option<(&str, &str)> {
    name.split_once('-')
}

fn stamp(now: Timestamp) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.millis()) * 1_000_000);
    moment.ok().and_then(|moment| moment.format(STAMP).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_233_600);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_mails_older_than_the_setting_are_removed() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = dir.path().join(NAME);
        assert_eq!(remove_older(&folder, DAY, NOW).unwrap(), 0, "there is no outbox yet");
        let outbox = Outbox::new(folder.clone(), Rng::system());
        for written in [NOW - DAY * 400, NOW - DAY - Duration::from_millis(1), NOW - DAY, NOW, NOW + DAY] {
            outbox.put(b"mail", written).unwrap();
        }
        let mails = names(&folder);
        let partial = format!(".{}", mails[0].strip_suffix(".eml").unwrap());
        let others = ["notes.eml", "0000.eml", ".gitignore", "20200101T000000.000Z.eml", "20200101T000000.000Z-a.txt"];
        for name in others.iter().copied().chain([partial.as_str()]) {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(remove_older(&folder, DAY, NOW).unwrap(), 3);
        let mut left = mails[2..].to_vec();
        left.extend(others.map(str::to_owned));
        left.sort();
        assert_eq!(names(&folder), left);
        assert_eq!(remove_older(&folder, DAY, NOW).unwrap(), 0);
    }
}
