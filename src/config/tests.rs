//! That the shipped file, the environment and the built-in values say the same, and that faults are told in full.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::environment::variable;
use super::reader::Reader;
use super::*;
use crate::config::raw::RawConfig;

const SHIPPED: &str = include_str!("../../config.toml");

fn written(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> RawConfig {
    let mut written = RawConfig::default();
    written.add_toml(Path::new("config.toml"), toml);
    written.add_variables(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    written.add_flags(&flags.iter().map(ToString::to_string).collect::<Vec<_>>());
    written
}

fn load(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, Faults> {
    Config::resolve(written(toml, variables, flags))
}

fn faults(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> Vec<String> {
    load(toml, variables, flags).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn every_key() -> Vec<String> {
    let mut reader = Reader::new(RawConfig::default(), &[]);
    resolve::read(&mut reader);
    reader.keys()
}

/// The shipped file with the settings that it only shows switched on.
fn all_switched_on() -> String {
    let secret = STANDARD.encode([7; 32]);
    let lines = SHIPPED.lines().map(|line| {
        let shown = line.strip_prefix("# ").filter(|rest| {
            rest.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        });
        shown.unwrap_or(line).replace('…', &secret)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_says_what_is_built_in() {
    let shipped = load(SHIPPED, &[], &[]).unwrap();
    assert_eq!(format!("{shipped:#?}"), format!("{:#?}", Config::default()));
}

/// One line of it changed is the whole of what somebody wants.
#[test]
fn the_length_of_passwords_in_the_shipped_file_is_that_of_every_dialect_that_has_none_of_its_own() {
    let stricter = SHIPPED.replace("\nmin_length = 8\n", "\nmin_length = 12\n");
    let config = load(&stricter, &[], &[]).unwrap();
    let api = &config.api;
    let dialects = [&api.native, &api.unturned, &api.myauth, &api.codes.dialect, &api.ucontact, &api.v1];
    assert_eq!(dialects.map(|dialect| dialect.min_password_length), [12, 12, 12, 12, 12, 6]);
}

#[test]
fn what_the_shipped_file_only_shows_is_built_in_too_where_there_is_a_value() {
    let shown = written(&all_switched_on(), &[], &[]);
    let config = resolve::read(&mut Reader::new(shown, &[]));
    assert_eq!(config.server.public_url, Config::default().server.public_url);
    assert_eq!(config.tokens.issuer, Config::default().tokens.issuer);
    let (redis, postgres) = (config.redis.unwrap(), config.postgres.unwrap());
    assert_eq!((redis.prefix.as_str(), redis.timeout), ("signet:", Duration::from_millis(400)));
    assert_eq!((postgres.connections, postgres.timeout), (16, Duration::from_millis(400)));
}

#[test]
fn the_shipped_file_names_every_setting_and_no_other() {
    let mut in_file = written(&all_switched_on(), &[], &[]).file.into_keys().collect::<Vec<_>>();
    in_file.sort();
    assert_eq!(in_file, every_key());
}

/// No setting takes a control character, so that the fault shows whether the variable reached the key.
#[test]
fn every_setting_has_its_variable() {
    for key in every_key() {
        let name = variable(&key);
        let told = faults("", &[(&name, "\u{1}")], &[]);
        assert!(told.iter().any(|fault| fault.starts_with(&format!("{key} ({name})"))), "{key}: {told:?}");
    }
}

#[test]
fn flags_are_stronger_than_the_environment_and_the_environment_than_the_file() {
    let toml = "[server]\nlisten = \"127.0.0.1:1\"\nmax_body = \"1KiB\"\n[tokens]\naudience = \"file\"";
    let variables = [("SIGNET_SERVER__LISTEN", "127.0.0.1:2"), ("SIGNET_TOKENS__AUDIENCE", "variable")];
    let config = load(toml, &variables, &["server.listen=127.0.0.1:3"]).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.tokens.audience, "variable");
    assert_eq!(config.server.max_body, 1024);
    assert_eq!(config.server.public_url, "http://127.0.0.1:3");
}

#[test]
fn the_names_the_world_knows_are_honoured_and_weaker_than_our_own() {
    let secret = STANDARD.encode([7; 32]);
    let common = [
        ("DATABASE_URL", "postgres://a/b"),
        ("REDIS_URL", "redis://c"),
        ("SMTP_URL", "smtp://s"),
        ("SIGNET_SECRET", &secret),
    ];
    let config = load("", &common, &[]).unwrap();
    assert_eq!(config.postgres.unwrap().url.0, "postgres://a/b");
    assert_eq!(config.redis.unwrap().url.0, "redis://c");
    assert_eq!(config.mail.smtp_url.unwrap().0, "smtp://s");

    let both = [common.as_slice(), &[("SIGNET_REDIS__URL", "rediss://d")]].concat();
    assert_eq!(load("[redis]\nurl = \"redis://e\"", &both, &[]).unwrap().redis.unwrap().url.0, "rediss://d");
}

#[test]
fn secrets_come_in_either_alphabet_and_several() {
    let (one, two) = (STANDARD.encode([0xFB; 32]), URL_SAFE_NO_PAD.encode([0xFE; 32]));
    let from = |variable: &str| load("", &[("SIGNET_SECRET", variable)], &[]).unwrap().secrets.unwrap();
    let bytes = |secrets: Vec<Secret>| secrets.iter().map(|secret| *secret.0).collect::<Vec<_>>();
    assert_eq!(bytes(from(&one)), [[0xFB; 32]]);
    assert_eq!(bytes(from(&format!("{two}, {one}"))), [[0xFE; 32], [0xFB; 32]]);
    let list = load(&format!("secret = [\"{one}\", \"{two}\"]"), &[], &[]).unwrap().secrets.unwrap();
    assert_eq!(bytes(list), [[0xFB; 32], [0xFE; 32]]);
}

#[test]
fn a_secret_is_never_shown() {
    let short = STANDARD.encode([7; 31]);
    let cases = [
        faults(&format!("secret = \"{short}\""), &[], &[]),
        faults("", &[("SIGNET_SECRET", &short)], &[]),
        faults("", &[], &[&format!("secret={short}")]),
        faults("", &[], &[&short]),
        faults(&format!("secret = \"{short}\n"), &[], &[]),
        faults("", &[("REDIS_URL", &format!("http://user:{short}@host"))], &[]),
        faults("", &[("SMTP_URL", &format!("http://user:{short}@host"))], &[]),
    ];
    for told in cases {
        assert!(!told.is_empty() && told.iter().all(|fault| !fault.contains(&short)), "{told:?}");
    }
}

#[test]
fn the_address_of_a_store_is_shown_without_its_passwords() {
    let cases = [
        ("redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
        ("postgres://signet:hush@db:5432/signet", "postgres://…@db:5432/signet"),
        ("postgres://db/signet?password=hush&sslmode=require", "postgres://db/signet"),
        ("redis://:hu@sh@db", "redis://…@db"),
        ("redis://:hu/sh@db", "redis://…"),
        ("redis://:hu?sh@db", "redis://…"),
        ("redis://db?sentinelPassword=hu@sh", "redis://…"),
        ("hush", "…"),
    ];
    for (address, shown) in cases {
        assert_eq!(format!("{:?}", SecretUrl(address.to_owned())), shown);
    }
}

#[test]
fn every_fault_is_told_at_once_with_its_place_and_what_is_allowed() {
    let toml = "[server]\nworkers = \"many\"\nlisten = 8000\n\n[sever]\nlisten = \"x\"\n";
    let told = faults(toml, &[("SIGNET_SERVER_LISTEN", "x"), ("SIGNET_KEYS__ANNOUNCE", "soon")], &["log.fliter=info"]);
    let expected = [
        "server.listen (config.toml, line 3) is \"8000\"; allowed: an IP address and a port, such as 127.0.0.1:8000 or [::]:8000",
        "server.workers (config.toml, line 2) is \"many\"; allowed: \"cores\", or a whole number from 1 to 1024",
        "keys.announce (SIGNET_KEYS__ANNOUNCE) is \"soon\"; allowed: a time from 1s to 30d, in ms, s, m, h or d, such as 15m",
        "sever.listen (config.toml, line 6): no setting has this name; did you mean server.listen?",
        "SIGNET_SERVER_LISTEN: no setting has this name; did you mean SIGNET_SERVER__LISTEN?",
        "log.fliter (--set): no setting has this name; did you mean log.filter?",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let one_fault = |toml: &str, about: &str| {
        let told = faults(toml, &[], &[]);
        assert!(told.len() == 1 && told[0].starts_with(about), "{toml}: {told:?}");
    };
    one_fault("[redis]\nurl = \"redis://x\"", "secret (built in) is demanded");
    one_fault("[postgres]\nurl = \"postgres://x/y\"", "secret (built in) is demanded");
    one_fault("secret = []", "secret (config.toml, line 1) is an empty list");
    one_fault(
        "[keys]\nannounce = \"5m\"",
        "keys.announce (config.toml, line 2) must be longer than keys.jwks_max_age (5m)",
    );
    one_fault("[keys]\nrotate_every = \"15m\"", "keys.rotate_every");
    one_fault("[server]\nmanagement = \"127.0.0.1:8000\"", "server.management");
    one_fault("[server.tls]\nkey = \"x\"", "server.tls.key");
    one_fault("[server.tls]\ncertificate = \"x\"", "server.tls.certificate");
    one_fault("[passwords]\nmin_length = 20\nmax_length = 10", "passwords.max_length");
    one_fault("[passwords]\nmemory_kib = 15\nlanes = 2", "passwords.memory_kib");
    one_fault("[api.native]\nidle = \"91d\"", "api.native.absolute (built in)");
    one_fault("[api.native]\naccess = \"1d\"\nidle = \"1h\"", "api.native.idle");
    #[cfg(not(feature = "otlp"))]
    one_fault("[log]\notlp_endpoint = \"http://x\"", "log.otlp_endpoint");
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_named() {
    assert_eq!(faults("[server\n", &[], &[]).len(), 1);
    assert!(faults("a = 1\na = 2\n", &[], &[])[0].starts_with("config.toml: line 2: duplicate key"));
    let missing = Config::load(Some(Path::new("no/such/file.toml")), &[]).unwrap_err().to_string();
    assert!(missing.contains("no/such/file.toml: cannot be read"), "{missing}");
}

#[test]
fn what_kubernetes_sets_for_a_service_called_signet_is_not_taken_for_a_setting() {
    let variables = [
        ("SIGNET_PORT", "tcp://10.0.0.1:80"),
        ("SIGNET_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("SIGNET_SERVICE_HOST", "10.0.0.1"),
        ("SIGNET_SERVICE_PORT_HTTP", "80"),
        ("SIGNET_SECRET", ""),
    ];
    assert!(load("", &variables, &[]).is_ok());
}

#[test]
fn values_are_read_as_they_are_documented() {
    let good = [
        ("server.public_url", "https://id.example.com/auth/"),
        ("server.management", "off"),
        ("server.max_body", "1MiB"),
        ("server.trusted_proxies", "10.0.0.0/8, ::1"),
        ("server.cors_origins", "https://app.example.com,http://localhost:3000"),
        ("limits.sign_in_account", "3 per 1m"),
        ("api.native.prefix", "/auth/v2/"),
        ("redis.timeout", "250ms"),
        ("tokens.sessions_per_user", "1"),
        ("mail.from", "noreply@example.com"),
    ];
    let flags = good.map(|(key, value)| format!("{key}={value}"));
    let config = load("", &[], &flags.each_ref().map(String::as_str)).unwrap();
    assert_eq!(config.server.public_url, "https://id.example.com/auth");
    assert_eq!(config.server.management, None);
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.server.trusted_proxies[0], Network { address: [10, 0, 0, 0].into(), bits: 8 });
    assert_eq!(config.server.trusted_proxies[1].bits, 128);
    assert_eq!(config.server.cors_origins.len(), 2);
    assert_eq!(config.limits[LimitedAction::SignInAccount], Rate { burst: 3, per: Duration::from_secs(60) });
    assert_eq!(config.api.native.prefix, "/auth/v2");
    assert_eq!(config.tokens.sessions_per_user, 1);

    let bad = [
        "server.public_url=ftp://x",
        "server.public_url=https://user@x",
        "server.public_url=https://x/?q=1",
        "server.trusted_proxies=10.0.0.0/33",
        "server.cors_origins=https://app.example.com/",
        "server.cors_origins=https://app.example.com:443",
        "server.max_body=64",
        "server.max_body=64KB",
        "keys.announce=15",
        "keys.announce=99999999999999999999d",
        "limits.sign_in_account=0 per 1m",
        "api.native.prefix=auth",
        "api.native.prefix=/a//b",
        "api.native.prefix=/..",
        "limits.enabled=yes",
        "redis.prefix={signet}",
        "tokens.sessions_per_user=0",
        "tokens.sessions_per_user=10001",
        "mail.from=signet",
        "mail.from=a@example.com, b@example.com",
    ];
    for flag in bad {
        assert_eq!(faults("", &[], &[flag]).len(), 1, "{flag}");
    }
    assert_eq!(faults("[redis]\nurl = \"http://x\"", &[], &[]).len(), 1);
}

#[test]
fn the_operator_is_told_what_is_allowed_and_yet_risky() {
    assert_eq!(Config::default().advice(), Vec::<String>::new());
    let risky = load("", &[], &["server.listen=0.0.0.0:8000", "limits.enabled=false"]).unwrap();
    assert_eq!(risky.advice().len(), 3);
    let no_pages = load("", &[], &["api.native.enabled=false"]).unwrap();
    assert_eq!(no_pages.advice().len(), 1);
    let own =
        ["api.native.enabled=false", "mailed.magic_url=https://a.example/m", "mailed.reset_url=https://a.example/r"];
    assert_eq!(load("", &[], &own).unwrap().advice(), Vec::<String>::new());
    let moved = load("", &[], &["api.native.prefix=/id"]).unwrap();
    assert_eq!(moved.mailed.reset_url, "http://127.0.0.1:8000/id/links/reset");
    for (url, advice) in [
        ("smtp://a:b@mail.example.com?tls=none", 1),
        ("smtp://mail.example.com?tls=opportunistic", 1),
        ("smtp://mail.example.com?tls=required", 0),
        ("smtps://mail.example.com", 0),
        ("smtp://localhost?tls=none", 0),
        ("smtp://[::1]?tls=none", 0),
    ] {
        assert_eq!(load("", &[("SMTP_URL", url)], &[]).unwrap().advice().len(), advice, "{url}");
    }
}
