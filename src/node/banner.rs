//! The first screen: where it listens, on what it runs, what to try next.

use std::io::{IsTerminal, Write};

use crate::config::Config;

/// One line on stdout, which scripts wait for; the rest where people look.
pub(super) fn print_banner(config: &Config, url: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    out.flush()?;
    drop(out);
    let embedded = embedded(config);
    if !std::io::stderr().is_terminal() {
        tracing::info!(url, embedded, "listening");
        return Ok(());
    }
    let mut err = std::io::stderr().lock();
    if let Some(parts) = embedded {
        let dir = config.data_dir.display();
        writeln!(err, "\n  {parts} kept in one embedded file in {dir}: good for one node.")?;
        writeln!(err, "  For a fleet, set REDIS_URL (what expires) and DATABASE_URL (what lasts).")?;
    }
    writeln!(err, "\n  Next:")?;
    let program = program();
    writeln!(err, "    echo 'a good password' | {program} users create --email you@example.org --password-stdin")?;
    writeln!(err, "    curl {url}/sessions -H 'content-type: application/json' \\")?;
    writeln!(err, "      -d '{{\"email\":\"you@example.org\",\"password\":\"a good password\"}}'")?;
    writeln!(err, "    curl {url}/.well-known/jwks.json")?;
    writeln!(err, "    open {url}/docs")?;
    let management = config.server.management;
    if let Some(management) = management {
        writeln!(err, "    curl http://{management}/readyz")?;
    }
    writeln!(err)
}

/// How this program can be called from here.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else { return "signet".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(&path).display().to_string()
}

fn embedded(config: &Config) -> Option<&'static str> {
    match (&config.redis, &config.postgres) {
        (None, None) => Some("Everything is"),
        (None, Some(_)) => Some("What expires (sessions, limits, revocations) is"),
        (Some(_), None) => Some("What lasts (users, projects, API keys) is"),
        (Some(_), Some(_)) => None,
    }
}
