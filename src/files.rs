//! Files and folders that only their owner can read: those of `data_dir`, and of the folders in it. Also the free space
//! of their disk.
//!
//! A file that root creates belongs to the owner of its folder. So if root runs a command and the folder belongs to the
//! service's user, the service can read and write the files of the command. SQLite does the same with the files that it
//! puts beside its own.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The number of bytes that can still be written to the disk of a file or folder.
pub fn free_space(path: &Path) -> rustix::io::Result<u64> {
    rustix::fs::statvfs(path).map(|space| space.f_bavail.saturating_mul(space.f_frsize))
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a folder and those above it, if they are missing. Those that exist keep their mode, which somebody chose.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    let create = || DirBuilder::new().mode(0o700).create(folder);
    let created = match (create(), folder.parent()) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            create_private_folder(parent)?;
            create()
        }
        (created, _) => created,
    };
    match created {
        Ok(()) => inherit_owner_of_folder(folder),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a file, and fails if it exists.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    inherit_owner(&file, path)?;
    Ok(file)
}

/// Opens a file to read it. Where root creates files for the owner of the folder, it follows no link in it: the owner
/// could link to a file that only root can read, and get what root copies from it.
pub fn open_own_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    if new_owner(path)?.is_some() {
        // NONBLOCK: nor does it wait for the writer of a pipe.
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }
    options.open(path)
}

/// Fails if there is a link, or anything else than a file, where root would follow it for the owner of the folder: for
/// a file that a library opens by its path. The owner could link to a file or folder of root, to have it changed.
pub fn refuse_link(path: &Path) -> io::Result<()> {
    if new_owner(path)?.is_some() && !path.symlink_metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("{} is not a file", path.display())));
    }
    Ok(())
}

/// Gives a folder that this process has created to the owner of the folder that it is in, if root runs this process.
pub fn inherit_owner_of_folder(folder: &Path) -> io::Result<()> {
    let Some(owner) = new_owner(folder)? else { return Ok(()) };
    // Not through a link that somebody may have put in its place.
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    change_owner(&OpenOptions::new().read(true).custom_flags(flags).open(folder)?, owner);
    Ok(())
}

/// Gives a file that this process has created to the owner of the folder that it is in, if root runs this process.
fn inherit_owner(file: &File, path: &Path) -> io::Result<()> {
    new_owner(path).map(|owner| owner.into_iter().for_each(|owner| change_owner(file, owner)))
}

/// A user and a group.
type Owner = (u32, u32);

fn new_owner(path: &Path) -> io::Result<Option<Owner>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let folder = folder_of(path).metadata()?;
    Ok(inherited((folder.uid(), folder.gid())))
}

/// The owner of what root creates in a folder of this owner; `None` if it stays root's.
fn inherited(folder: Owner) -> Option<Owner> {
    (folder.0 != 0).then_some(folder)
}

/// If root may not do this (in a container without the capability, on a shared file system), the file stays root's.
fn change_owner(file: &File, (user, group): Owner) {
    let _ = fchown(file, Some(user), Some(group));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_of_root_belong_to_the_owner_of_the_folder() {
        assert_eq!(inherited((998, 997)), Some((998, 997)));
        assert_eq!(inherited((0, 997)), None);
    }

    /// As root with a folder of somebody else. As any other user it cannot fail: see the test above for all users.
    #[test]
    fn everything_in_a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_533)).unwrap();
        }
        create_private_folder(&folder.path().join("a/b")).unwrap();
        create_private_file(&folder.path().join("a/b/c")).unwrap();
        let owner = |path: &str| folder.path().join(path).metadata().map(|found| (found.uid(), found.gid())).unwrap();
        assert_eq!(["a", "a/b", "a/b/c"].map(owner), [owner(""); 3]);
    }

    /// As root; as any other user it cannot fail.
    #[test]
    fn root_follows_no_link_of_another_owner() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("target"), "of root").unwrap();
        std::os::unix::fs::symlink(outside.path().join("target"), folder.path().join("link")).unwrap();
        std::fs::write(folder.path().join("file"), "own").unwrap();
        let read = |name: &str| open_own_file(&folder.path().join(name)).and_then(io::read_to_string);
        assert_eq!([read("link").unwrap(), read("file").unwrap()], ["of root", "own"], "nobody else owns the folder");
        assert_eq!(read("missing").unwrap_err().kind(), ErrorKind::NotFound);
        let is_refused = |name: &str| refuse_link(&folder.path().join(name)).is_err();
        assert!(!is_refused("link") && !is_refused("file"));
        if geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_533)).unwrap();
            assert!(read("link").is_err() && is_refused("link"));
            assert!(!is_refused("file"));
            assert_eq!(read("file").unwrap(), "own");
        }
    }

    #[test]
    fn folders_and_files_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).unwrap();
        create_private_folder(&inner).unwrap();
        create_private_file(&inner.join("c")).unwrap();
        let mode = |path: &str| folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(["a", "a/b", "a/b/c"].map(mode), [0o700, 0o700, 0o600]);
        assert_eq!(create_private_file(&inner.join("c")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create_private_folder(&inner.join("c")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
