//! From our settings to the driver's: addresses, trust, time-outs. Knows nothing of what is kept.

use std::path::Path;
use std::time::Duration;

use fred::types::config::{
    ClusterDiscoveryPolicy, Config as DriverConfig, ConnectionConfig, ServerConfig, TcpConfig, TlsConfig, TlsConnector,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config;
use crate::store;

/// Why there is no connection to Redis at start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address cannot be read.
    #[error("the address of Redis cannot be used: {0}")]
    Address(String),
    /// The authorities to trust cannot be read, or there are none.
    #[error("the certificate authorities for Redis cannot be used: {0}")]
    Authorities(String),
    /// Redis refuses user or password, or asks for one and was given none.
    #[error("Redis refuses the user or the password: {0}")]
    Credentials(String),
    /// It may be there later.
    #[error(transparent)]
    Unavailable(#[from] store::Error),
}

/// What it takes to make a connection.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) driver: DriverConfig,
    pub(super) timeout: Duration,
}

const SCHEMES: [&str; 3] = ["redis", "redis-sentinel", "redis-cluster"];

impl Settings {
    pub(super) fn read(config: &config::Redis) -> Result<Self, ConnectError> {
        let written = config.url.0.trim();
        let (scheme, rest) = written
            .split_once("://")
            .ok_or_else(|| ConnectError::Address("it does not begin with `redis://` or the like".into()))?;
        // The driver would read the system's authorities by itself, but fails if one of them is odd, and knows no others.
        let (plain, tls) = match scheme.strip_prefix("rediss") {
            Some(kind) => (format!("redis{kind}"), true),
            None => (scheme.to_owned(), false),
        };
        if !SCHEMES.contains(&plain.as_str()) {
            let allowed = "redis, redis-sentinel, redis-cluster, or rediss… for TLS";
            return Err(ConnectError::Address(format!("`{scheme}` is not one of {allowed}")));
        }
        let mut driver = DriverConfig::from_url(&format!("{plain}://{rest}"))
            .map_err(|error| ConnectError::Address(error.details().to_owned()))?;
        if let ServerConfig::Clustered { policy, .. } = &mut driver.server {
            // The nodes in the address may be the ones that are down.
            *policy = ClusterDiscoveryPolicy::UseCache;
        }
        if tls {
            driver.tls = Some(trusting(config.ca.as_deref())?);
        }
        Ok(Self { driver, timeout: config.timeout })
    }

    pub(super) fn connection(&self) -> ConnectionConfig {
        ConnectionConfig {
            // Nobody waits for a connection, but a frozen server must be tried again soon after it goes on.
            connection_timeout: self.timeout * 2,
            internal_command_timeout: self.timeout * 2,
            // Counts the first sending and each redirection. A command whose connection broke is not sent again: that would
            // take a reconnection policy, and the client is given none.
            max_command_attempts: 4,
            max_redirections: 3,
            // Far more than can be answered within any sensible time-out; past it commands fail at once.
            max_command_buffer_len: 20_000,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            // -READONLY, -LOADING and -CLUSTERDOWN end a connection, and the next one looks for the right node.
            ..ConnectionConfig::default()
        }
    }
}

fn trusting(ca: Option<&Path>) -> Result<TlsConfig, ConnectError> {
    let refused = |why: String| ConnectError::Authorities(why);
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let shown = path.display();
        let read = CertificateDer::pem_file_iter(path).map_err(|error| refused(format!("{shown}: {error}")))?;
        let before = roots.len();
        for certificate in read {
            let certificate = certificate.map_err(|error| refused(format!("{shown}: {error}")))?;
            roots.add(certificate).map_err(|error| refused(format!("{shown}: {error}")))?;
        }
        if roots.len() == before {
            return Err(refused(format!("{shown} holds no certificate")));
        }
    }
    if roots.is_empty() {
        return Err(refused("the system has none, and no file of others is set".into()));
    }
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}
