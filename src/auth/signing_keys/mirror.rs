//! The keyring's copy in `data_dir`: sealed as in the store, readable by its owner alone, replaced in one step.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{KeyringError, KeyringStore, USAGE};
use crate::token::keyring::ring::Ring;

const NAME: &str = "keyring.sealed";

pub(super) async fn read(keeper: &KeyringStore<'_>) -> Result<Option<Ring>, KeyringError> {
    let path = keeper.data_dir.join(NAME);
    let bytes = match tokio::fs::read(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&path, &error)),
    };
    let opened = keeper.secrets.open(USAGE, &bytes);
    let opened = opened.map_err(|fault| KeyringError::Mirror { path: path.display().to_string(), fault })?;
    Ring::from_bytes(&opened).map(Some).map_err(|_| KeyringError::Unreadable)
}

/// Writes the ring unless the mirror holds it already. A mirror that does not open is in the way of nothing: it is replaced.
pub(super) async fn write_if_other(keeper: &KeyringStore<'_>, ring: &Ring) -> Result<(), KeyringError> {
    if read(keeper).await.ok().flatten().as_ref() == Some(ring) {
        return Ok(());
    }
    let sealed = keeper.seal(ring)?;
    let path = keeper.data_dir.join(NAME);
    let written = tokio::task::spawn_blocking({
        let (path, unique) = (path.clone(), u32::from_ne_bytes(keeper.rng.bytes()));
        move || replace(&path, &sealed, unique)
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(unusable(&path, &error)),
        Err(_) => {
            Err(KeyringError::File { path: path.display().to_string(), detail: "writing was interrupted".to_owned() })
        }
    }
}

/// Several writers on one folder (tasks, the server, the command line) must not write into one file: `unique` is its own for each.
fn replace(path: &Path, bytes: &[u8], unique: u32) -> std::io::Result<()> {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let fresh = folder.join(format!("{NAME}.{unique:08x}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    std::fs::File::open(&folder)?.sync_all()
}

fn unusable(path: &Path, error: &std::io::Error) -> KeyringError {
    KeyringError::File { path: path.display().to_string(), detail: error.to_string() }
}
