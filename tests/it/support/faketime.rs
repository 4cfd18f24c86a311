//! libfaketime, which gives a process another time of day.

use std::path::{Path, PathBuf};

/// The path of the library.
///
/// # Panics
/// If the library is not installed.
pub(crate) fn library() -> PathBuf {
    let subfolders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let folders =
        subfolders.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64"), PathBuf::from("/usr/local/lib")]);
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file()).expect("no libfaketimeMT.so.1: apt-get install libfaketime")
}

/// Writes the offset that a process reads from this file, in one step: it may read the file at any time.
pub(crate) fn set_offset(file: &Path, seconds: i32) {
    let next = file.with_extension("next");
    std::fs::write(&next, format!("{seconds:+}")).expect("the file can be written");
    std::fs::rename(next, file).expect("the file can be replaced");
}
