//! TLS, with a certificate that is reloaded when its files change, and with session tickets. Knows nothing of HTTP but
//! its two ALPN names.
//!
//! **Tickets.** A client that returns with a ticket resumes its session: the server signs nothing. All workers have the
//! same keys for tickets, which are random and only in memory, so a restart or another node costs one full handshake.
//! Keys outlive a reload, or a renewed certificate would bring all clients back with full handshakes at once. rustls
//! replaces them every six hours and accepts those of the period before. Early data (0-RTT) stays off: an attacker
//! could replay it (RFC 8446, 8).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{Accept, TlsAcceptor};

use super::certificate::expiry as certificate_expiry;
use super::observer::Observer;
use crate::config::Tls;

/// The time between two checks of the files for a change.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// So much of a response is encrypted before the socket takes it: a record. With the 64 KiB of rustls, each connection
/// whose client does not read would hold as much of a document that all connections share.
const SEND_BUFFER: usize = 16 * 1024;

/// Why a certificate cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error message of the system or the PEM reader.
        detail: String,
    },
    /// The file contains no such PEM section.
    #[error("{} contains no {what} in PEM format", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The key does not belong to the certificate, or one of them is unsupported.
    #[error("cannot use the certificate {} with the key {}: {detail}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The error message of rustls.
        detail: String,
    },
    /// There is no randomness for the keys of session tickets.
    #[error("cannot create keys for session tickets: {0}")]
    Tickets(String),
}

/// The certificate in use.
pub(super) struct Certificates {
    files: Tls,
    /// The files' state before they were first read, so that no later change goes unnoticed.
    initial: FileState,
    current: ArcSwap<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
    observer: Arc<dyn Observer>,
}

/// Modification time and size of both files, to detect a change.
type FileState = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Loads the certificate and its key.
    pub(super) fn load(files: &Tls, observer: Arc<dyn Observer>) -> Result<Self, TlsError> {
        let initial = file_state(files);
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new();
        let tickets = tickets.map_err(|error| TlsError::Tickets(error.to_string()))?;
        let current = ArcSwap::new(read_config(files, &tickets, &*observer)?);
        Ok(Self { files: files.clone(), initial, current, tickets, observer })
    }

    /// Accepts a TLS connection with the current certificate.
    pub(super) fn accept<S>(&self, stream: S) -> Accept<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        acceptor.accept_with(stream, |connection| connection.set_buffer_limit(Some(SEND_BUFFER)))
    }

    /// Reloads the files whenever they change. Runs until its task ends.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut seen = self.initial;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.reload_if_changed(&mut seen);
            // Keys are only replaced when tickets are used. Without clients, old ones would stay in memory.
            self.tickets.decrypt(&[]);
        }
    }

    /// Reloads the files if they changed. A certificate that cannot be used is logged once, and the previous one stays.
    fn reload_if_changed(&self, seen: &mut FileState) {
        let current = file_state(&self.files);
        if std::mem::replace(seen, current) == current {
            return;
        }
        match read_config(&self.files, &self.tickets, &*self.observer) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.files.certificate.display(), "TLS certificate reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "TLS certificate reload failed, the previous certificate stays in use")
            }
        }
    }
}

fn file_state(files: &Tls) -> FileState {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

/// Reads the files, and reports when the certificate expires.
fn read_config(
    files: &Tls,
    tickets: &Arc<dyn ProducesTickets>,
    observer: &dyn Observer,
) -> Result<Arc<ServerConfig>, TlsError> {
    let Tls { certificate, key } = files;
    let unreadable = |path: &Path, detail: String| TlsError::File { path: path.to_owned(), detail };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: certificate.clone(), what: "certificate" });
    }
    let expiry = certificate_expiry(&chain[0]);
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Empty { path: key.clone(), what: "private key" },
        error => unreadable(key, error.to_string()),
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private_key));
    let mut config = config.map_err(|error| TlsError::Unusable {
        certificate: certificate.clone(),
        key: key.clone(),
        detail: error.to_string(),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = tickets.clone();
    expiry.into_iter().for_each(|expiry| observer.certificate_loaded(expiry));
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;
    use tokio_rustls::TlsConnector;

    struct Unobserved;
    impl Observer for Unobserved {}

    fn write_new_certificate(files: &Tls) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        std::fs::write(&files.certificate, cert.pem()).unwrap();
    }

    #[test]
    fn an_unusable_certificate_does_not_replace_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = Tls { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write_new_certificate(&files);
        let certificates = Certificates::load(&files, Arc::new(Unobserved)).unwrap();
        let first = certificates.current.load_full();
        let mut seen = certificates.initial;
        let same = |certificates: &Certificates| Arc::ptr_eq(&first, &certificates.current.load_full());
        certificates.reload_if_changed(&mut seen);
        assert!(same(&certificates), "nothing changed");
        for broken in ["", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&files.certificate, broken).unwrap();
            certificates.reload_if_changed(&mut seen);
            assert!(same(&certificates), "{broken:?}");
        }
        std::fs::remove_file(&files.certificate).unwrap();
        certificates.reload_if_changed(&mut seen);
        assert!(same(&certificates), "the file is gone");
        write_new_certificate(&files);
        certificates.reload_if_changed(&mut seen);
        assert!(!same(&certificates), "the new one is used");
    }

    #[tokio::test]
    async fn response_that_nobody_reads_is_encrypted_record_by_record() {
        const PIPE: usize = 4 * 1024;
        let folder = tempfile::tempdir().unwrap();
        let files = Tls { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write_new_certificate(&files);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let certificates = Certificates::load(&files, Arc::new(Unobserved)).unwrap();
        let (near, far) = tokio::io::duplex(PIPE);
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(client)).connect(name, far);
        let (connected, accepted) = tokio::join!(connecting, certificates.accept(near));
        let (_client, mut stream) = (connected.unwrap(), accepted.unwrap());
        let (response, mut taken) = (vec![0_u8; 256 * 1024], 0);
        loop {
            let written = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, &response))).await;
            let Poll::Ready(count) = written else { break };
            taken += count.unwrap();
        }
        assert!((1..=PIPE + SEND_BUFFER).contains(&taken), "{taken}");
    }
}
