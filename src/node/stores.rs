//! Which store plays which role, as the settings have it: Redis or the embedded file for what expires, Postgres or the embedded
//! file for what lasts.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::node::build::StartError;
use crate::store::accounts::postgres::{self, Postgres};
use crate::store::accounts::sqlite::SqliteAccounts;
use crate::store::ephemeral::redis::Redis;
use crate::store::ephemeral::sqlite::SqliteEphemeral;
use crate::store::sqlite::Engine;
use crate::store::{Accounts, Ephemeral};
use crate::telemetry::{Metered, Metrics};

/// The stores of one process, from which each runtime draws connections of its own.
pub struct Stores {
    config: Config,
    /// Shared by all runtimes: a file has one writer, and who waits for news is woken by who writes it.
    embedded: Option<(Arc<SqliteAccounts>, Arc<SqliteEphemeral>)>,
}

impl Stores {
    /// Opens what a process opens once, and brings every schema up to date.
    pub async fn open(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        if let Some(settings) = &config.postgres {
            let applied = postgres::migrate(settings).await?;
            if !applied.is_empty() {
                tracing::info!(migrations = applied.len(), "the schema in Postgres was brought up to date");
            }
        }
        Self::with_file(config, clock, config.postgres.is_none() || config.redis.is_none())
    }

    /// Opens what keeps what expires, and nothing besides: whether Redis can be used has nothing to do with a file or with
    /// Postgres.
    pub fn of_what_expires(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        Self::with_file(config, clock, config.redis.is_none())
    }

    fn with_file(config: &Config, clock: &Clock, needed: bool) -> Result<Self, StartError> {
        let engine = needed.then(|| Engine::open(&config.data_dir, &config.embedded, clock.now())).transpose()?;
        let roles = |engine: Arc<Engine>| {
            (Arc::new(SqliteAccounts::new(engine.clone())), Arc::new(SqliteEphemeral::new(engine)))
        };
        Ok(Self { config: config.clone(), embedded: engine.map(roles) })
    }

    /// Connects on the runtime that this is awaited on: what it opens belongs to that runtime.
    pub(super) async fn connect(
        &self,
        metrics: &Arc<Metrics>,
    ) -> Result<(Arc<dyn Accounts>, Arc<dyn Ephemeral>), StartError> {
        let accounts = Metered::new(self.accounts()?, metrics.clone());
        let ephemeral = Metered::new(self.ephemeral().await?, metrics.clone());
        Ok((Arc::new(accounts), Arc::new(ephemeral)))
    }

    /// The store of what lasts, for the runtime that this is called on.
    pub fn accounts(&self) -> Result<Arc<dyn Accounts>, StartError> {
        match (&self.config.postgres, &self.embedded) {
            (Some(settings), _) => {
                // The workers' shares, and one share for what runs beside them.
                let share = (settings.connections / (self.config.server.workers + 1)).max(1);
                Ok(Arc::new(Postgres::new(settings, share)?))
            }
            (None, Some((accounts, _))) => Ok(accounts.clone()),
            (None, None) => Err(unopened("accounts")),
        }
    }

    /// The store of what expires, for the runtime that this is awaited on.
    pub async fn ephemeral(&self) -> Result<Arc<dyn Ephemeral>, StartError> {
        match (&self.config.redis, &self.embedded) {
            (Some(settings), _) => Ok(Arc::new(Redis::connect(settings).await?)),
            (None, Some((_, ephemeral))) => Ok(ephemeral.clone()),
            (None, None) => Err(unopened("ephemeral")),
        }
    }
}

fn unopened(store: &'static str) -> StartError {
    crate::store::Error::Unavailable { store, detail: "it was not opened".to_owned() }.into()
}
