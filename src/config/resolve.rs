//! Every setting once: its key, type, bounds and default, followed by the rules between settings. `config.toml`
//! documents the same for operators, and a test compares the two.
//!
//! To add a setting, add a line here, a field in the checked settings, and a paragraph in `config.toml`.

mod audiences;
mod audit;
mod claims;
mod mail;
mod pages;
mod sign_in;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Reader, Section};
use super::{
    Algorithm, Config, Console, ConsoleListener, Dialect, Durability, Embedded, Keys, Log, LogFormat, Postgres, Redis,
    Revocation, Server, Tls, Tokens, Verify, WhenStale,
};
use crate::config::error::ConfigErrors;
use crate::config::raw::RawConfig;
use crate::config::values::{
    Address, Bool, Bytes32, ClientId, Collector, Cores, DurationRange, FilePath, Filter, Integer, Issuer, KeyPrefix,
    OneOf, OrOff, Origin, Range, Size, StoreAddress, Text, WebAddress, format_duration,
};

/// Environment variables with customary names, accepted besides `SIGNET_…`.
const ENV_ALIASES: &[(&str, &str)] = &[
    ("DATABASE_URL", "postgres.url"),
    ("MAGIC_LINK_URL", "mailed.magic_url"),
    ("REDIS_URL", "redis.url"),
    ("RESET_PASSWORD_URL", "mailed.reset_url"),
    ("SMTP_URL", "mail.smtp_url"),
    ("USERS_OPEN_REGISTRATION", "accounts.open_registration"),
];

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
const fn minutes(count: u64) -> Duration {
    seconds(count * 60)
}
const fn days(count: u64) -> Duration {
    minutes(count * 24 * 60)
}

impl Config {
    /// Loads the settings from a file, the environment of the process, and `key=value` flags. Flags override the
    /// environment, and the environment overrides the file. Without `file`, reads `./config.toml` if it exists.
    pub fn load(file: Option<&Path>, flags: &[String]) -> Result<Self, ConfigErrors> {
        let mut raw = RawConfig::default();
        let default_file = Path::new("config.toml");
        match file {
            Some(path) => raw.add_file(path),
            // A folder, as Docker makes where the file to mount is missing, or a link to nothing is an error: settings
            // were meant to be there.
            None if std::fs::symlink_metadata(default_file).is_ok() => raw.add_file(default_file),
            None => {}
        }
        raw.add_environment();
        raw.add_flags(flags);
        Self::resolve(raw)
    }

    /// The settings that a file of this text describes, whatever the environment says.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        let mut raw = RawConfig::default();
        raw.add_toml(Path::new("config.toml"), text);
        Self::resolve(raw)
    }

    /// The default settings, changed by these `key=value` flags. If a key occurs twice, its last flag counts. Reads
    /// neither a file nor the environment.
    pub fn from_flags(flags: &[String]) -> Result<Self, ConfigErrors> {
        let mut raw = RawConfig::default();
        raw.add_flags(flags);
        Self::resolve(raw)
    }

    /// Turns raw settings into typed ones and checks them. Fails with all errors at once.
    pub(super) fn resolve(raw: RawConfig) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(raw, ENV_ALIASES);
        let mut config = read(&mut reader);
        config.given = reader.take_given();
        check_rules(&config, &mut reader);
        reader.finish()?;
        Ok(config)
    }
}

impl Default for Config {
    fn default() -> Self {
        read(&mut Reader::new(RawConfig::default(), ENV_ALIASES))
    }
}

/// Reads every setting, in the order of `config.toml`.
pub(super) fn read(from: &mut Reader) -> Config {
    let data_dir = from.top().read("data_dir", FilePath, PathBuf::from("./data"));
    let secrets = from.top().read_list("secret", Bytes32);
    let server = server(from);
    let tokens = tokens(&mut from.section("tokens"), &server.public_url);
    let passwords = sign_in::passwords(&mut from.section("passwords"));
    let api = sign_in::api(from, &passwords);
    let own_pages = format!("{}{}", server.public_url, api.native.prefix);
    Config {
        data_dir,
        secrets,
        redis: redis(&mut from.section("redis")),
        postgres: postgres(&mut from.section("postgres")),
        embedded: embedded(&mut from.section("embedded")),
        mail: mail::mail(&mut from.section("mail"), &own_pages),
        audiences: audiences::audiences(from),
        keys: keys(&mut from.section("keys")),
        verify: verify(&mut from.section("verify")),
        revocation: revocation(&mut from.section("revocation")),
        accounts: sign_in::accounts(&mut from.section("accounts")),
        mailed: sign_in::mailed(&mut from.section("mailed"), &own_pages),
        second_factor: sign_in::second_factor(&mut from.section("second_factor")),
        limits: sign_in::limits(&mut from.section("limits")),
        pages: pages::pages(&mut from.section("pages")),
        console: console(&mut from.section("console")),
        audit: audit::audit(&mut from.section("audit")),
        log: log(&mut from.section("log")),
        api,
        passwords,
        server,
        tokens,
        given: Vec::new(),
    }
}

fn server(from: &mut Reader) -> Server {
    let mut server = from.section("server");
    let listen = server.read("listen", Address, ([127, 0, 0, 1], 8000).into());
    let default_url = format!("http://{listen}");
    Server {
        listen,
        management: server.read("management", OrOff(Address), Some(([127, 0, 0, 1], 8001).into())),
        workers: server.read("workers", Cores, Cores::here()),
        public_url: server.read("public_url", WebAddress, default_url),
        max_connections: server.read("max_connections", Integer(1, 10_000_000), 16_384) as usize,
        max_body: server.read("max_body", Size(1 << 10, 16 << 20), 64 << 10),
        max_held: server.read("max_held", Size(4 << 20, 4 << 30), 32 << 20),
        header_timeout: server.read("header_timeout", DurationRange(ms(100), minutes(5)), seconds(10)),
        body_timeout: server.read("body_timeout", DurationRange(ms(100), minutes(5)), seconds(10)),
        request_timeout: server.read("request_timeout", DurationRange(ms(100), minutes(5)), seconds(30)),
        write_timeout: server.read("write_timeout", DurationRange(ms(100), minutes(5)), seconds(10)),
        idle_timeout: server.read("idle_timeout", DurationRange(seconds(1), days(1)), seconds(75)),
        drain_timeout: server.read("drain_timeout", DurationRange(ms(0), minutes(10)), seconds(10)),
        trusted_proxies: server.read_list("trusted_proxies", Range).unwrap_or_default(),
        cors_origins: server.read_list("cors_origins", Origin).unwrap_or_default(),
        tls: tls(from),
    }
}

fn tls(from: &mut Reader) -> Option<Tls> {
    let mut tls = from.section("server.tls");
    match (tls.read_option("certificate", FilePath), tls.read_option("key", FilePath)) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            from.conflict("server.tls.certificate", "requires server.tls.key: the PEM file of the private key");
            None
        }
        (None, Some(_)) => {
            from.conflict("server.tls.key", "requires server.tls.certificate: the PEM file of the certificate chain");
            None
        }
    }
}

fn redis(from: &mut Section<'_>) -> Option<Redis> {
    let url = from.read_option(
        "url",
        StoreAddress(&[
            "redis://",
            "rediss://",
            "redis-sentinel://",
            "rediss-sentinel://",
            "redis-cluster://",
            "rediss-cluster://",
        ]),
    );
    let prefix = from.read("prefix", KeyPrefix, "signet:".to_owned());
    let timeout = from.read("timeout", DurationRange(ms(10), minutes(1)), ms(400));
    let ca = from.read_option("ca", FilePath);
    url.map(|url| Redis { url, prefix, timeout, ca })
}

fn postgres(from: &mut Section<'_>) -> Option<Postgres> {
    let url = from.read_option("url", StoreAddress(&["postgres://", "postgresql://"]));
    let connections = from.read("connections", Integer(1, 10_000), 16) as usize;
    let timeout = from.read("timeout", DurationRange(ms(10), minutes(1)), ms(400));
    let ca = from.read_option("ca", FilePath);
    url.map(|url| Postgres { url, connections, timeout, ca })
}

fn embedded(from: &mut Section<'_>) -> Embedded {
    const DURABILITIES: OneOf<Durability> = OneOf(&[("power", Durability::Power), ("process", Durability::Process)]);
    let Embedded { durability, timeout } = Embedded::default();
    Embedded {
        durability: from.read("durability", DURABILITIES, durability),
        timeout: from.read("timeout", DurationRange(ms(10), minutes(1)), timeout),
    }
}

fn tokens(from: &mut Section<'_>, public_url: &str) -> Tokens {
    const ALGORITHMS: OneOf<Algorithm> = OneOf(&[("EdDSA", Algorithm::EdDsa), ("Ed25519", Algorithm::Ed25519)]);
    Tokens {
        issuer: from.read("issuer", Issuer, public_url.to_owned()),
        audience: from.read("audience", Text, "signet".to_owned()),
        client_id: from.read("client_id", OrOff(ClientId), Some("signet".to_owned())),
        claims: from.read_list("claims", claims::OF_TOKENS).unwrap_or_default(),
        algorithm: from.read("algorithm", ALGORITHMS, Algorithm::EdDsa),
        leeway: from.read("leeway", DurationRange(ms(0), minutes(5)), seconds(5)),
        grace: from.read("grace", DurationRange(ms(0), minutes(5)), seconds(10)),
        sessions_per_user: from.read("sessions_per_user", Integer(1, 10_000), 100) as u32,
        recent_sign_in: from.read("recent_sign_in", DurationRange(seconds(1), days(1)), minutes(10)),
    }
}

fn keys(from: &mut Section<'_>) -> Keys {
    Keys {
        rotate_every: from.read("rotate_every", DurationRange(minutes(1), days(3650)), days(30)),
        announce: from.read("announce", DurationRange(seconds(1), days(30)), days(1)),
        jwks_max_age: from.read("jwks_max_age", DurationRange(ms(0), days(7)), minutes(5)),
    }
}

fn verify(from: &mut Section<'_>) -> Verify {
    Verify {
        cache: from.read("cache", Integer(0, 100_000_000), 100_000),
        negative_cache: from.read("negative_cache", Integer(0, 100_000_000), 10_000),
    }
}

fn revocation(from: &mut Section<'_>) -> Revocation {
    const CHOICES: OneOf<WhenStale> = OneOf(&[("answer", WhenStale::Answer), ("refuse", WhenStale::Refuse)]);
    Revocation {
        stale_after: from.read("stale_after", DurationRange(seconds(1), days(1)), seconds(10)),
        when_stale: from.read("when_stale", CHOICES, WhenStale::Answer),
        confirm_within: from.read("confirm_within", DurationRange(seconds(1), minutes(10)), seconds(2)),
        feed: from.read("feed", Bool, true),
        feed_history: from.read("feed_history", DurationRange(minutes(1), minutes(15)), minutes(5)),
    }
}

fn log(from: &mut Section<'_>) -> Log {
    const FORMATS: OneOf<LogFormat> =
        OneOf(&[("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]);
    Log {
        filter: from.read("filter", Filter, "info".to_owned()),
        format: from.read("format", FORMATS, LogFormat::Auto),
        otlp_endpoint: from.read_option("otlp_endpoint", Collector),
    }
}

fn console(from: &mut Section<'_>) -> Console {
    const LISTENERS: OneOf<ConsoleListener> = OneOf(&[
        ("management", ConsoleListener::Management),
        ("public", ConsoleListener::Public),
        ("off", ConsoleListener::Off),
    ]);
    Console { listener: from.read("listener", LISTENERS, ConsoleListener::Management) }
}

/// Checks the rules between settings.
fn check_rules(config: &Config, from: &mut Reader) {
    let Config { server, keys, passwords, .. } = config;
    if config.secrets.is_none() && (config.redis.is_some() || config.postgres.is_some()) {
        from.conflict(
            "secret",
            "is required when Redis or Postgres is used: every node of a fleet needs the same one. Generate one with \
             `openssl rand -base64 32` and set it as SIGNET_SECRET",
        );
    }
    if config.secrets.as_ref().is_some_and(Vec::is_empty) {
        from.conflict("secret", "is an empty list; remove it or list at least one secret");
    }
    if server.management.is_some_and(|management| management == server.listen && management.port() != 0) {
        from.conflict(
            "server.management",
            "must differ from server.listen: health and metrics have a listener of their own",
        );
    }
    if server.max_held < server.max_body {
        from.conflict("server.max_held", format!("must not be less than server.max_body ({} bytes)", server.max_body));
    }
    // A key that signs before every cached JWKS contains it would issue tokens that verifiers refuse.
    if keys.announce <= keys.jwks_max_age {
        from.conflict(
            "keys.announce",
            format!(
                "must be longer than keys.jwks_max_age ({}): until then a cached JWKS may lack the key",
                format_duration(keys.jwks_max_age)
            ),
        );
    }
    if keys.rotate_every <= keys.announce {
        from.conflict(
            "keys.rotate_every",
            format!("must be longer than keys.announce ({})", format_duration(keys.announce)),
        );
    }
    if passwords.max_length < passwords.min_length {
        from.conflict(
            "passwords.max_length",
            format!("must not be less than passwords.min_length ({})", passwords.min_length),
        );
    }
    // RFC 9106, 3.1: at least eight blocks per lane.
    if passwords.memory_kib < 8 * passwords.lanes {
        from.conflict(
            "passwords.memory_kib",
            format!("must be at least 8 times passwords.lanes ({})", passwords.lanes),
        );
    }
    for (name, dialect) in config.api.all() {
        check_lifetimes(&format!("api.{name}"), dialect, from);
        // If the value comes from passwords.min_length, that setting is reported instead.
        let own = dialect.min_password_length != passwords.min_length;
        if own && dialect.min_password_length > passwords.max_length {
            let rule = format!("must not be more than passwords.max_length ({})", passwords.max_length);
            from.conflict(&format!("api.{name}.min_password_length"), rule);
        }
    }
    let api = &config.api;
    audit::check_rules(config, from);
    audiences::check_rules(&config.audiences, &config.tokens, api, from);
    if !config.mailed.confirm_by_get && !api.native.enabled && (api.ucontact.enabled || api.v1.enabled) {
        from.conflict(
            "mailed.confirm_by_get",
            "must be true without api.native.enabled: the page that confirms an address, and its call, are native",
        );
    }
    if config.mail.logo.is_some() && !api.native.enabled {
        from.conflict("mail.logo", "requires api.native.enabled: mail clients load it from its pages");
    }
    if config.console.listener == ConsoleListener::Public && !api.native.enabled {
        from.conflict(
            "console.listener",
            "must be \"management\" or \"off\" without api.native.enabled: the console calls it",
        );
    }
    if config.log.otlp_endpoint.is_some() && !cfg!(feature = "otlp") {
        from.conflict("log.otlp_endpoint", "requires a build with `--features otlp`");
    }
}

fn check_lifetimes(section: &str, dialect: &Dialect, from: &mut Reader) {
    if dialect.absolute < dialect.idle {
        let rule = format!("must not be shorter than {section}.idle ({})", format_duration(dialect.idle));
        from.conflict(&format!("{section}.absolute"), rule);
    }
    if dialect.idle < dialect.access {
        let rule = format!("must not be shorter than {section}.access ({})", format_duration(dialect.access));
        from.conflict(&format!("{section}.idle"), rule);
    }
}
