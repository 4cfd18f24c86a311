//! The steps of a backup and of a restore where a store is a server, in order, with the names from the settings.

use serde::Serialize;

use crate::auth::signing_keys::MIRROR_FILE;
use crate::config::Config;

/// One step of a procedure.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The part that it concerns.
    pub part: &'static str,
    /// The instruction.
    pub action: String,
}

fn step(part: &'static str, action: impl Into<String>) -> Step {
    Step { part, action: action.into() }
}

/// The steps that replace or follow the backup of the embedded file. Empty if there is no server.
pub fn backup_steps(config: &Config) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(redis) = &config.redis {
        steps.push(step(
            "redis",
            format!(
                "take nothing: {} holds sessions and other state that expires (keys {}*). A fleet that starts with an \
                 empty Redis refuses everything issued before, and people sign in again",
                redis.url.shown(),
                redis.prefix,
            ),
        ));
        let mirror = config.data_dir.join(MIRROR_FILE);
        steps.push(step(
            "signing keys",
            format!("copy {} from one node: the keyring in Redis, sealed with the secret", mirror.display()),
        ));
    }
    if let Some(postgres) = &config.postgres {
        let url = postgres.url.shown();
        steps.push(step("postgres", format!("pg_dump --format=custom --file=signet.dump URL, where URL is {url}")));
    }
    if !steps.is_empty() {
        steps.push(step(
            "secret",
            "keep the setting `secret` (SIGNET_SECRET) in another place: without it nobody can open the keyring or a \
             second factor",
        ));
    }
    steps
}

/// The steps that restore the results of [`backup_steps`].
pub fn restore_steps(config: &Config) -> Vec<Step> {
    let mut steps = vec![step("nodes", "stop every node")];
    if let Some(postgres) = &config.postgres {
        let url = postgres.url.shown();
        steps.push(step(
            "postgres",
            format!("pg_restore --clean --if-exists --single-transaction --dbname=URL signet.dump, where URL is {url}"),
        ));
    }
    if let Some(redis) = &config.redis {
        let url = redis.url.shown();
        steps.push(step("redis", format!("start {url} empty, without an old snapshot or append-only file")));
        let mirror = config.data_dir.join(MIRROR_FILE);
        steps.push(step("signing keys", format!("put the keyring back as {} on one node", mirror.display())));
    }
    steps.push(step("schema", "signet migrate"));
    steps.push(step("revocations", "signet sessions end --all"));
    if config.postgres.is_some() {
        steps.push(step("revocations", "signet api-keys deactivate --all"));
    }
    steps.push(step("nodes", "start the nodes"));
    steps
}
