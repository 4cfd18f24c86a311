//! Selects the store for each role: Redis or the embedded file for short-lived state, Postgres or the embedded file for
//! durable state. The only module that knows which stores are configured.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::{self, Config, ConsoleListener};
use crate::node::error::{NoStore, StartError};
use crate::store::accounts::postgres::{self, Postgres};
use crate::store::accounts::sqlite::SqliteAccounts;
use crate::store::ephemeral::redis::{OutageLog, Redis};
use crate::store::ephemeral::sqlite::SqliteEphemeral;
use crate::store::migrations::{Effect, Migrated, Migration, Schema};
use crate::store::sqlite::{self, Engine};
use crate::store::{Accounts, Ephemeral, Observer};
use crate::telemetry::Metrics;

/// The shortest timeout of a store in a command. The timeouts in the settings are for clients, which can retry; a
/// command must not stop halfway through a million users because a store was busy for a moment.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The names of the stores that have a schema.
const POSTGRES: &str = "postgres";
const EMBEDDED: &str = "embedded";

/// The stores of one process. Each runtime opens its own connections to them.
pub struct Stores {
    config: Config,
    /// Shared by all runtimes: the file has one writer thread, and a write that publishes revocations wakes the readers
    /// of the stream in its own process.
    embedded: Option<(Arc<SqliteAccounts>, Arc<SqliteEphemeral>)>,
    /// The file of `embedded`.
    file: Option<Arc<Engine>>,
    /// Shared by all runtimes, so that a lost Redis is logged once.
    redis_outages: Arc<OutageLog>,
    /// The schema of each store, and the migrations that opening applied.
    migrated: Vec<(&'static str, Migrated)>,
}

impl Stores {
    /// Opens the embedded file if a role needs it, and applies pending migrations to every store.
    pub async fn open(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        let mut migrated = Vec::new();
        if let Some(settings) = &config.postgres {
            migrated.push((POSTGRES, postgres::migrate(settings).await?));
        }
        let engine = uses_embedded(config).then(|| Engine::open(&config.data_dir, &config.embedded, clock.now()));
        let engine = engine.transpose()?;
        migrated.extend(engine.iter().filter_map(|engine| engine.migrated()).map(|of_file| (EMBEDDED, of_file)));
        Ok(Self { migrated, ..Self::new(config, engine) })
    }

    /// Logs the schema of each store, and what opening did to it.
    pub fn log_schemas(&self) {
        self.migrated.iter().for_each(|&(store, migrated)| log_schema(store, migrated));
    }

    /// Opens what exists, for `signet check`: creates no file and applies no migration. A role whose embedded file does
    /// not exist yet is unavailable.
    pub(super) fn open_existing(config: &Config) -> Result<Self, StartError> {
        let engine = uses_embedded(config).then(|| Engine::open_existing(&config.data_dir, &config.embedded));
        Ok(Self::new(config, engine.transpose()?.flatten()))
    }

    /// The servers alone, for `signet check` when the embedded file cannot be opened.
    pub(super) fn without_embedded(config: &Config) -> Self {
        Self::new(config, None)
    }

    fn new(config: &Config, engine: Option<Arc<Engine>>) -> Self {
        let file = engine.clone();
        let embedded = engine
            .map(|engine| (Arc::new(SqliteAccounts::new(engine.clone())), Arc::new(SqliteEphemeral::new(engine))));
        Self { config: config.clone(), embedded, file, redis_outages: Arc::default(), migrated: Vec::new() }
    }

    /// Opens connections on the current runtime, to which they belong. `metrics` counts and times every operation.
    pub(super) async fn connect(
        &self,
        metrics: &Arc<Metrics>,
    ) -> Result<(Arc<dyn Accounts>, Arc<dyn Ephemeral>), StartError> {
        let observer: Arc<dyn Observer> = metrics.clone();
        Ok((self.open_accounts(Some(&observer))?, self.open_ephemeral(Some(&observer)).await?))
    }

    /// The accounts store, for the current runtime.
    pub fn accounts(&self) -> Result<Arc<dyn Accounts>, StartError> {
        self.open_accounts(None)
    }

    /// The ephemeral store, for the current runtime.
    pub async fn ephemeral(&self) -> Result<Arc<dyn Ephemeral>, StartError> {
        self.open_ephemeral(None).await
    }

    fn open_accounts(&self, observer: Option<&Arc<dyn Observer>>) -> Result<Arc<dyn Accounts>, StartError> {
        match (&self.config.postgres, &self.embedded) {
            (Some(settings), _) => {
                // One share for each worker, one for the maintenance runtime, and one for the worker of the console.
                let console = self.config.serves_console_on(ConsoleListener::Management);
                let shares = self.config.server.workers + 1 + usize::from(console);
                let share = (settings.connections / shares).max(1);
                let postgres = Postgres::new(settings, share)?;
                observer.into_iter().for_each(|observer| postgres.report_to(observer.clone()));
                Ok(Arc::new(postgres))
            }
            (None, Some((accounts, _))) => {
                observer.into_iter().for_each(|observer| accounts.report_to(observer.clone()));
                Ok(accounts.clone())
            }
            (None, None) => Err(not_opened("accounts")),
        }
    }

    async fn open_ephemeral(&self, observer: Option<&Arc<dyn Observer>>) -> Result<Arc<dyn Ephemeral>, StartError> {
        match (&self.config.redis, &self.embedded) {
            (Some(settings), _) => {
                let redis = Redis::connect_with(settings, self.redis_outages.clone()).await?;
                observer.into_iter().for_each(|observer| redis.report_to(observer.clone()));
                Ok(Arc::new(redis))
            }
            (None, Some((_, ephemeral))) => {
                observer.into_iter().for_each(|observer| ephemeral.report_to(observer.clone()));
                Ok(ephemeral.clone())
            }
            (None, None) => Err(not_opened("ephemeral")),
        }
    }

    /// The schema of each store that has one and can be read.
    pub(super) async fn schemas(&self) -> Vec<(&'static str, Schema)> {
        let postgres = async {
            let schema = postgres::schema(self.config.postgres.as_ref()?).await.ok()??;
            Some((POSTGRES, schema))
        };
        let embedded = async { Some((EMBEDDED, self.file.as_ref()?.schema().await.ok()?)) };
        [postgres.await, embedded.await].into_iter().flatten().collect()
    }

    /// Describes each limit that Postgres does not apply even to the statements of a command, and what to do.
    pub(super) async fn limits_not_in_force(&self) -> crate::store::Result<Vec<String>> {
        let Some(settings) = &self.config.postgres else { return Ok(Vec::new()) };
        let of_commands = config::Postgres { timeout: COMMAND_TIMEOUT.max(settings.timeout), ..settings.clone() };
        postgres::limits_not_in_force(&of_commands).await
    }

    /// True if the embedded file was opened.
    pub(super) fn has_embedded(&self) -> bool {
        self.embedded.is_some()
    }
}

fn log_schema(store: &'static str, Migrated { applied, schema }: Migrated) {
    let Schema { number, known, oldest_reader } = schema;
    if !applied.is_empty() {
        tracing::info!(store, migrations = applied.len(), "schema updated");
    }
    if number > known {
        tracing::info!(store, number, known, oldest_reader, "schema is newer, and this version works on it");
    } else {
        tracing::info!(store, number, known, "schema is up to date");
    }
}

fn not_opened(store: &'static str) -> StartError {
    crate::store::Error::Unavailable { store, detail: "it was not opened".to_owned(), is_logged: false }.into()
}

/// True if at least one role has no server of its own.
pub(super) fn uses_embedded(config: &Config) -> bool {
    config.postgres.is_none() || config.redis.is_none()
}

/// Fails if a role has no server of its own and there is no embedded file yet.
pub(super) fn require_embedded(config: &Config) -> Result<(), NoStore> {
    let path = config.data_dir.join(sqlite::backup::FILE);
    // A path that this user may not look at is reported when the file is opened.
    if !uses_embedded(config) || path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    // Absolute, because the working directory may be the wrong one.
    Err(NoStore { path: std::path::absolute(&path).unwrap_or(path) })
}

/// The configured stores by name: `sqlite`, or the servers with `sqlite` for a role that has none.
pub fn store_names(config: &Config) -> &'static str {
    match (&config.redis, &config.postgres) {
        (None, None) => "sqlite",
        (None, Some(_)) => "postgres, sqlite",
        (Some(_), None) => "redis, sqlite",
        (Some(_), Some(_)) => "redis, postgres",
    }
}

/// A migration that was applied.
#[derive(Clone, Debug, Serialize)]
pub struct AppliedMigration {
    /// The store: `postgres` or `embedded`.
    pub store: &'static str,
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
    /// `expand` or `contract`: see [`Effect`].
    pub effect: &'static str,
    /// The number of the migration that programs must know to work on the schema after it; 0: none.
    pub oldest_reader: i32,
}

/// Applies pending migrations to every configured store, and returns them.
pub async fn migrate(config: &Config) -> Result<Vec<AppliedMigration>, StartError> {
    let mut applied = Vec::new();
    if let Some(settings) = &config.postgres {
        applied.extend(describe(POSTGRES, postgres::migrate(settings).await?));
    }
    if uses_embedded(config) {
        let now = Clock::system().now();
        applied.extend(describe(EMBEDDED, sqlite::migrate(&config.data_dir, &config.embedded, now)?));
    }
    Ok(applied)
}

fn describe(store: &'static str, migrated: Migrated) -> impl Iterator<Item = AppliedMigration> {
    let describe = move |migration: &Migration| AppliedMigration {
        store,
        number: migration.number,
        name: migration.name,
        effect: match migration.effect {
            Effect::Expand => "expand",
            Effect::Contract { .. } => "contract",
        },
        oldest_reader: migration.oldest_reader(),
    };
    migrated.applied.iter().map(describe)
}
