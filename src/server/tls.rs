//! TLS, with a certificate that is read again when its files change. Knows nothing of HTTP but its two names in ALPN.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system or the PEM reader said.
        detail: String,
    },
    /// There is nothing of the kind in the file.
    #[error("{} holds no {what} in PEM", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key is not the certificate's, or of no use.
    #[error("the certificate {} and its key {} cannot be used: {detail}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        detail: String,
    },
}

/// The certificate in use.
pub(super) struct Certificates {
    files: Tls,
    /// As the files were before they were first read, so that no change after that goes unseen.
    first: Stamp,
    current: ArcSwap<ServerConfig>,
}

/// What tells that a file is not the one that was read: when it was written, and how long it is.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads the files.
    pub(super) fn load(files: &Tls) -> Result<Self, TlsError> {
        let first = stamp(files);
        Ok(Self { files: files.clone(), first, current: ArcSwap::new(read(files)?) })
    }

    /// What accepts a connection with the certificate of now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again whenever they change.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut seen = self.first;
        loop {
            tokio::time::sleep(EVERY).await;
            self.look(&mut seen);
        }
    }

    /// Reads the files if they changed; what cannot be used is logged once, and the old certificate stays.
    fn look(&self, seen: &mut Stamp) {
        let found = stamp(&self.files);
        if std::mem::replace(seen, found) == found {
            return;
        }
        match read(&self.files) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the old certificate stays in use"),
        }
    }
}

fn stamp(files: &Tls) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
}

fn read(files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let Tls { certificate, key } = files;
    let unreadable = |path: &Path, detail: String| TlsError::File { path: path.to_owned(), detail };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::Nothing { path: certificate.clone(), what: "certificate" });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Nothing { path: key.clone(), what: "private key" },
        error => unreadable(key, error.to_string()),
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|error| TlsError::Unusable {
        certificate: certificate.clone(),
        key: key.clone(),
        detail: error.to_string(),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    fn write(files: &Tls) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        std::fs::write(&files.certificate, cert.pem()).unwrap();
    }

    #[test]
    fn what_cannot_be_used_leaves_the_old_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let files = Tls { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write(&files);
        let certificates = Certificates::load(&files).unwrap();
        let first = certificates.current.load_full();
        let mut seen = certificates.first;
        let same = |certificates: &Certificates| Arc::ptr_eq(&first, &certificates.current.load_full());
        certificates.look(&mut seen);
        assert!(same(&certificates), "nothing changed");
        for broken in ["", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&files.certificate, broken).unwrap();
            certificates.look(&mut seen);
            assert!(same(&certificates), "{broken:?}");
        }
        std::fs::remove_file(&files.certificate).unwrap();
        certificates.look(&mut seen);
        assert!(same(&certificates), "the file is gone");
        write(&files);
        certificates.look(&mut seen);
        assert!(!same(&certificates), "the new one is used");
    }
}
