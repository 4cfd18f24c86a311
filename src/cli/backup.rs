//! `signet backup` and `signet restore`: save the embedded store in a file, and put it back. Where a store is a server,
//! they print what to do instead.

use serde::Serialize;

use super::arguments::{Backup, Restore};
use super::output::{Columns, Output};
use super::{CliError, CommandNode, StartLog};
use crate::auth::context::Context;
use crate::clock::Clock;
use crate::config::Config;
use crate::node::backup::restore::{Keep, end_access, stage, verify};
use crate::node::backup::servers::{Step, backup_steps, restore_steps};
use crate::node::backup::{self, BackupError, SecretPlace, back_up};
use crate::node::build::{KeyringUse, Needs};

const COLUMNS: Columns<backup::Backup> = &[
    ("file", |backup| backup.file.display().to_string()),
    ("created", |backup| backup.created_at.clone()),
    ("by signet", |backup| backup.signet.clone()),
    ("holds", |backup| backup.holds.join(", ")),
    ("schema", |backup| backup.schema.to_string()),
    ("users", |backup| backup.users.to_string()),
    ("api keys", |backup| backup.api_keys.to_string()),
    ("sessions", |backup| backup.sessions.to_string()),
    ("bytes", |backup| backup.bytes.to_string()),
    ("sha256", |backup| backup.sha256.clone()),
    ("secret", |backup| {
        let place = match backup.secret {
            SecretPlace::Included => "included",
            SecretPlace::Settings => "not included: it is in the settings",
            SecretPlace::LeftOut => "not included: it was left out",
        };
        place.to_owned()
    }),
];

const STEPS: Columns<Step> = &[("part", |step| step.part.to_owned()), ("action", |step| step.action.clone())];

/// The output of `backup`.
#[derive(Serialize)]
struct Taken {
    /// Absent if both stores are servers.
    backup: Option<backup::Backup>,
    /// Further steps for the operator.
    steps: Vec<Step>,
}

pub(super) fn run(options: &Backup, config: &Config, output: &mut Output<'_>) -> Result<(), CliError> {
    let now = Clock::system().now();
    let backup = match back_up(config, &options.file, options.without_secret, options.force, now) {
        Ok(backup) => Some(backup),
        Err(BackupError::Servers) => None,
        Err(error) => return Err(error.into()),
    };
    let steps = backup_steps(config);
    let lacks_secret = backup.as_ref().map(|backup| backup.secret).filter(|secret| *secret != SecretPlace::Included);
    let is_complete = steps.is_empty();
    if output.is_json() {
        output.json(&Taken { backup, steps })?;
    } else {
        if let Some(backup) = &backup {
            output.one(backup, COLUMNS)?;
        }
        if !is_complete {
            output.rows(&steps, STEPS)?;
        }
    }
    if is_complete && lacks_secret.is_some() {
        output.warn("the backup does not hold the secret: keep it elsewhere, or nobody can open its signing keys")?;
    }
    match is_complete {
        true => Ok(()),
        false => Err(CliError::Incomplete {
            problem: "a store is a server, which this command does not back up".to_owned(),
            remedy: "see above for what else to take; docs/operate/backup.md has the procedure".to_owned(),
        }),
    }
}

/// The output of `restore`.
#[derive(Serialize)]
struct Restored {
    backup: backup::Backup,
    sessions_ended: bool,
    api_keys_deactivated: u64,
    /// The names under which the old files were kept.
    replaced: Vec<String>,
}

pub(super) fn restore(
    options: &Restore,
    config: &Config,
    start_log: StartLog,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    if options.check {
        return match verify(config, &options.file) {
            Ok(backup) => output.one(&backup, COLUMNS),
            Err(error) => Err(explain(error, config, output)?),
        };
    }
    let keep = Keep { sessions: options.keep_sessions, api_keys: options.keep_api_keys };
    let staged = match stage(config, &options.file, options.force, keep, Clock::system().now()) {
        Ok(staged) => staged,
        Err(error) => return Err(explain(error, config, output)?),
    };
    // Redis, where it has the signing keys, was not restored.
    let keyring = if config.redis.is_none() { KeyringUse::Restored } else { KeyringUse::None };
    let needs = Needs { new_file: false, keyring };
    let mut ended = None;
    CommandNode { config: staged.config(config), needs, start_log }.run(async |ctx: &Context| {
        ended = Some(end_access(ctx, keep).await?);
        Ok(())
    })?;
    let (backup, kept) = staged.install()?;
    let replaced = kept.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let (sessions_ended, api_keys_deactivated) = ended.map_or((false, 0), |ended| (ended.sessions, ended.api_keys));
    if output.is_json() {
        return output.json(&Restored { backup, sessions_ended, api_keys_deactivated, replaced });
    }
    output.one(&backup, COLUMNS)?;
    output.note(&format!("Restored in {}.", config.data_dir.display()))?;
    if sessions_ended {
        output.note("All sessions have ended: people sign in again.")?;
    }
    output.note(&format!("API keys deactivated: {api_keys_deactivated}."))?;
    for path in replaced {
        output.note(&format!("The old file was kept as {path}."))?;
    }
    let created_at = &backup.created_at;
    output.note(&format!(
        "Users are as they were at {created_at}: delete, disable and change again what was changed since."
    ))
}

/// Prints the procedure if the stores are servers.
fn explain(error: BackupError, config: &Config, output: &mut Output<'_>) -> Result<CliError, CliError> {
    if !matches!(error, BackupError::Servers) {
        return Ok(error.into());
    }
    output.rows(&restore_steps(config), STEPS)?;
    Ok(CliError::Incomplete { problem: error.to_string(), remedy: error.remedy().to_owned() })
}

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        Self::Failed { problem: error.to_string(), remedy: error.remedy().to_owned() }
    }
}
