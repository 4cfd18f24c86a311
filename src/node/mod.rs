//! The whole program behind the command line: what `serve` runs, and what the other commands ask for.

mod banner;
pub mod build;
mod commands;
pub mod maintenance;
mod management;
mod observer;
mod secret_file;
mod serve;
pub mod stores;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::cli::{Applied, CliError, House, Program};
use crate::clock::Clock;
use crate::config::Config;
use crate::mail;
use crate::node::build::StartError;
use crate::node::stores::Stores;
use crate::store::accounts::postgres::{self, Postgres};
use crate::store::migrations::Migration;
use crate::store::sqlite;
use crate::store::{Accounts, Ephemeral};

/// How long a command waits for an answer of a store, at least.
const COMMANDS_WAIT: Duration = Duration::from_secs(10);

/// Signet.
pub struct Signet;

#[async_trait]
impl Program for Signet {
    fn serve(&self, config: Config) -> Result<(), CliError> {
        serve::serve(config)
    }

    async fn migrate(&self, config: &Config) -> Result<Vec<Applied>, CliError> {
        let mut applied = Vec::new();
        if let Some(settings) = &config.postgres {
            applied.extend(told("postgres", postgres::migrate(settings).await?));
        }
        if config.postgres.is_none() || config.redis.is_none() {
            let now = Clock::machine().now();
            let done = sqlite::migrate(&config.data_dir, &config.embedded, now).map_err(StartError::from)?;
            applied.extend(told("embedded", done));
        }
        Ok(applied)
    }

    async fn open(&self, config: &Config) -> Result<Box<dyn House>, CliError> {
        let (clock, config) = (Clock::machine(), patient(config.clone()));
        let stores = Stores::open(&config, &clock).await?;
        Ok(Box::new(commands::Opened(build::build_context(config, clock, &stores, &[]).await?)))
    }

    async fn accounts(&self, config: &Config) -> Result<Arc<dyn Accounts>, CliError> {
        // To look is not to bring up to date: with a newer program beside running nodes that is a decision.
        match &config.postgres {
            Some(settings) => Ok(Arc::new(Postgres::new(settings, 1)?)),
            None => Ok(Stores::open(config, &Clock::machine()).await?.accounts()?),
        }
    }

    async fn ephemeral(&self, config: &Config) -> Result<Arc<dyn Ephemeral>, CliError> {
        Ok(Stores::of_what_expires(config, &Clock::machine())?.ephemeral().await?)
    }

    async fn mail(&self, config: &Config) -> Result<(), CliError> {
        let refused = |what: String| CliError::Refused { what, remedy: "config.toml describes [mail]".to_owned() };
        let reached = mail::check(&config.mail).await.map_err(StartError::from)?;
        reached.map_err(|error| refused(error.to_string()))
    }
}

/// Time-outs are for clients, who can come again. What a command has begun, a million users to be seeded perhaps, is not to end halfway
/// because a store was busy for a moment.
fn patient(mut config: Config) -> Config {
    let timeouts = [
        Some(&mut config.embedded.timeout),
        config.redis.as_mut().map(|redis| &mut redis.timeout),
        config.postgres.as_mut().map(|postgres| &mut postgres.timeout),
    ];
    for timeout in timeouts.into_iter().flatten() {
        *timeout = COMMANDS_WAIT.max(*timeout);
    }
    config
}

fn told(store: &'static str, migrations: &[Migration]) -> impl Iterator<Item = Applied> {
    migrations.iter().map(move |migration| Applied { store, number: migration.number, name: migration.name.to_owned() })
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => Self::Store(error),
            error => Self::Refused { what: error.to_string(), remedy: "`signet check` tries every part".to_owned() },
        }
    }
}
