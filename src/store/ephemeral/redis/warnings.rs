//! What an operator should change about the Redis servers. Knows nothing of what is kept in them.

use fred::interfaces::ClientLike;
use fred::types::config::{Options, Server};
use fred::types::{CustomCommand, Value};

use super::scripts::Runner;
use crate::store::Result;

/// The warnings of every server there is a connection to.
pub(super) async fn of_all(runner: &Runner) -> Result<Vec<String>> {
    let nodes = runner.ask(async |client| Ok(client.active_connections())).await?;
    let mut warnings = Vec::new();
    for node in nodes {
        let said = runner.ask(async |client| info(&client, node.clone()).await).await?;
        warnings.extend(of_node(&node, &said));
    }
    Ok(warnings)
}

/// `INFO`, which managed services allow where they forbid `CONFIG GET`.
async fn info(
    client: &fred::clients::WithOptions<fred::clients::Client>,
    node: Server,
) -> std::result::Result<String, fred::error::Error> {
    let options = Options { cluster_node: client.is_clustered().then_some(node), ..client.options().clone() };
    client.with_options(&options).custom(CustomCommand::new_static("INFO", None, false), Vec::<Value>::new()).await
}

fn of_node(node: &Server, info: &str) -> Vec<String> {
    let setting = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let mut warnings = Vec::new();
    match setting("maxmemory_policy") {
        Some("noeviction") => {}
        Some(policy) => warnings.push(format!(
            "Redis at {node} has maxmemory-policy {policy}: short of memory it drops sessions and revocations; \
             set noeviction"
        )),
        None => warnings.push(format!("Redis at {node} does not tell its maxmemory-policy; it should be noeviction")),
    }
    if setting("role") == Some("master") && setting("aof_enabled") == Some("0") {
        warnings.push(format!(
            "Redis at {node} has no append-only file: after a crash it is as it was at its last snapshot, \
             ended sessions included; set appendonly yes"
        ));
    }
    warnings
}
