//! Applies the migrations to a database and checks which it has. Knows no table but `signet_migrations`.
//!
//! All pending migrations are applied in one transaction that holds an advisory lock: of ten nodes that start at the
//! same time, one migrates and nine wait and find nothing pending. A database that is up to date is only read, so that
//! the server can run with a role that may create nothing.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient, Row};

use super::connections::{Endpoint, QueryError, QueryResult, STORE};
use super::limits;
use super::statements::APPLIED_MIGRATIONS;
use crate::config;
use crate::store::migrations::{AppliedMigration, Migrated, Migration, POSTGRES, Schema, pending, require_all};
use crate::store::{Error, Result};

/// The id of the advisory lock: `signet` in ASCII.
const MIGRATION_LOCK: i64 = 0x7369_676e_6574;

/// How long migrating may take, including the wait for another node that migrates.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

/// The shortest timeout for connecting, since no request waits yet.
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Applies the pending migrations. Refuses a changed schema, or one that this program is too old for, without touching
/// it.
pub async fn migrate(settings: &config::Postgres) -> Result<Migrated> {
    // The lock is held by a node that is migrating; the usual lock timeout is for statements that serve requests.
    let (mut client, connection) = connect(settings, MIGRATION_TIMEOUT).await?;
    let migrated = timeout(MIGRATION_TIMEOUT, apply(&mut client)).await;
    connection.abort();
    migrated.map_err(|_| late("the migrations were not applied", MIGRATION_TIMEOUT))?
}

/// The schema of the database; `None` if it has none yet. Changes nothing.
pub async fn schema(settings: &config::Postgres) -> Result<Option<Schema>> {
    let (client, connection) = connect(settings, settings.timeout).await?;
    let schema = timeout(settings.timeout, async {
        if !has_schema(&client).await? {
            return Ok(None);
        }
        read_applied(&client).await.map(|applied| Some(Schema::of(POSTGRES, &applied)))
    });
    let schema = schema.await;
    connection.abort();
    schema.map_err(|_| late("no response", settings.timeout))?
}

/// Opens a connection whose statements may each take that long.
pub(super) async fn connect(settings: &config::Postgres, limit: Duration) -> Result<(Client, JoinHandle<()>)> {
    let endpoint = Endpoint::new(&config::Postgres { timeout: limit, ..settings.clone() }, limit)?;
    let connect_timeout = settings.timeout.max(MIN_CONNECT_TIMEOUT);
    let (client, connection) = timeout(connect_timeout, endpoint.config.connect(endpoint.tls))
        .await
        .map_err(|_| late("no connection", connect_timeout))?
        .map_err(QueryError::Driver)?;
    // A connection that fails ends the statements of its client, which report why.
    Ok((client, tokio::spawn(async { _ = connection.await })))
}

pub(super) fn late(what: &str, limit: Duration) -> QueryError {
    QueryError::Timeout(format!("{what} within {limit:?}"))
}

async fn has_schema(client: &Client) -> Result<bool> {
    let exists = "SELECT to_regclass('signet_migrations') IS NOT NULL";
    Ok(client.query_one(exists, &[]).await.map_err(QueryError::Driver)?.get(0))
}

async fn apply(client: &mut Client) -> Result<Migrated> {
    if has_schema(client).await? {
        let applied = read_applied(client).await?;
        if pending(STORE, POSTGRES, &applied)?.is_empty() {
            return Ok(Migrated { applied: &[], schema: Schema::of(POSTGRES, &applied) });
        }
    }
    let transaction = client.transaction().await.map_err(QueryError::Driver)?;
    // If a pooler has dropped those of the connection, the limits of the role apply, which are those of requests.
    let limits = limits::within_transaction(MIGRATION_TIMEOUT);
    transaction.batch_execute(&limits).await.map_err(QueryError::Driver)?;
    let lock = transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]);
    lock.await.map_err(QueryError::Driver)?;
    // Not `to_regclass` again: within a transaction, a session remembers that there was no such table, even if the node
    // that it has just waited for created it. A table that an older program created lacks the last column.
    let table = "CREATE TABLE IF NOT EXISTS signet_migrations (number integer PRIMARY KEY, name text NOT NULL, \
                 checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()); \
                 ALTER TABLE signet_migrations ADD COLUMN IF NOT EXISTS oldest_reader integer";
    transaction.batch_execute(table).await.map_err(QueryError::Driver)?;
    let pending = pending(STORE, POSTGRES, &read_applied(&transaction).await?)?;
    for migration in pending {
        let failed = |error| migration_error(migration, error);
        transaction.batch_execute(migration.sql).await.map_err(failed)?;
        let record = "INSERT INTO signet_migrations (number, name, checksum, oldest_reader) VALUES ($1, $2, $3, $4)";
        let values: [&(dyn ToSql + Sync); 4] =
            [&migration.number, &migration.name, &migration.checksum(), &migration.oldest_reader()];
        transaction.execute(record, &values).await.map_err(failed)?;
    }
    let schema = Schema::of(POSTGRES, &read_applied(&transaction).await?);
    transaction.commit().await.map_err(QueryError::Driver)?;
    Ok(Migrated { applied: pending, schema })
}

fn migration_error(migration: &Migration, error: tokio_postgres::Error) -> Error {
    let context = format!("migration {} ({}) failed", migration.number, migration.name);
    match Error::from(QueryError::Driver(error)) {
        Error::Unavailable { store, detail, is_logged } => {
            Error::Unavailable { store, detail: format!("{context}: {detail}"), is_logged }
        }
        Error::Corrupt { store, detail } => Error::Corrupt { store, detail: format!("{context}: {detail}") },
    }
}

async fn read_applied(client: &impl GenericClient) -> Result<Vec<AppliedMigration>> {
    let rows = client.query(APPLIED_MIGRATIONS.sql, &[]).await.map_err(QueryError::Driver)?;
    Ok(applied(&rows)?)
}

/// Checks that these rows of [`APPLIED_MIGRATIONS`] contain every migration that this program needs, and none that it is
/// too old for.
pub(super) fn check(rows: &[Row]) -> Result<()> {
    require_all(STORE, POSTGRES, &applied(rows)?)
}

fn applied(rows: &[Row]) -> QueryResult<Vec<AppliedMigration>> {
    let read = |row: &Row| {
        Ok(AppliedMigration {
            number: row.try_get("number")?,
            name: row.try_get("name")?,
            checksum: row.try_get("checksum")?,
            oldest_reader: row.try_get("oldest_reader")?,
        })
    };
    let applied = rows.iter().map(read).collect::<std::result::Result<Vec<_>, tokio_postgres::Error>>();
    applied.map_err(|error| QueryError::UnexpectedData(error.to_string()))
}
