//! Settings that have no effect because of others.

use super::*;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn webhook_secret_without_a_url_is_refused() {
    let secret = format!("[audit]\nwebhook_secret = \"{SECRET}\"");
    let expected = "audit.webhook_secret (config.toml, line 2) requires audit.webhook_url: ";
    let found = errors(&secret, &[], &[]);
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    assert!(load(&format!("{secret}\nwebhook_url = \"https://hooks.example.com\""), &[], &[]).is_ok());
    assert_eq!(errors(&format!("{secret}\nwebhook_url = \"nothing\""), &[], &[]).len(), 1, "the URL is given");
}

/// The advice about `ca` in a section with this URL.
fn advice(section: &str, variable: &str, url: &str) -> Vec<String> {
    let secret = STANDARD.encode([7; 32]);
    let toml = format!("[{section}]\nca = \"/etc/ca.pem\"");
    // An empty variable counts as unset.
    let config = load(&toml, &[(variable, url), ("SIGNET_SECRET", &secret)], &[]).unwrap();
    config.advice().into_iter().filter(|advice| advice.starts_with(&format!("{section}.ca "))).collect()
}

#[test]
fn authorities_that_verify_nothing_are_reported() {
    for (section, variable, url, count) in [
        ("redis", "REDIS_URL", "", 1),
        ("redis", "REDIS_URL", "redis-sentinel://host", 1),
        ("redis", "REDIS_URL", "rediss-sentinel://host", 0),
        ("postgres", "DATABASE_URL", "", 1),
        ("postgres", "DATABASE_URL", "postgres://host/a?sslmode=prefer", 1),
        ("postgres", "DATABASE_URL", "postgres://host/a?sslmode=require&sslmode=disable", 1),
        ("postgres", "DATABASE_URL", "postgres://host/a?sslmode=require", 0),
        ("postgres", "DATABASE_URL", "postgres://host/a", 0),
        ("mail", "SMTP_URL", "", 1),
        ("mail", "SMTP_URL", "smtp://localhost?tls=none", 1),
        ("mail", "SMTP_URL", "smtp://localhost", 0),
    ] {
        assert_eq!(advice(section, variable, url).len(), count, "{section}: {url}");
    }
}
