//! libfaketime, which gives a process another time of day.

use std::path::PathBuf;

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
