//! The settings, checked: what every room is built from. `config.toml` says what each means to an operator.
//!
//! Written settings become these in two steps: a file, the environment and flags are read as they stand, and then resolved
//! and checked together. Nothing else reads the environment. Knows none of the rooms.

mod advice;
mod environment;
mod error;
mod file;
mod limits;
mod raw;
mod reader;
mod resolve;
mod sign_in;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

pub use error::{ConfigError, Faults, Source};
pub use limits::{LimitedAction, Limits, Rate};
pub use sign_in::{Accounts, Api, Codes, Dialect, Mailed, Passwords, SecondFactor};

/// Everything, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the embedded store, the keyring's mirror, a made secret and the outbox live.
    pub data_dir: PathBuf,
    /// The fleet's secrets: the first seals, all open. `None`: embedded, and to be made in `data_dir`.
    pub secrets: Option<Vec<Secret>>,
    /// The listeners and their bounds.
    pub server: Server,
    /// Redis, if it is used for what expires.
    pub redis: Option<Redis>,
    /// Postgres, if it is used for what lasts.
    pub postgres: Option<Postgres>,
    /// The embedded store, used for each role that has no server of its own.
    pub embedded: Embedded,
    /// How mail is sent.
    pub mail: Mail,
    /// What tokens say and how long they live.
    pub tokens: Tokens,
    /// The signing keys' lives.
    pub keys: Keys,
    /// The caches in front of verification.
    pub verify: Verify,
    /// How revocations are followed.
    pub revocation: Revocation,
    /// How passwords are hashed and which are accepted.
    pub passwords: Passwords,
    /// Who may have an account.
    pub accounts: Accounts,
    /// What is mailed to be handed in.
    pub mailed: Mailed,
    /// Second factors.
    pub second_factor: SecondFactor,
    /// How often what may be tried.
    pub limits: Limits,
    /// The log.
    pub log: Log,
    /// The dialects.
    pub api: Api,
}

/// Thirty-two secret bytes; its Debug form shows nothing of them.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An address that may hold a password; its Debug form leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(pub String);

impl SecretUrl {
    /// The address for logs: without user and password, and without the query, in which some drivers take one too. Where
    /// an unescaped password makes it doubtful what is the host, nothing but the scheme.
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

/// The listeners and their bounds.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where the APIs are served.
    pub listen: SocketAddr,
    /// Where health and metrics are served; none: nowhere.
    pub management: Option<SocketAddr>,
    /// How many workers, each with its own runtime and listener.
    pub workers: usize,
    /// The address by which the outside knows this service, without a slash at its end.
    pub public_url: String,
    /// How many connections may be open at once over all workers.
    pub max_connections: usize,
    /// How large a body may be.
    pub max_body: usize,
    /// How many bytes a worker holds of bodies and answers larger than that, and as many of smaller ones that come in pieces.
    pub max_held: usize,
    /// In what time a request's head must have arrived.
    pub header_timeout: Duration,
    /// In what time a request's body must have arrived.
    pub body_timeout: Duration,
    /// In what time a request must have been answered.
    pub request_timeout: Duration,
    /// How long a connection may stand idle.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to finish once the server was told to stop.
    pub drain_timeout: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// From which origins browsers may call.
    pub cors_origins: Vec<String>,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<Tls>,
}

/// PEM files, read again when they change.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A range of addresses: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in the range.
    pub address: std::net::IpAddr,
    /// How many leading bits count.
    pub bits: u8,
}

/// Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://`, `rediss://`, `redis-sentinel://`, `redis-cluster://` and their `s` forms, as fred reads them.
    pub url: SecretUrl,
    /// Stands before every key.
    pub prefix: String,
    /// In what time a command must be answered.
    pub timeout: Duration,
    /// A PEM file of authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
}

/// Postgres.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// `postgres://…`, `sslmode` included.
    pub url: SecretUrl,
    /// How many connections at the most, over all workers.
    pub connections: usize,
    /// In what time a connection must be had and a statement answered, all those of a request together.
    pub timeout: Duration,
    /// A PEM file of authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
}

/// The embedded store.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// How long one call may take.
    pub timeout: Duration,
}

impl Default for Embedded {
    /// A local disk that stands still for half a second is usually a busy one and not a dead one, so this is longer than what a server
    /// across the network is given, and shorter than what a client bears.
    fn default() -> Self {
        Self { durability: Durability::Power, timeout: Duration::from_secs(2) }
    }
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: each group of writes is synced to the disk.
    Power,
    /// The end of the process, however sudden, but not of the machine.
    Process,
}

/// How mail is sent.
#[derive(Clone, Debug)]
pub struct Mail {
    /// `smtp://` or `smtps://`; none: mails become files in `data_dir`.
    pub smtp_url: Option<SecretUrl>,
    /// A PEM file of authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// In what time the mail server must answer.
    pub timeout: Duration,
    /// Who mails come from.
    pub from: String,
    /// How the service calls itself.
    pub service_name: String,
    /// How many mails may wait.
    pub queue: usize,
    /// A folder of letters that go before those built in.
    pub templates: Option<PathBuf>,
}

/// What tokens say and how long they live.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// What the header's `alg` says; both are accepted.
    pub algorithm: Algorithm,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// For how long a rotated refresh token still gets the same successor.
    pub grace: Duration,
    /// How many sessions a user may have; one more ends the oldest.
    pub sessions_per_user: u32,
}

/// The two names of the one algorithm (RFC 8037; RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `EdDSA`.
    EdDsa,
    /// `Ed25519`.
    Ed25519,
}

/// The signing keys' lives.
#[derive(Clone, Debug)]
pub struct Keys {
    /// How long a key signs.
    pub rotate_every: Duration,
    /// How long a key stands in the JWKS before it signs; more than `jwks_max_age`.
    pub announce: Duration,
    /// For how long the JWKS may be cached.
    pub jwks_max_age: Duration,
}

/// The caches in front of verification.
#[derive(Clone, Debug)]
pub struct Verify {
    /// How many tokens found good are remembered.
    pub cache: u64,
    /// How many tokens found forged are remembered.
    pub negative_cache: u64,
}

/// How revocations are followed.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// After how long without word from the store a node says that it may be behind.
    pub stale_after: Duration,
    /// What such a node does.
    pub when_stale: WhenStale,
}

/// What a node does that may be behind with revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// Goes on verifying.
    Answer,
    /// Answers 503 to every verification.
    Refuse,
}

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Directives as `tracing` reads them: `info`, `signet=debug`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
    /// Where traces go by OTLP over HTTP, in a build that has the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
