//! The secret file of the embedded store: 32 random bytes in `data_dir`, created once, readable only by its owner.
//!
//! A fleet has no such file: its nodes must share one secret, and each would create its own.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::files::{create_private_file, create_private_folder, open_own_file};
use crate::rng::Rng;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// Reading or creating it failed.
    #[error("the secret file {path} cannot be read or created: {detail}")]
    File {
        /// Its path.
        path: String,
        /// The system's error.
        detail: String,
    },
    /// It holds something other than a secret.
    #[error(
        "{path} does not hold a secret (base64 of 32 bytes); restore it from a backup, or move the whole folder away \
         to start with an empty store"
    )]
    Content {
        /// Its path.
        path: String,
    },
    /// Other users can read it.
    #[error("{path} can be read by other users: run `chmod 600` on it, and consider who may have read it")]
    Open {
        /// Its path.
        path: String,
    },
}

/// Its name in `data_dir`.
pub(super) const NAME: &str = "secret";

/// The content of the file.
pub(super) fn encode(secret: &Secret) -> Zeroizing<String> {
    // Allocated once, so that no copy of the secret stays behind.
    let mut text = Zeroizing::new(String::with_capacity(64));
    STANDARD.encode_string(secret.0.as_slice(), &mut text);
    text.push('\n');
    text
}

/// The secret in `data_dir`. Creates it if there is none.
pub(super) fn load_or_create(data_dir: &Path, rng: &Rng) -> Result<Secret, SecretFileError> {
    if let Some(secret) = load(data_dir)? {
        return Ok(secret);
    }
    let path = data_dir.join(NAME);
    create(data_dir, &path, rng)
        .map_err(|error| SecretFileError::File { path: path.display().to_string(), detail: error.to_string() })?;
    // Of several processes that start at the same time, the first creates the file and all read it.
    load(data_dir)?.ok_or(SecretFileError::Content { path: path.display().to_string() })
}

/// The secret in `data_dir`, if the file exists.
pub(super) fn load(data_dir: &Path) -> Result<Option<Secret>, SecretFileError> {
    let path = data_dir.join(NAME);
    let shown = || path.display().to_string();
    let failed = |error: std::io::Error| SecretFileError::File { path: shown(), detail: error.to_string() };
    let mut file = match open_own_file(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(SecretFileError::Open { path: shown() });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(failed)?;
    let mut bytes = Zeroizing::new([0; 32]);
    match STANDARD.decode_slice(text.trim(), &mut *bytes) {
        Ok(32) => Ok(Some(Secret(bytes))),
        _ => Err(SecretFileError::Content { path: shown() }),
    }
}

/// Writes the file completely under a temporary name, then links it to its own name, which fails if that exists by now.
fn create(data_dir: &Path, path: &Path, rng: &Rng) -> std::io::Result<()> {
    create_private_folder(data_dir)?;
    let temporary = data_dir.join(format!("{NAME}.{:08x}", u32::from_ne_bytes(rng.bytes())));
    let mut file = create_private_file(&temporary)?;
    let text = encode(&Secret(Zeroizing::new(rng.bytes())));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&temporary, path));
    let removed = std::fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_created_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let rng = Rng::system();
        let first = load_or_create(dir.path(), &rng).unwrap();
        assert_eq!(load_or_create(dir.path(), &rng).unwrap().0, first.0);
        let path = dir.path().join(NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_create(dir.path(), &rng), Err(SecretFileError::Open { .. })));
    }

    /// As root: otherwise a restore would copy any file of this form for the owner of the folder.
    #[test]
    fn root_reads_no_secret_that_another_owner_links_to() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = load_or_create(other.path(), &Rng::system()).unwrap();
        std::os::unix::fs::symlink(other.path().join(NAME), dir.path().join(NAME)).unwrap();
        assert_eq!(load(dir.path()).unwrap().unwrap().0, secret.0, "nobody else owns the folder");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_533)).unwrap();
            assert!(matches!(load(dir.path()), Err(SecretFileError::File { .. })));
        }
    }

    #[test]
    fn a_file_with_other_content_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(&path, "not a secret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(load_or_create(dir.path(), &Rng::system()), Err(SecretFileError::Content { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a secret");
    }

    #[test]
    fn concurrent_starts_agree_on_one_secret() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = std::thread::scope(|scope| {
            let threads = (0..8).map(|_| scope.spawn(|| load_or_create(dir.path(), &Rng::system()).unwrap()));
            let threads = threads.collect::<Vec<_>>();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(secrets.iter().all(|secret| secret.0 == secrets[0].0));
    }
}
