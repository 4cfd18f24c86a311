//! The running nodes on one embedded file, as files in the folder `nodes` beside it, one per process.
//!
//! A node keeps its file locked, so the kernel tells whether the process is alive: a file that can be locked is left
//! over from a process that died, and is removed. Nothing here must survive a crash, so nothing is written to the
//! database or synchronized to disk.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::NodeReport;
use crate::files::{create_private_file, create_private_folder};
use crate::store::{Error, Result};

/// The names of files that are not locked yet begin with this.
const INCOMPLETE: &str = ".";

/// The files of this process, and how to read those of others.
#[derive(Debug)]
pub(super) struct NodeFiles {
    dir: PathBuf,
    /// Dropping a file unlocks it.
    own: Mutex<HashMap<String, File>>,
}

impl NodeFiles {
    pub(super) fn beside(database: &Path) -> Self {
        Self { dir: database.with_file_name("nodes"), own: Mutex::default() }
    }

    pub(super) fn report(&self, node: &str, applied: i64) -> Result<()> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match own.get(node) {
            Some(file) => write(file, applied),
            None => self.create(node, applied).map(|file| drop(own.insert(node.to_owned(), file))),
        };
        written.map_err(|error| self.unavailable(&error))
    }

    /// Locks the file before it gets its name, so that nobody takes it for one that is left over.
    fn create(&self, node: &str, applied: i64) -> io::Result<File> {
        create_private_folder(&self.dir)?;
        let incomplete = self.dir.join(format!("{INCOMPLETE}{node}"));
        // A file that an earlier attempt left over, or a link that somebody has put there: a new file replaces it, and
        // nothing is written through the link.
        if let Err(error) = std::fs::remove_file(&incomplete)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = create_private_file(&incomplete)?;
        file.try_lock()?;
        write(&file, applied)?;
        std::fs::rename(&incomplete, self.dir.join(node))?;
        Ok(file)
    }

    pub(super) fn withdraw(&self, node: &str) -> Result<()> {
        let file = self.own.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
        match file.map(|_| std::fs::remove_file(self.dir.join(node))) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(self.unavailable(&error)),
            _ => Ok(()),
        }
    }

    pub(super) fn list(&self, newest: i64) -> Result<Vec<NodeReport>> {
        self.read_all(newest).map_err(|error| self.unavailable(&error))
    }

    fn read_all(&self, newest: i64) -> io::Result<Vec<NodeReport>> {
        let mut nodes = Vec::new();
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nodes),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with(INCOMPLETE) {
                continue;
            }
            let file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            match file.try_lock_shared() {
                Ok(()) => _ = std::fs::remove_file(&path),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => {
                    let has_applied = read(&file).is_some_and(|applied| applied >= newest);
                    nodes.push(NodeReport { name: name.to_owned(), has_applied });
                }
            }
        }
        Ok(nodes)
    }

    fn unavailable(&self, error: &io::Error) -> Error {
        let detail = format!("{}: {error}", self.dir.display());
        Error::Unavailable { store: "the embedded store", detail, is_logged: false }
    }
}

/// Writes the position twice, so that a reader recognizes a write that it saw only half of.
fn write(file: &File, applied: i64) -> io::Result<()> {
    file.write_all_at(format!("{applied:020} {applied:020}\n").as_bytes(), 0)
}

fn read(file: &File) -> Option<i64> {
    let mut bytes = [0; 41];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (first, second) = std::str::from_utf8(&bytes).ok()?.split_once(' ')?;
    (first == second).then(|| first.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_gone_with_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let (running, other) = (NodeFiles::beside(&dir.path().join("db")), NodeFiles::beside(&dir.path().join("db")));
        running.report("a", 7).unwrap();
        running.report("b", 9).unwrap();
        let mut seen = other.list(8).unwrap();
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        let report = |name: &str, has_applied| NodeReport { name: name.to_owned(), has_applied };
        assert_eq!(seen, [report("a", false), report("b", true)]);
        running.withdraw("b").unwrap();
        assert_eq!(other.list(7).unwrap(), [report("a", true)]);
        drop(running);
        assert_eq!(other.list(7).unwrap(), []);
        assert_eq!(std::fs::read_dir(dir.path().join("nodes")).unwrap().count(), 0);
    }

    /// The folder may belong to another user than the process, which is root in a command.
    #[test]
    fn a_report_is_not_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "of somebody else").unwrap();
        std::fs::create_dir(dir.path().join("nodes")).unwrap();
        for name in [".a", "a"] {
            std::os::unix::fs::symlink(&other, dir.path().join("nodes").join(name)).unwrap();
        }
        let running = NodeFiles::beside(&dir.path().join("db"));
        running.report("a", 7).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "of somebody else");
        assert_eq!(running.list(7).unwrap(), [NodeReport { name: "a".to_owned(), has_applied: true }]);
    }
}
