//! Compares the shipped file, the environment and the defaults, and checks that errors are reported completely.

mod audiences;
mod claims;
mod without_effect;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::environment::variable;
use super::reader::Reader;
use super::*;
use crate::config::raw::RawConfig;

const SHIPPED: &str = include_str!("../../config.toml");

fn raw(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> RawConfig {
    let mut raw = RawConfig::default();
    raw.add_toml(Path::new("config.toml"), toml);
    raw.add_variables(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    raw.add_flags(&flags.iter().map(ToString::to_string).collect::<Vec<_>>());
    raw
}

fn load(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, ConfigErrors> {
    Config::resolve(raw(toml, variables, flags))
}

fn errors(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> Vec<String> {
    load(toml, variables, flags).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn every_key() -> Vec<String> {
    let mut reader = Reader::new(raw("[audiences.orders]", &[], &[]), &[]);
    resolve::read(&mut reader);
    reader.keys()
}

/// The shipped file with the commented-out settings and tables enabled.
fn config_with_everything_set() -> String {
    let secret = STANDARD.encode([7; 32]);
    let lines = SHIPPED.lines().map(|line| {
        let shown = line.strip_prefix("# ").filter(|rest| {
            rest.starts_with("[audiences.")
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        });
        shown.unwrap_or(line).replace('…', &secret)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn shipped_file_contains_the_defaults() {
    let mut shipped = load(SHIPPED, &[], &[]).unwrap();
    shipped.given.clear();
    assert_eq!(format!("{shipped:#?}"), format!("{:#?}", Config::default()));
}

/// The file with one line changed must be valid.
#[test]
fn password_length_applies_to_dialects_without_their_own() {
    let stricter = SHIPPED.replace("\nmin_length = 8\n", "\nmin_length = 12\n");
    let config = load(&stricter, &[], &[]).unwrap();
    let min_lengths = config.api.all().map(|(name, dialect)| (name, dialect.min_password_length));
    let expected = [("native", 12), ("unturned", 12), ("myauth", 12), ("codes", 12), ("ucontact", 12), ("v1", 6)];
    assert_eq!(min_lengths, expected);
}

#[test]
fn settings_are_shown_with_their_source() {
    // A webhook's URL often has a token in its path or query.
    let toml = "[server]\nlisten = \"127.0.0.1:9000\"\n[audiences.orders]\nlifetime = \"1m\"\n[audit]\n\
                webhook_url = \"https://hooks.example.com/hunter2?key=hunter2\"\n\
                webhook_secret = \"aHVudGVyMiwgaHVudGVyMiwgaHVudGVyMg==\"";
    let variables = [("REDIS_URL", "redis://:hunter2@127.0.0.1"), ("SIGNET_SECRET", &STANDARD.encode([7; 32]))];
    let config = load(toml, &variables, &["mail.queue=7"]).unwrap();
    let settings = config.settings();
    let find = |name: &str| {
        let found: Vec<_> = settings.iter().filter(|setting| setting.name == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        let shown = found[0].source.to_string();
        (found[0].value.as_deref(), shown, found[0].is_secret)
    };
    assert_eq!(find("server.listen"), (Some("127.0.0.1:9000"), "config.toml, line 2".to_owned(), false));
    assert_eq!(find("server.management"), (Some("127.0.0.1:8001"), "built in".to_owned(), false));
    assert_eq!(find("redis.url"), (Some(MASK), "REDIS_URL".to_owned(), true));
    assert_eq!(find("secret"), (Some(MASK), "SIGNET_SECRET".to_owned(), true));
    assert_eq!(find("audit.webhook_url"), (Some(MASK), "config.toml, line 6".to_owned(), true));
    assert_eq!(find("audit.webhook_secret"), (Some(MASK), "config.toml, line 7".to_owned(), true));
    assert_eq!(find("mail.queue"), (Some("7"), "--set".to_owned(), false));
    assert_eq!(find("postgres.url"), (None, "built in".to_owned(), false));
    assert_eq!(find("audiences.orders.lifetime"), (Some("1m"), "config.toml, line 4".to_owned(), false));
    assert!(!format!("{settings:?}").contains("hunter2"));
    let mut names: Vec<_> = settings.into_iter().map(|setting| setting.name).collect();
    names.extend(["algorithm", "claims", "scopes"].map(|setting| format!("audiences.orders.{setting}")));
    names.sort();
    assert_eq!(names, every_key());
}

#[test]
fn shipped_file_changes_no_setting() {
    let settings = load(SHIPPED, &[], &[]).unwrap().settings();
    let changed: Vec<_> = settings.iter().filter(|setting| setting.is_changed).map(|setting| &setting.name).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn secrets_that_are_set_are_changed() {
    let variables = [("REDIS_URL", "redis://:hunter2@127.0.0.1"), ("SIGNET_SECRET", &STANDARD.encode([7; 32]))];
    let settings = load(SHIPPED, &variables, &[]).unwrap().settings();
    let changed: Vec<_> = settings.iter().filter(|setting| setting.is_changed).map(|it| it.name.as_str()).collect();
    assert_eq!(changed, ["secret", "redis.url"]);
}

#[test]
fn commented_examples_with_a_default_show_the_default() {
    let shown = raw(&config_with_everything_set(), &[], &[]);
    let config = resolve::read(&mut Reader::new(shown, &[]));
    assert_eq!(config.server.public_url, Config::default().server.public_url);
    assert_eq!(config.tokens.issuer, Config::default().tokens.issuer);
    let (redis, postgres) = (config.redis.unwrap(), config.postgres.unwrap());
    assert_eq!((redis.prefix.as_str(), redis.timeout), ("signet:", Duration::from_millis(400)));
    assert_eq!((postgres.connections, postgres.timeout), (16, Duration::from_millis(400)));
}

#[test]
fn shipped_file_lists_every_setting_and_no_other() {
    let mut in_file = raw(&config_with_everything_set(), &[], &[]).file.into_keys().collect::<Vec<_>>();
    in_file.sort();
    assert_eq!(in_file, every_key());
}

/// No setting takes a control character, so that the error shows whether the variable reached the key.
#[test]
fn every_setting_has_an_environment_variable() {
    for key in every_key() {
        let name = variable(&key);
        let errors_found = errors("", &[(&name, "\u{1}")], &[]);
        assert!(
            errors_found.iter().any(|error| error.starts_with(&format!("{key} ({name})"))),
            "{key}: {errors_found:?}"
        );
    }
}

#[test]
fn flags_override_environment_and_environment_overrides_file() {
    let toml = "[server]\nlisten = \"127.0.0.1:1\"\nmax_body = \"1KiB\"\n[tokens]\naudience = \"file\"";
    let variables = [("SIGNET_SERVER__LISTEN", "127.0.0.1:2"), ("SIGNET_TOKENS__AUDIENCE", "variable")];
    let config = load(toml, &variables, &["server.listen=127.0.0.1:3"]).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.tokens.audience, "variable");
    assert_eq!(config.server.max_body, 1024);
    assert_eq!(config.server.public_url, "http://127.0.0.1:3");
}

#[test]
fn aliases_are_accepted_and_weaker_than_own_names() {
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
fn secrets_accept_both_alphabets_and_lists() {
    let (one, two) = (STANDARD.encode([0xFB; 32]), URL_SAFE_NO_PAD.encode([0xFE; 32]));
    let from = |variable: &str| load("", &[("SIGNET_SECRET", variable)], &[]).unwrap().secrets.unwrap();
    let bytes = |secrets: Vec<Secret>| secrets.iter().map(|secret| *secret.0).collect::<Vec<_>>();
    assert_eq!(bytes(from(&one)), [[0xFB; 32]]);
    assert_eq!(bytes(from(&format!("{two}, {one}"))), [[0xFE; 32], [0xFB; 32]]);
    let list = load(&format!("secret = [\"{one}\", \"{two}\"]"), &[], &[]).unwrap().secrets.unwrap();
    assert_eq!(bytes(list), [[0xFB; 32], [0xFE; 32]]);
}

#[test]
fn secret_is_never_shown() {
    let short = STANDARD.encode([7; 31]);
    let cases = [
        errors(&format!("secret = \"{short}\""), &[], &[]),
        errors("", &[("SIGNET_SECRET", &short)], &[]),
        errors("", &[], &[&format!("secret={short}")]),
        errors("", &[], &[&short]),
        errors(&format!("secret = \"{short}\n"), &[], &[]),
        errors("", &[("REDIS_URL", &format!("http://user:{short}@host"))], &[]),
        errors("", &[("SMTP_URL", &format!("http://user:{short}@host"))], &[]),
    ];
    for errors_found in cases {
        assert!(
            !errors_found.is_empty() && errors_found.iter().all(|error| !error.contains(&short)),
            "{errors_found:?}"
        );
    }
}

#[test]
fn store_url_is_shown_without_passwords() {
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
fn all_errors_are_reported_with_source_and_allowed_values() {
    let toml = "[server]\nworkers = \"many\"\nlisten = 8000\n\n[sever]\nlisten = \"x\"\n";
    let errors_found =
        errors(toml, &[("SIGNET_SERVER_LISTEN", "x"), ("SIGNET_KEYS__ANNOUNCE", "soon")], &["log.fliter=info"]);
    let expected = [
        "server.listen (config.toml, line 3) is \"8000\"; allowed: an IP address and a port, such as 127.0.0.1:8000 or [::]:8000",
        "server.workers (config.toml, line 2) is \"many\"; allowed: \"cores\", or a whole number from 1 to 1024",
        "keys.announce (SIGNET_KEYS__ANNOUNCE) is \"soon\"; allowed: a duration from 1s to 30d, in ms, s, m, h or d, such as 15m",
        "sever.listen (config.toml, line 6): no setting has this name; did you mean server.listen?",
        "SIGNET_SERVER_LISTEN: no setting has this name; did you mean SIGNET_SERVER__LISTEN?",
        "log.fliter (--set): no setting has this name; did you mean log.filter?",
    ];
    assert_eq!(errors_found, expected);
}

#[test]
fn only_similar_names_are_suggested() {
    let suggestion = |variables: &[(&str, &str)], flags: &[&str]| {
        let found = errors("", variables, flags);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].split_once("; did you mean ").map(|(_, name)| name.to_owned())
    };
    for (name, expected) in [
        ("server.nonsense", None),
        ("server.max_conections", Some("server.max_connections?")),
        ("nonsense.listen", None),
        ("api.natve.prefix", Some("api.native.prefix?")),
        ("redis.uri", Some("redis.url?")),
        ("redis.db", None),
    ] {
        assert_eq!(suggestion(&[], &[format!("{name}=1").as_str()]).as_deref(), expected, "{name}");
    }
    for (name, expected) in [
        ("SIGNET_SERVER__NONSENSE", None),
        ("SIGNET_SERVER", None),
        ("SIGNET_SERVER_TLS_KEY", Some("SIGNET_SERVER__TLS__KEY?")),
    ] {
        assert_eq!(suggestion(&[(name, "1")], &[]).as_deref(), expected, "{name}");
    }
}

#[test]
fn contradicting_settings_are_refused() {
    let expect_one_error = |toml: &str, about: &str| {
        let errors_found = errors(toml, &[], &[]);
        assert!(errors_found.len() == 1 && errors_found[0].starts_with(about), "{toml}: {errors_found:?}");
    };
    expect_one_error("[redis]\nurl = \"redis://x\"", "secret (built in) is required");
    expect_one_error("[postgres]\nurl = \"postgres://x/y\"", "secret (built in) is required");
    expect_one_error("secret = []", "secret (config.toml, line 1) is an empty list");
    expect_one_error(
        "[keys]\nannounce = \"5m\"",
        "keys.announce (config.toml, line 2) must be longer than keys.jwks_max_age (5m)",
    );
    expect_one_error("[keys]\nrotate_every = \"15m\"", "keys.rotate_every");
    expect_one_error("[server]\nmanagement = \"127.0.0.1:8000\"", "server.management");
    expect_one_error("[server.tls]\nkey = \"x\"", "server.tls.key");
    expect_one_error("[server.tls]\ncertificate = \"x\"", "server.tls.certificate");
    expect_one_error("[passwords]\nmin_length = 20\nmax_length = 10", "passwords.max_length");
    expect_one_error("[passwords]\nmemory_kib = 15\nlanes = 2", "passwords.memory_kib");
    expect_one_error("[api.native]\nidle = \"91d\"", "api.native.absolute (built in)");
    expect_one_error("[api.native]\naccess = \"1d\"\nidle = \"1h\"", "api.native.idle");
    let without_pages = "[mailed]\nconfirm_by_get = false\n[api.native]\nenabled = false";
    expect_one_error(without_pages, "mailed.confirm_by_get (config.toml, line 2) must be true");
    let links_unused = "[api.ucontact]\nenabled = false\n[api.v1]\nenabled = false";
    assert!(load(&format!("{without_pages}\n{links_unused}"), &[], &[]).is_ok());
    #[cfg(not(feature = "otlp"))]
    expect_one_error("[log]\notlp_endpoint = \"http://x\"", "log.otlp_endpoint");
}

#[test]
fn unreadable_file_is_named() {
    assert_eq!(errors("[server\n", &[], &[]).len(), 1);
    assert!(errors("a = 1\na = 2\n", &[], &[])[0].starts_with("config.toml: line 2: duplicate key"));
    let missing = Config::load(Some(Path::new("no/such/file.toml")), &[]).unwrap_err().to_string();
    assert!(missing.contains("no/such/file.toml: cannot be read"), "{missing}");
}

#[test]
fn kubernetes_service_variables_are_not_settings() {
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
fn values_are_parsed_as_documented() {
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
        assert_eq!(errors("", &[], &[flag]).len(), 1, "{flag}");
    }
    assert_eq!(errors("[redis]\nurl = \"http://x\"", &[], &[]).len(), 1);
}

#[test]
fn risky_settings_produce_advice() {
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
