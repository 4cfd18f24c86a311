//! Restores the embedded store from a backup, in three steps: [`stage`] verifies the backup and unpacks it beside the
//! store; [`end_access`] ends in the unpacked store what may have been revoked since; [`Staged::install`] puts it in
//! place. Until the last step the store is as it was.
//!
//! The backup does not tell which sessions, API keys and codes were revoked after it was taken. So all of them are
//! revoked, unless the operator knows that none was: after a move, for which the server was stopped before the backup.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::format::{Manifest, Reader};
use super::{Backup, BackupError, add_name, roles, sync_folder, temporary_folder};
use crate::auth::api_keys::administer::deactivate_all;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::sessions::sign_out::sign_out_everyone;
use crate::auth::{self, signing_keys};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::files::{create_private_file, create_private_folder, folder_of, inherit_owner_of_folder, open_own_file};
use crate::node::events;
use crate::node::secret_file;
use crate::node::stores::uses_embedded;
use crate::store::ephemeral::sqlite::restored::start_new_history;
use crate::store::sqlite::backup::{Existing, FILE, FILES_BESIDE, inspect, lock};

/// The kinds of data of a backup that a restore keeps valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Sessions, access tokens, and codes and links that were mailed.
    pub sessions: bool,
    /// API keys.
    pub api_keys: bool,
}

/// Verifies a backup as [`stage`] does, and changes nothing.
pub fn verify(config: &Config, file: &Path) -> Result<Backup, BackupError> {
    let reader = open(config, file)?;
    let temporary = temporary_folder(folder_of(file))?;
    let manifest = extract(reader, file, temporary.path())?;
    Ok(Backup::new(file, &manifest, config))
}

fn open(config: &Config, file: &Path) -> Result<Reader, BackupError> {
    if !uses_embedded(config) {
        return Err(BackupError::Servers);
    }
    let reader = Reader::open(file).map_err(|error| BackupError::Unreadable { path: file.to_owned(), error })?;
    let (has, wanted) = (&reader.manifest.holds, roles(config));
    if *has != wanted {
        return Err(BackupError::OtherStores { has: has.join(" and "), wanted: wanted.join(" and ") });
    }
    Ok(reader)
}

fn extract(reader: Reader, file: &Path, folder: &Path) -> Result<Manifest, BackupError> {
    let database = folder.join(FILE);
    let manifest =
        reader.extract(&database).map_err(|error| BackupError::Unreadable { path: file.to_owned(), error })?;
    inspect(&database)?;
    Ok(manifest)
}

/// A verified backup, unpacked beside the store, which is locked.
pub struct Staged {
    folder: TempDir,
    data_dir: PathBuf,
    existing: Existing,
    backup: Backup,
    now: Timestamp,
}

/// Verifies the backup, locks the store in `data_dir`, and unpacks the backup beside it. Refuses a store that is in
/// use, and unless `force` also one that has users or cannot be read, and a secret that is not the backup's.
pub fn stage(config: &Config, file: &Path, force: bool, keep: Keep, now: Timestamp) -> Result<Staged, BackupError> {
    let reader = open(config, file)?;
    let data_dir = &config.data_dir;
    create_private_folder(data_dir).map_err(BackupError::io(format!("creating {}", data_dir.display())))?;
    let existing = lock(data_dir)?;
    let is_empty = matches!(existing, Existing::Missing | Existing::Locked { users: 0, .. });
    if !is_empty && !force {
        return Err(BackupError::NotEmpty { path: data_dir.join(FILE) });
    }
    let folder = temporary_folder(data_dir)?;
    let preparing = BackupError::io(format!("preparing a folder in {}", data_dir.display()));
    inherit_owner_of_folder(folder.path()).map_err(preparing)?;
    let manifest = extract(reader, file, folder.path())?;
    if config.secrets.is_none() {
        stage_secret(&manifest, data_dir, folder.path(), force)?;
    }
    // It may know of a signing key that was revoked since.
    let mirror = signing_keys::MIRROR_FILE;
    copy_if_exists(&data_dir.join(mirror), &folder.path().join(mirror))
        .map_err(BackupError::io(format!("copying {mirror}")))?;
    start_new_history(folder.path(), keep.sessions, now)?;
    let backup = Backup::new(file, &manifest, config);
    Ok(Staged { folder, data_dir: data_dir.clone(), existing, backup, now })
}

/// Puts the secret file that the restored store needs into `folder`: the backup's, or the one in `data_dir`.
fn stage_secret(manifest: &Manifest, data_dir: &Path, folder: &Path, force: bool) -> Result<(), BackupError> {
    let (present, staged) = (data_dir.join(secret_file::NAME), folder.join(secret_file::NAME));
    let Some(text) = &manifest.secret else {
        let secret = secret_file::load(data_dir)?.ok_or(BackupError::NoSecret { path: present })?;
        let writing = BackupError::io("writing the secret");
        return write_private(&staged, secret_file::encode(&secret).as_bytes()).map_err(writing);
    };
    write_private(&staged, text.as_bytes()).map_err(BackupError::io("writing the secret"))?;
    let own = secret_file::load(folder)?;
    // With a file that holds no secret the store could not be opened: it is replaced as one that differs.
    let other = match secret_file::load(data_dir) {
        Ok(None) => false,
        Ok(Some(secret)) => own.is_none_or(|own| own.0 != secret.0),
        Err(_) => true,
    };
    if other && !force {
        return Err(BackupError::OtherSecret { path: present });
    }
    Ok(())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_private_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn copy_if_exists(from: &Path, to: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    match open_own_file(from).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => write_private(to, &bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The sessions and API keys that were ended in a restored store.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// True if all sessions were ended.
    pub sessions: bool,
    /// The number of API keys that were active.
    pub api_keys: u64,
}

/// Ends in the staged store what may have been revoked since the backup was taken. API keys only if the backup holds
/// them.
pub async fn end_access(ctx: &Context, keep: Keep) -> Result<Ended, auth::Error> {
    let mut ended = Ended { sessions: !keep.sessions, api_keys: 0 };
    if !keep.sessions {
        sign_out_everyone(ctx, Origin::process()).await?;
    }
    if !keep.api_keys && ctx.node.config.postgres.is_none() {
        ended.api_keys = deactivate_all(ctx, Origin::process(), async || events::flush(ctx).await).await?;
    }
    Ok(ended)
}

impl Staged {
    /// The settings of the staged store.
    pub fn config(&self, config: &Config) -> Config {
        Config { data_dir: self.folder.path().to_owned(), ..config.clone() }
    }

    /// Puts the staged store in place, and returns the backup and the names under which the old files were kept.
    /// Nothing may have the staged store open. The database comes last: before, the old one is in place.
    pub fn install(self) -> Result<(Backup, Vec<PathBuf>), BackupError> {
        // Everything is in the file itself from here on.
        drop(lock(self.folder.path())?);
        let suffix = format!("replaced-{}", self.now.secs());
        let mut kept = Vec::new();
        self.replace(&suffix, &mut kept).map_err(BackupError::io(format!("replacing {}", self.data_dir.display())))?;
        Ok((self.backup, kept))
    }

    fn replace(&self, suffix: &str, kept: &mut Vec<PathBuf>) -> io::Result<()> {
        let (from, to) = (self.folder.path(), &self.data_dir);
        let kept_name = |name: &str| to.join(format!("{name}.{suffix}"));
        if matches!(self.existing, Existing::Damaged) {
            // A log of the old database must not be applied to the new one.
            for beside in FILES_BESIDE {
                let name = format!("{FILE}{beside}");
                if to.join(&name).exists() {
                    fs::rename(to.join(&name), kept_name(&name))?;
                    kept.push(kept_name(&name));
                }
            }
        }
        for name in [secret_file::NAME, signing_keys::MIRROR_FILE, FILE] {
            let (new, old) = (from.join(name), to.join(name));
            if !new.exists() {
                continue;
            }
            let is_other = old.exists() && (name == FILE || fs::read(&old)? != fs::read(&new)?);
            // The old database is never read here: closing a file gives up the lock on it.
            if is_other && name != signing_keys::MIRROR_FILE {
                // Not renamed, so that it never lacks its first name.
                add_name(&old, &kept_name(name))?;
                kept.push(kept_name(name));
            }
            fs::rename(new, old)?;
        }
        sync_folder(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As root. Any other user follows the link.
    #[test]
    fn root_copies_no_file_that_another_owner_links_to() {
        let (data_dir, staged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (outside, link) = (tempfile::NamedTempFile::new().unwrap(), data_dir.path().join("link"));
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(data_dir.path(), Some(65_534), Some(65_533)).unwrap();
            assert!(copy_if_exists(&link, &staged.path().join("copy")).is_err());
            assert!(!staged.path().join("copy").exists());
        }
        fs::remove_file(&link).unwrap();
        copy_if_exists(&link, &staged.path().join("copy")).unwrap();
        fs::write(&link, "own").unwrap();
        copy_if_exists(&link, &staged.path().join("copy")).unwrap();
        assert_eq!(fs::read(staged.path().join("copy")).unwrap(), b"own");
    }
}
