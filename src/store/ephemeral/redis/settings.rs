//! Translates our settings to the driver's: addresses, TLS, timeouts. Knows nothing of what is stored.

use std::path::Path;
use std::time::Duration;

use fred::types::config::{
    ClusterDiscoveryPolicy, Config as DriverConfig, ConnectionConfig, ServerConfig, TcpConfig, TlsConfig, TlsConnector,
};

use crate::config;
use crate::store;
use crate::store::authorities::trusted_authorities;

/// Why no connection to Redis can be opened at start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is invalid.
    #[error("redis.url is invalid: {0}")]
    Address(String),
    /// The certificate authorities cannot be read, or there are none.
    #[error("redis.ca: cannot load certificate authorities: {0}")]
    Authorities(String),
    /// Redis refuses the user or password, or requires one and got none.
    #[error("Redis refuses the user or password in redis.url: {0}")]
    Credentials(String),
    /// Redis does not answer.
    #[error(transparent)]
    Unavailable(#[from] store::Error),
}

/// The settings of a connection.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) driver: DriverConfig,
    pub(super) timeout: Duration,
}

const SCHEMES: [&str; 3] = ["redis", "redis-sentinel", "redis-cluster"];

impl Settings {
    pub(super) fn read(config: &config::Redis) -> Result<Self, ConnectError> {
        let url = config.url.0.trim();
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            ConnectError::Address("it must begin with `redis://`, `redis-sentinel://` or `redis-cluster://`".into())
        })?;
        // The driver can load the system's authorities itself, but fails if it cannot parse one of them, and accepts no
        // others.
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
            // The nodes in the URL may be the ones that are down.
            *policy = ClusterDiscoveryPolicy::UseCache;
        }
        if tls {
            driver.tls = Some(tls_config(config.ca.as_deref())?);
        }
        Ok(Self { driver, timeout: config.timeout })
    }

    pub(super) fn connection(&self) -> ConnectionConfig {
        ConnectionConfig {
            // No caller waits for a connection, but a frozen server must be tried again soon after it resumes.
            connection_timeout: self.timeout * 2,
            internal_command_timeout: self.timeout * 2,
            // Counts the first attempt and each redirection. A command whose connection broke is not sent again,
            // because the client has no reconnection policy.
            max_command_attempts: 4,
            max_redirections: 3,
            // Far more commands than can be answered within any sensible timeout; beyond it they fail immediately.
            max_command_buffer_len: 20_000,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            // -READONLY, -LOADING and -CLUSTERDOWN end a connection, and the next one finds the right node.
            ..ConnectionConfig::default()
        }
    }
}

/// Trusts the system's certificate authorities and those in the file `ca`.
fn tls_config(ca: Option<&Path>) -> Result<TlsConfig, ConnectError> {
    let invalid = ConnectError::Authorities;
    let roots = trusted_authorities(ca).map_err(invalid)?;
    if roots.is_empty() {
        return Err(invalid("the system has none and redis.ca is not set".into()));
    }
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}
