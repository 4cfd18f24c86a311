//! Warnings about the version and the configuration of the Redis servers. Knows nothing of what is stored in them.

use fred::interfaces::ClientLike;
use fred::types::config::{Options, Server};
use fred::types::{CustomCommand, Value};

use super::scripts::Runner;
use crate::store::Result;
use crate::store::ephemeral::Warning;

/// The oldest version of Redis: the scripts need `PEXPIRE … GT`. Valkey reports one that is newer.
const OLDEST_MAJOR: u32 = 7;

/// Checks every server to which there is a connection.
pub(super) async fn check_servers(runner: &Runner) -> Result<Vec<Warning>> {
    let servers = runner.call(async |client| Ok(client.active_connections())).await?;
    let mut warnings = Vec::new();
    for server in servers {
        let info = runner.call(async |client| read_info(&client, server.clone()).await).await?;
        warnings.extend(check_server(&server, &info));
    }
    Ok(warnings)
}

/// Uses `INFO`, because managed services allow it where they forbid `CONFIG GET`.
async fn read_info(
    client: &fred::clients::WithOptions<fred::clients::Client>,
    server: Server,
) -> std::result::Result<String, fred::error::Error> {
    let options = Options { cluster_node: client.is_clustered().then_some(server), ..client.options().clone() };
    client.with_options(&options).custom(CustomCommand::new_static("INFO", None, false), Vec::<Value>::new()).await
}

fn check_server(server: &Server, info: &str) -> Vec<Warning> {
    let setting = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let mut warnings = Vec::new();
    if let Some(version) = setting("redis_version").filter(|version| is_too_old(version)) {
        warnings.push(Warning::Unsupported(format!(
            "Redis at {server} has version {version}, on which nobody can sign in; use Redis {OLDEST_MAJOR}.0 or \
             newer, or Valkey"
        )));
    }
    match setting("maxmemory_policy") {
        Some("noeviction") => {}
        Some(policy) => warnings.push(Warning::Risk(format!(
            "Redis at {server} has maxmemory-policy {policy} and would evict sessions and revocations when memory \
             is full; set maxmemory-policy noeviction"
        ))),
        None => warnings.push(Warning::Risk(format!(
            "Redis at {server} does not report its maxmemory-policy; it must be noeviction"
        ))),
    }
    if setting("role") == Some("master") && setting("aof_enabled") == Some("0") {
        warnings.push(Warning::Risk(format!(
            "Redis at {server} has no append-only file: after a crash it restores its last snapshot and with it \
             sessions that were ended since; set appendonly yes"
        )));
    }
    warnings
}

/// A version that cannot be read is not too old: a service that hides it may well be new.
fn is_too_old(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < OLDEST_MAJOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_7_are_too_old() {
        for (version, too_old) in [("6.2.14", true), ("7.0.0", false), ("7.2.4", false), ("10.0", false), ("", false)] {
            assert_eq!(is_too_old(version), too_old, "{version}");
        }
    }
}
