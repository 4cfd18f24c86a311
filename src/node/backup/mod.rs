//! Backups of the embedded store: one file with the database, and with the secret if a file in `data_dir` holds it.
//! [`back_up`] takes one beside a running server, [`restore`] puts it in place, and [`servers`] lists the steps where a
//! store is a server. The signing keys are in the database, sealed with the secret.

mod error;
mod format;
pub mod restore;
pub mod servers;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use error::BackupError;
pub use format::FormatError;

use self::format::Manifest;
use super::secret_file;
use super::stores::{require_embedded, uses_embedded};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::files::folder_of;
use crate::store::sqlite::backup::{copy, inspect};

/// The place of a backup's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretPlace {
    /// In the backup.
    Included,
    /// In the settings, from which no backup takes it.
    Settings,
    /// In a file that was left out.
    LeftOut,
}

/// The contents of a backup.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// When it was begun: everything that was acknowledged before is in it.
    pub created_at: String,
    /// The version of the program that wrote it.
    pub signet: String,
    /// The roles that its database has.
    pub holds: Vec<String>,
    /// The number of its newest migration.
    pub schema: i32,
    /// Users.
    pub users: u64,
    /// API keys, active or not.
    pub api_keys: u64,
    /// Sessions.
    pub sessions: u64,
    /// The length of the database.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The place of its secret.
    pub secret: SecretPlace,
}

impl Backup {
    fn new(file: &Path, manifest: &Manifest, config: &Config) -> Self {
        let secret = match (&manifest.secret, &config.secrets) {
            (Some(_), _) => SecretPlace::Included,
            (None, Some(_)) => SecretPlace::Settings,
            (None, None) => SecretPlace::LeftOut,
        };
        Self {
            file: file.to_owned(),
            created_at: manifest.created_at.clone(),
            signet: manifest.signet.clone(),
            holds: manifest.holds.clone(),
            schema: manifest.schema,
            users: manifest.users,
            api_keys: manifest.api_keys,
            sessions: manifest.sessions,
            bytes: manifest.bytes,
            sha256: manifest.sha256.clone(),
            secret,
        }
    }
}

/// The roles of the embedded file with these settings.
fn roles(config: &Config) -> Vec<String> {
    let roles = [("accounts", config.postgres.is_none()), ("sessions", config.redis.is_none())];
    roles.iter().filter(|(_, embedded)| *embedded).map(|(role, _)| (*role).to_owned()).collect()
}

/// A folder of its own in `folder`, which only its owner can enter, deleted with the value.
fn temporary_folder(folder: &Path) -> Result<tempfile::TempDir, BackupError> {
    let created = tempfile::Builder::new().prefix(".signet-").tempdir_in(folder);
    created.map_err(BackupError::io(format!("creating a folder in {}", folder.display())))
}

/// Returns when the disk has the names of the files in `folder`.
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Backs the embedded file up to `file`, verifies the copy, and gives it its name only then. Refuses to replace a file
/// unless `force`.
pub fn back_up(
    config: &Config,
    file: &Path,
    without_secret: bool,
    force: bool,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    if !uses_embedded(config) {
        return Err(BackupError::Servers);
    }
    require_embedded(config)?;
    let exists = || BackupError::Exists { path: file.to_owned() };
    if file.exists() && !force {
        return Err(exists());
    }
    let secret = match config.secrets {
        None if !without_secret => secret_file::load(&config.data_dir)?,
        _ => None,
    };
    let folder = folder_of(file);
    let temporary = temporary_folder(folder)?;
    let (database, complete) = (temporary.path().join("database"), temporary.path().join("backup"));
    copy(&config.data_dir, &database)?;
    let contents = inspect(&database)?;
    let writing = || BackupError::io(format!("writing {}", file.display()));
    let (bytes, sha256) = format::measure(&database).map_err(writing())?;
    let manifest = Manifest {
        signet: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now.to_string(),
        holds: roles(config),
        schema: contents.schema,
        users: contents.users,
        api_keys: contents.api_keys,
        sessions: contents.sessions,
        bytes,
        sha256,
        secret: secret.as_ref().map(secret_file::encode),
    };
    format::write(&complete, &manifest, &database).map_err(writing())?;
    // Once more from the disk: a backup that cannot be read is found when it is taken, not when it is needed.
    std::fs::remove_file(&database).map_err(writing())?;
    let unreadable = |error| BackupError::Unreadable { path: file.to_owned(), error };
    format::Reader::open(&complete).and_then(|backup| backup.extract(&database)).map_err(unreadable)?;
    let named = if force { std::fs::rename(&complete, file) } else { add_name(&complete, file) };
    match named {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        named => named.map_err(writing())?,
    }
    sync_folder(folder).map_err(writing())?;
    Ok(Backup::new(file, &manifest, config))
}

/// Gives a file a second name, unless another file has it. On a file system without hard links, renames it.
fn add_name(file: &Path, name: &Path) -> io::Result<()> {
    match std::fs::hard_link(file, name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => std::fs::rename(file, name),
        linked => linked,
    }
}
