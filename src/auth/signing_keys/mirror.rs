//! The keyring's mirror in `data_dir`: sealed as in the store, readable only by its owner, replaced atomically.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{KeyringError, KeyringStore, USAGE};
use crate::files::{create_private_file, create_private_folder};
use crate::token::keyring::ring::Ring;

/// The name of its file in `data_dir`.
pub const NAME: &str = "keyring.sealed";

pub(super) async fn read(store: &KeyringStore<'_>) -> Result<Option<Ring>, KeyringError> {
    let path = store.data_dir.join(NAME);
    let bytes = match tokio::fs::read(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(&path, &error)),
    };
    let opened = store.secrets.open(USAGE, &bytes);
    let opened = opened.map_err(|error| KeyringError::Mirror { path: path.display().to_string(), error })?;
    Ring::from_bytes(&opened).map(Some).map_err(|_| KeyringError::InvalidRecord)
}

/// Writes the ring unless the mirror holds it already. A mirror that cannot be opened is replaced.
pub(super) async fn write_if_changed(store: &KeyringStore<'_>, ring: &Ring) -> Result<(), KeyringError> {
    if read(store).await.ok().flatten().as_ref() == Some(ring) {
        return Ok(());
    }
    let sealed = store.seal(ring)?;
    let path = store.data_dir.join(NAME);
    let written = tokio::task::spawn_blocking({
        let (path, unique) = (path.clone(), u32::from_ne_bytes(store.rng.bytes()));
        move || replace(&path, &sealed, unique)
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(file_error(&path, &error)),
        Err(_) => {
            Err(KeyringError::File { path: path.display().to_string(), detail: "writing was interrupted".to_owned() })
        }
    }
}

/// Writes to a new file and renames it. Several writers (tasks, the server, the command line) may write at the same
/// time, so each has its own `unique`.
fn replace(path: &Path, bytes: &[u8], unique: u32) -> std::io::Result<()> {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    create_private_folder(&folder)?;
    let new = folder.join(format!("{NAME}.{unique:08x}"));
    let mut file = create_private_file(&new)?;
    let replaced = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
    if replaced.is_err() {
        // Maintenance tries again and again: on a full disk, each attempt would leave a file behind.
        let _ = std::fs::remove_file(&new);
    }
    replaced?;
    std::fs::File::open(&folder)?.sync_all()
}

fn file_error(path: &Path, error: &std::io::Error) -> KeyringError {
    KeyringError::File { path: path.display().to_string(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_replacement_leaves_no_file_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        // A folder with an entry cannot be replaced by a file.
        std::fs::create_dir_all(path.join("entry")).unwrap();
        assert!(replace(&path, b"sealed", 7).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::remove_dir_all(&path).unwrap();
        replace(&path, b"sealed", 7).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"sealed");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
