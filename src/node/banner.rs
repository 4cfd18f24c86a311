//! The announcement that the server listens: one line on stdout for scripts, and a log line or, on a terminal, a
//! banner with the addresses, the destination of mail and the command that creates the first user.

use std::io::{IsTerminal, Write};

use super::stores::{Stores, store_names};
use crate::config::{Config, ConsoleListener};
use crate::mail::outbox_dir;

/// Prints `listening on <url>` alone on stdout. Before it, prints the banner if stderr is a terminal, or logs the
/// start; and logs the schemas after the banner, which a person reads first.
pub(super) fn announce(config: &Config, stores: &Stores, url: &str) -> std::io::Result<()> {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        stderr.write_all(banner(config, url, &program()).as_bytes())?;
    } else {
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, url, stores = store_names(config), "listening");
    }
    stores.log_schemas();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {url}")?;
    stdout.flush()
}

fn banner(config: &Config, url: &str, program: &str) -> String {
    let management = match config.server.management {
        Some(address) if config.serves_console_on(ConsoleListener::Management) => {
            let prefix = &config.api.native.prefix;
            format!("http://{address}  (/healthz /readyz /metrics {prefix}/console)")
        }
        Some(address) => format!("http://{address}  (/healthz /readyz /metrics)"),
        None => "off".to_owned(),
    };
    let mail = match &config.mail.smtp_url {
        Some(smtp) => format!("by {}", smtp.shown()),
        None => format!("files in {}  (set SMTP_URL to send mail)", outbox_dir(&config.data_dir).display()),
    };
    let data = match (&config.redis, &config.postgres) {
        (Some(_), Some(_)) => "Redis and Postgres".to_owned(),
        (redis, postgres) => {
            let role = match (redis, postgres) {
                (Some(_), _) => "Redis, and users, projects and API keys ",
                (None, Some(_)) => "Postgres, and sessions, limits and revocations ",
                (None, None) => "",
            };
            let dir = config.data_dir.display();
            format!("{role}in one SQLite file in {dir}, for one node  (a fleet: REDIS_URL, DATABASE_URL)")
        }
    };
    format!(
        r#"
  Signet {version}

  Listening    {url}
  Management   {management}
  Mail         {mail}
  Data         {data}

  Create the first user (it asks for a password):
    {program} users create --email you@example.org --superuser --verified --password-stdin

  Then try:
    curl {url}/sessions -H 'content-type: application/json' \
      -d '{{"email":"you@example.org","password":"…"}}'
    curl {url}/.well-known/jwks.json
    open {url}/docs

"#,
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// The path of this program as it can be typed in the current folder.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else { return "signet".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(&path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banner_begins_with_version_addresses_mail_and_first_user() {
        let banner = banner(&Config::default(), "http://127.0.0.1:8000", "target/release/signet");
        let lines = banner.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
        let starts = [
            "Signet ",
            "Listening    http://127.0.0.1:8000",
            "Management   http://127.0.0.1:8001  (/healthz /readyz /metrics /console)",
            "Mail         files in ./data/outbox",
            "Data         in one SQLite file in ./data",
        ];
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        assert!(lines[0].ends_with(env!("CARGO_PKG_VERSION")));
        assert!(lines[6].starts_with("target/release/signet users create --email "), "{banner}");
    }
}
