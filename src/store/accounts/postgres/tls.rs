//! TLS to Postgres: `sslmode` in the URL means what it means to libpq. Knows nothing of pools or statements.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer` (the default) | if the server supports it | not verified |
//! | `require` | yes | not verified; with `ca`, as `verify-ca` |
//! | `verify-ca` | yes | chains to a trusted authority |
//! | `verify-full` (the default with `ca`) | yes | chains to a trusted authority and matches the host name |
//!
//! The trusted authorities are the system's and those in the `ca` file. The first three modes protect against an
//! eavesdropper but not against a man in the middle: across a network that is not your own, use `verify-full`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::authorities::trusted_authorities;

/// The values of `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Removes `sslmode` from a URL and parses it, because the driver knows only three of its values.
pub(super) fn split_mode(url: &str, with_ca: bool) -> Result<(String, Mode), String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("its URL does not begin with postgres://".to_owned());
    }
    let default = if with_ca { Mode::VerifyFull } else { Mode::Prefer };
    // The driver takes everything up to the first `@` as user and password, whatever characters it contains.
    let host = url.find('@').unwrap_or(0);
    let Some(query) = url[host..].find('?').map(|at| host + at) else { return Ok((url.to_owned(), default)) };
    let (modes, others): (Vec<_>, Vec<_>) = url[query + 1..]
        .split('&')
        .filter(|option| !option.is_empty())
        .partition(|option| option.starts_with("sslmode="));
    let mode = match modes.last().map(|option| &option["sslmode=".len()..]) {
        None => default,
        Some("disable") => Mode::Disable,
        Some("prefer") => Mode::Prefer,
        Some("require") if with_ca => Mode::VerifyCa,
        Some("require") => Mode::Require,
        Some("verify-ca") => Mode::VerifyCa,
        Some("verify-full") => Mode::VerifyFull,
        Some(_) => {
            return Err("sslmode in its URL must be disable, prefer, require, verify-ca or verify-full".to_owned());
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
        let authorities = || trusted_authorities(ca).map_err(|why| format!("the ca file cannot be read: {why}"));
        let mut tls = match self {
            Self::Disable | Self::Prefer | Self::Require => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyHostName { authorities: None, provider }))
                .with_no_client_auth(),
            Self::VerifyCa => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyHostName { authorities: Some(authorities()?), provider }))
                .with_no_client_auth(),
            Self::VerifyFull => builder.with_root_certificates(authorities()?).with_no_client_auth(),
        };
        // Postgres requires it for direct TLS; proxies in front of it may refuse it otherwise.
        if config.get_ssl_negotiation() == SslNegotiation::Direct {
            tls.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(tls))
    }
}

/// Verifies that a certificate chains to one of the authorities, if any are given, and ignores the host name.
#[derive(Debug)]
struct AnyHostName {
    authorities: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHostName {
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
    fn sslmode_is_removed_from_the_url() {
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
            assert_eq!(split_mode(url, with_ca), Ok((rest.to_owned(), mode)), "{url}");
            assert!(rest.parse::<Config>().is_ok() || rest.contains("a=1"), "{rest}");
        }
    }

    #[test]
    fn invalid_url_or_mode_is_refused_and_not_quoted() {
        for url in ["postgres://h/d?sslmode=hunter2", "mysql://u:hunter2@h/d", "host=h password=hunter2"] {
            assert!(!split_mode(url, false).unwrap_err().contains("hunter2"));
        }
    }
}
