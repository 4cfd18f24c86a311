//! TLS 1.3 to a server on this machine, whose certificate is not verified: that would cost the client more than the
//! handshake costs the server. Knows nothing of HTTP but its ALPN name.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme};

use super::LoadError;
use super::stream::Stream;

/// The frequency of handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Handshakes {
    /// One for each connection, which stays open.
    Once,
    /// For each request, with a full handshake.
    Full,
    /// For each request. Each connection after the first resumes the session of the one before.
    Resumed,
}

/// Opens the connections that follow each other at one position in the load.
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    handshakes: Handshakes,
    opened: u64,
}

impl Connector {
    pub(super) fn new(handshakes: Handshakes) -> Result<Self, LoadError> {
        let provider = Arc::new(CryptoProvider {
            // The one that nearly all clients have and all servers prefer.
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        });
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_| LoadError::Impossible("TLS 1.3 is not supported"))?;
        let verifier = Arc::new(Unverified(provider));
        let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = match handshakes {
            Handshakes::Resumed => Resumption::store(Arc::new(ClientSessionMemoryCache::new(1))),
            Handshakes::Once | Handshakes::Full => Resumption::disabled(),
        };
        Ok(Self { config: Arc::new(config), handshakes, opened: 0 })
    }

    /// True if a connection is used for one request only.
    pub(super) fn reconnects(&self) -> bool {
        self.handshakes != Handshakes::Once
    }

    /// Begins TLS on a connection. The handshake goes on with the next read or write.
    pub(super) fn begin(&mut self, stream: TcpStream) -> Result<Stream, LoadError> {
        let name = ServerName::try_from("localhost").map_err(|_| LoadError::Impossible("no name"))?;
        let client = ClientConnection::new(self.config.clone(), name);
        let client = client.map_err(|_| LoadError::Impossible("no TLS connection"))?;
        self.opened += 1;
        Ok(Stream::Tls(Box::new(rustls::StreamOwned::new(client, stream))))
    }

    /// Fails unless the handshake was of the expected kind. Call this after a response.
    pub(super) fn check(&self, stream: &Stream) -> Result<(), LoadError> {
        let Stream::Tls(stream) = stream else { return Ok(()) };
        let resumes = self.handshakes == Handshakes::Resumed && self.opened > 1;
        let expected = if resumes { HandshakeKind::Resumed } else { HandshakeKind::Full };
        match stream.conn.handshake_kind() {
            Some(kind) if kind == expected => Ok(()),
            kind => Err(LoadError::bad_response(&format!("a handshake that is {kind:?} and not {expected:?}"), &[])),
        }
    }
}

/// Sends `close_notify`, as clients do.
pub(super) fn close(stream: &mut Stream) {
    if let Stream::Tls(stream) = stream {
        stream.conn.send_close_notify();
        let _ = stream.conn.write_tls(&mut stream.sock);
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
