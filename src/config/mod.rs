//! The checked settings. `config.toml` documents each for operators.
//!
//! Settings are loaded in two steps: the file, the environment and flags are read into raw settings, which are then
//! resolved and checked together. No other module reads the environment. Imports no other module.

mod advice;
mod audiences;
mod audit;
mod claim_names;
mod console;
mod environment;
mod error;
mod file;
mod limits;
mod mail;
mod pages;
mod raw;
mod reader;
mod resolve;
mod settings;
mod sign_in;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

pub use audiences::{Audience, SigningAlgorithm};
pub use audit::{Audit, Webhook, WebhookSecret};
pub use claim_names::{RESERVED_CLAIMS, reserved_claim};
pub use console::{Console, ConsoleListener};
pub use error::{ConfigError, ConfigErrors, Source};
pub use limits::{DAILY_TRIES, LimitedAction, Limits, OnFailure, Rate, site_of};
pub use mail::{Logo, Mail};
pub use pages::{Home, Pages};
pub use settings::{GivenSetting, MASK, Setting};
pub use sign_in::{
    Accounts, Api, Argon2Implementation, Codes, Dialect, Mailed, Passwords, RotationPolicy, SecondFactor,
};
pub use values::{format_duration, parse_duration};

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the embedded store, the keyring's mirror, the generated secret and the outbox.
    pub data_dir: PathBuf,
    /// The fleet's secrets: the first seals, all open. `None`: embedded, with a secret generated in `data_dir`.
    pub secrets: Option<Vec<Secret>>,
    /// Listeners and their bounds.
    pub server: Server,
    /// Redis, if it holds the short-lived state.
    pub redis: Option<Redis>,
    /// Postgres, if it holds the durable state.
    pub postgres: Option<Postgres>,
    /// The embedded store, used for each role without a server.
    pub embedded: Embedded,
    /// Mail delivery.
    pub mail: Mail,
    /// Token claims and session limits.
    pub tokens: Tokens,
    /// Audiences besides `tokens.audience`, sorted by name.
    pub audiences: Vec<Audience>,
    /// Lifetimes of signing keys.
    pub keys: Keys,
    /// Verification caches.
    pub verify: Verify,
    /// Handling of stale revocations.
    pub revocation: Revocation,
    /// Password hashing and policy.
    pub passwords: Passwords,
    /// Account creation.
    pub accounts: Accounts,
    /// Mailed codes and links.
    pub mailed: Mailed,
    /// Second factors.
    pub second_factor: SecondFactor,
    /// Rate limits.
    pub limits: Limits,
    /// The pages.
    pub pages: Pages,
    /// The console.
    pub console: Console,
    /// The record of security events.
    pub audit: Audit,
    /// The log.
    pub log: Log,
    /// The dialects.
    pub api: Api,
    /// Every setting that was given, as it was written.
    pub given: Vec<GivenSetting>,
}

/// The name and the value of a line of `config.toml` that sets something.
fn config_toml_setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(" = ")?;
    key.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some((key, value))
}

/// 32 secret bytes. The Debug form hides them.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A URL that may contain a password. The Debug form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(pub String);

impl SecretUrl {
    /// The URL for logs: without user, password and query, in which some drivers accept a password too. Only the scheme
    /// if an unescaped password makes the host ambiguous.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return "…".to_owned();
        };
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = tail.split(['?', '#']).next().unwrap_or_default();
        match authority.rsplit_once('@') {
            _ if tail.contains('@') => format!("{scheme}://…"),
            Some((_, host)) => format!("{scheme}://…@{host}{path}"),
            None => format!("{scheme}://{authority}{path}"),
        }
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Listeners and their bounds.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address of the APIs.
    pub listen: SocketAddr,
    /// Address of health and metrics; `None` if disabled.
    pub management: Option<SocketAddr>,
    /// Number of workers, each with its own runtime and listener.
    pub workers: usize,
    /// Base URL that clients use, without a trailing slash.
    pub public_url: String,
    /// Maximum number of open connections, over all workers.
    pub max_connections: usize,
    /// Maximum size of a request body.
    pub max_body: usize,
    /// Size of each of a worker's three memory budgets: one for bodies and responses larger than `max_body`, one for
    /// smaller bodies that take memory of their own, and one for everything else that connections make it hold.
    pub max_held: usize,
    /// Time limit for a request's head.
    pub header_timeout: Duration,
    /// Time limit for a request's body.
    pub body_timeout: Duration,
    /// Time limit for the response.
    pub request_timeout: Duration,
    /// Time in which a client must read at least one byte of a pending response.
    pub write_timeout: Duration,
    /// Time for which an idle connection stays open.
    pub idle_timeout: Duration,
    /// Time limit for requests in flight on shutdown.
    pub drain_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
    /// Certificate and key; `None` for plain HTTP.
    pub tls: Option<Tls>,
}

/// PEM files, reloaded when they change.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A range of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in the range.
    pub address: std::net::IpAddr,
    /// Length of the prefix in bits.
    pub bits: u8,
}

/// Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://`, `redis-sentinel://`, `redis-cluster://` and their TLS forms, as fred parses them.
    pub url: SecretUrl,
    /// Prefix of every key.
    pub prefix: String,
    /// Time limit for a reply.
    pub timeout: Duration,
    /// PEM file of certificate authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// Postgres.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// `postgres://…`, `sslmode` included.
    pub url: SecretUrl,
    /// Maximum number of connections, over all runtimes. Each has at least one.
    pub connections: usize,
    /// Time limit for getting a connection and for all statements of a request together.
    pub timeout: Duration,
    /// PEM file of certificate authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// The embedded store.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The failures that an acknowledged write survives.
    pub durability: Durability,
    /// Time limit of one call.
    pub timeout: Duration,
}

impl Default for Embedded {
    /// The time limit is longer than that of a server: a local disk that stalls for half a second is usually busy, not
    /// broken.
    fn default() -> Self {
        Self { durability: Durability::Power, timeout: Duration::from_secs(2) }
    }
}

/// The failures that an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power failure: each group of writes is synced to disk.
    Power,
    /// A crash of the process, but not of the machine.
    Process,
}

/// Token claims and session limits.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `client_id` of tokens of users who signed in, never in the form of an API key's id; `None`: they have none.
    pub client_id: Option<String>,
    /// The claims that tokens carry if the user has them, by their names in the token: custom claims and the full name.
    pub claims: Vec<String>,
    /// The `alg` header; both names are accepted.
    pub algorithm: Algorithm,
    /// Tolerated clock difference.
    pub leeway: Duration,
    /// Time for which a rotated refresh token still returns the same successor.
    pub grace: Duration,
    /// Maximum number of sessions per user; a further one ends the oldest.
    pub sessions_per_user: u32,
    /// Time after signing in for which a user may make sensitive changes without the password.
    pub recent_sign_in: Duration,
}

/// The two names of the same algorithm (RFC 8037, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `EdDSA`.
    EdDsa,
    /// `Ed25519`.
    Ed25519,
}

/// Lifetimes of signing keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Time for which a key signs.
    pub rotate_every: Duration,
    /// Minimum time for which a key is in the JWKS before it signs; longer than `jwks_max_age`.
    pub announce: Duration,
    /// Time for which the JWKS may be cached.
    pub jwks_max_age: Duration,
}

/// Verification caches.
#[derive(Clone, Debug)]
pub struct Verify {
    /// Maximum number of valid tokens in the cache.
    pub cache: u64,
    /// Maximum number of invalid tokens in the cache.
    pub negative_cache: u64,
}

/// How nodes and services learn of revocations.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Time without contact to the revocation stream after which a node counts as stale.
    pub stale_after: Duration,
    /// Behavior of a stale node.
    pub when_stale: WhenStale,
    /// Time for which a command waits until every running node has applied what it has ended.
    pub confirm_within: Duration,
    /// True if revocations are published to services that verify tokens themselves.
    pub feed: bool,
    /// Time for which the entries of the published feed are kept for services that have fallen behind.
    pub feed_history: Duration,
}

/// Behavior of a stale node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// Verifies with what it knows.
    Answer,
    /// Answers 503 to every verification.
    Refuse,
}

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Filter directives in the syntax of `tracing`: `info`, `signet=debug`.
    pub filter: String,
    /// Format of log lines.
    pub format: LogFormat,
    /// Collector for traces (OTLP over HTTP), in a build with the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// Human-readable.
    Pretty,
    /// One JSON object per line.
    Json,
}
