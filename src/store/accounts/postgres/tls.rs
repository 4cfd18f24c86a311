//! What `sslmode` in the URL means, as libpq means it. Knows nothing of pools or statements.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer` (where nothing is said) | if the server can | not looked at |
//! | `require` | yes | not looked at; with `ca`, as `verify-ca` |
//! | `verify-ca` | yes | leads to an authority that is trusted |
//! | `verify-full` (where nothing is said, but there is `ca`) | yes | the same, and it bears the host's name |
//!
//! Trusted are the system's authorities and those in the `ca` file. The first three withstand somebody who listens but not
//! somebody who stands in between: across a network that is not your own, say `verify-full`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What is demanded of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Takes `sslmode` out of a URL, since the driver knows only three of its values.
pub(super) fn mode_of(url: &str, with_ca: bool) -> Result<(String, Mode), String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("its address does not begin with postgres://".to_owned());
    }
    let unsaid = if with_ca { Mode::VerifyFull } else { Mode::Prefer };
    // Up to the first `@` the driver reads user and password, whatever they are made of.
    let host = url.find('@').unwrap_or(0);
    let Some(query) = url[host..].find('?').map(|at| host + at) else { return Ok((url.to_owned(), unsaid)) };
    let (said, others): (Vec<_>, Vec<_>) = url[query + 1..]
        .split('&')
        .filter(|option| !option.is_empty())
        .partition(|option| option.starts_with("sslmode="));
    let mode = match said.last().map(|option| &option["sslmode=".len()..]) {
        None => unsaid,
        Some("disable") => Mode::Disable,
        Some("prefer") => Mode::Prefer,
        Some("require") if with_ca => Mode::VerifyCa,
        Some("require") => Mode::Require,
        Some("verify-ca") => Mode::VerifyCa,
        Some("verify-full") => Mode::VerifyFull,
        Some(_) => {
            return Err("sslmode in its address is none of disable, prefer, require, verify-ca, verify-full".to_owned());
        }
    };
    Ok((format!("{}?{}", &url[..query], others.join("&")), mode))
}

impl Mode {
    pub(super) fn apply(self, config: &mut Config) {
        config.ssl_mode(match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        });
    }

    pub(super) fn connector(self, config: &Config, ca: Option<&Path>) -> Result<MakeRustlsConnect, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut tls = match self {
            Self::Disable | Self::Prefer | Self::Require => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName { authorities: None, provider }))
                .with_no_client_auth(),
            Self::VerifyCa => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName { authorities: Some(authorities(ca)?), provider }))
                .with_no_client_auth(),
            Self::VerifyFull => builder.with_root_certificates(authorities(ca)?).with_no_client_auth(),
        };
        // Postgres demands it where TLS begins without asking first, and others that stand before it may refuse it elsewhere.
        if config.get_ssl_negotiation() == SslNegotiation::Direct {
            tls.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(tls))
    }
}

/// The system's authorities and those in the file.
fn authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca {
        let unreadable = |why: String| format!("the authorities in {} cannot be read: {why}", file.display());
        let mut found = false;
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            found = true;
        }
        if !found {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
    }
    Ok(roots)
}

/// Asks of a certificate that it leads to an authority, if any are given, and never whose name it bears.
#[derive(Debug)]
struct AnyName {
    authorities: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, authorities, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_taken_out_of_the_url() {
        for (url, with_ca, rest, mode) in [
            ("postgres://h/d", false, "postgres://h/d", Mode::Prefer),
            ("postgres://h/d", true, "postgres://h/d", Mode::VerifyFull),
            ("postgres://h/d?sslmode=disable", true, "postgres://h/d?", Mode::Disable),
            ("postgres://h/d?sslmode=prefer", true, "postgres://h/d?", Mode::Prefer),
            ("postgresql://h/d?a=1&sslmode=require&b=2", false, "postgresql://h/d?a=1&b=2", Mode::Require),
            ("postgres://h/d?sslmode=require", true, "postgres://h/d?", Mode::VerifyCa),
            ("postgres://h/d?sslmode=verify-ca", false, "postgres://h/d?", Mode::VerifyCa),
            ("postgres://u:p?sslmode=disable@h/d", false, "postgres://u:p?sslmode=disable@h/d", Mode::Prefer),
            ("postgres://u:p@h?sslmode=verify-full", false, "postgres://u:p@h?", Mode::VerifyFull),
        ] {
            assert_eq!(mode_of(url, with_ca), Ok((rest.to_owned(), mode)), "{url}");
            assert!(rest.parse::<Config>().is_ok() || rest.contains("a=1"), "{rest}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused_and_not_quoted() {
        for url in ["postgres://h/d?sslmode=hunter2", "mysql://u:hunter2@h/d", "host=h password=hunter2"] {
            assert!(!mode_of(url, false).unwrap_err().contains("hunter2"));
        }
    }
}
