//! The embedded default's secret: drawn once, kept in `data_dir`, readable by its owner alone.
//!
//! Only there: a fleet's secret is handed to it, since a secret that each node drew by itself would be a different one on each.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::rng::Rng;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The system refuses.
    #[error("the secret in {path} cannot be read or made: {detail}")]
    File {
        /// Where it is.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// It holds something else.
    #[error(
        "{path} does not hold a secret (base64 of 32 bytes); put back the file it was, or move the whole folder away to begin anew"
    )]
    Content {
        /// Where it is.
        path: String,
    },
    /// Others may read it.
    #[error("{path} can be read by others than its owner: chmod 600 it, and think about who may have read it")]
    Open {
        /// Where it is.
        path: String,
    },
}

const NAME: &str = "secret";

/// The secret in `data_dir`; drawn now if there is none.
pub(super) fn found(data_dir: &Path, rng: &Rng) -> Result<Secret, SecretFileError> {
    let path = data_dir.join(NAME);
    let file =
        |error: std::io::Error| SecretFileError::File { path: path.display().to_string(), detail: error.to_string() };
    let text = match read(&path)? {
        Some(text) => text,
        None => {
            make(data_dir, &path, rng).map_err(file)?;
            // Whichever of several processes was first: its secret is everyone's.
            read(&path)?.unwrap_or_default()
        }
    };
    let mut bytes = Zeroizing::new([0; 32]);
    match STANDARD.decode_slice(text.trim(), &mut *bytes) {
        Ok(32) => Ok(Secret(bytes)),
        _ => Err(SecretFileError::Content { path: path.display().to_string() }),
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, SecretFileError> {
    let shown = || path.display().to_string();
    match std::fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => return Err(SecretFileError::Open { path: shown() }),
        _ => {}
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SecretFileError::File { path: shown(), detail: error.to_string() }),
    }
}

/// Written whole under another name and then linked to its own, which fails where there is one by now.
fn make(data_dir: &Path, path: &Path, rng: &Rng) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let fresh = data_dir.join(format!("{NAME}.{:08x}", u32::from_ne_bytes(rng.bytes())));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let bytes = Zeroizing::new(rng.bytes::<32>());
    writeln!(file, "{}", *Zeroizing::new(STANDARD.encode(*bytes)))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&fresh, path);
    std::fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_drawn_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let rng = Rng::system();
        let first = found(folder.path(), &rng).unwrap();
        assert_eq!(found(folder.path(), &rng).unwrap().0, first.0);
        let path = folder.path().join(NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(found(folder.path(), &rng), Err(SecretFileError::Open { .. })));
    }

    #[test]
    fn a_file_with_something_else_in_it_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, "not a secret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(found(folder.path(), &Rng::system()), Err(SecretFileError::Content { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a secret");
    }

    #[test]
    fn many_at_once_agree_on_one() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = std::thread::scope(|scope| {
            let each = (0..8).map(|_| scope.spawn(|| found(folder.path(), &Rng::system()).unwrap()));
            let each = each.collect::<Vec<_>>();
            each.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(secrets.iter().all(|secret| secret.0 == secrets[0].0));
    }
}
