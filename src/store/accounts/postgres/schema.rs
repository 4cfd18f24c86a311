//! Applies the migrations to a database and checks which it has. Knows no table but `signet_migrations`.
//!
//! All pending migrations are applied in one transaction that holds an advisory lock: of ten nodes that start at the
//! same time, one migrates and nine wait and find nothing pending. A database that is up to date is only read, so that
//! the server can run with a role that may create nothing.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient, Row};

use super::connections::{Endpoint, QueryError, QueryResult, STORE};
use super::statements::APPLIED_MIGRATIONS;
use crate::config;
use crate::store::migrations::{AppliedMigration, Migration, POSTGRES, pending, require_all};
use crate::store::{Error, Result};

/// The id of the advisory lock: `signet` in ASCII.
const MIGRATION_LOCK: i64 = 0x7369_676e_6574;

/// How long migrating may take, including the wait for another node that migrates.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

/// The shortest timeout for connecting, since no request waits yet.
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Applies the pending migrations and returns them. Refuses a newer or changed schema without touching it.
pub async fn migrate(settings: &config::Postgres) -> Result<&'static [Migration]> {
    // The lock is held by a node that is migrating; the usual lock timeout is for statements that serve requests.
    let patient = config::Postgres { timeout: MIGRATION_TIMEOUT, ..settings.clone() };
    let endpoint = Endpoint::new(&patient, MIGRATION_TIMEOUT)?;
    let late = |what: &str, limit: Duration| QueryError::Timeout(format!("{what} within {limit:?}"));
    let connect_timeout = settings.timeout.max(MIN_CONNECT_TIMEOUT);
    let (mut client, connection) = timeout(connect_timeout, endpoint.config.connect(endpoint.tls))
        .await
        .map_err(|_| late("no connection", connect_timeout))?
        .map_err(QueryError::Driver)?;
    let connection = tokio::spawn(connection);
    let applied = timeout(MIGRATION_TIMEOUT, apply(&mut client)).await;
    connection.abort();
    applied.map_err(|_| late("the migrations were not applied", MIGRATION_TIMEOUT))?
}

async fn apply(client: &mut Client) -> Result<&'static [Migration]> {
    let exists = "SELECT to_regclass('signet_migrations') IS NOT NULL";
    if client.query_one(exists, &[]).await.map_err(QueryError::Driver)?.get(0) && read_pending(client).await?.is_empty()
    {
        return Ok(&[]);
    }
    let transaction = client.transaction().await.map_err(QueryError::Driver)?;
    let lock = transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]);
    lock.await.map_err(QueryError::Driver)?;
    // Not `to_regclass` again: within a transaction, a session remembers that there was no such table, even if the node
    // that it has just waited for created it.
    let table = "CREATE TABLE IF NOT EXISTS signet_migrations (number integer PRIMARY KEY, name text NOT NULL, \
                 checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";
    transaction.batch_execute(table).await.map_err(QueryError::Driver)?;
    let pending = read_pending(&transaction).await?;
    for migration in pending {
        let failed = |error| migration_error(migration, error);
        transaction.batch_execute(migration.sql).await.map_err(failed)?;
        let record = "INSERT INTO signet_migrations (number, name, checksum) VALUES ($1, $2, $3)";
        let values: [&(dyn ToSql + Sync); 3] = [&migration.number, &migration.name, &migration.checksum()];
        transaction.execute(record, &values).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(QueryError::Driver)?;
    Ok(pending)
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

async fn read_pending(client: &impl GenericClient) -> Result<&'static [Migration]> {
    let rows = client.query(APPLIED_MIGRATIONS.sql, &[]).await.map_err(QueryError::Driver)?;
    pending(STORE, POSTGRES, &applied(&rows)?)
}

/// Checks that these rows of [`APPLIED_MIGRATIONS`] contain every migration that this program needs.
pub(super) fn check(rows: &[Row]) -> Result<()> {
    require_all(STORE, POSTGRES, &applied(rows)?)
}

fn applied(rows: &[Row]) -> QueryResult<Vec<AppliedMigration>> {
    let read = |row: &Row| {
        Ok(AppliedMigration {
            number: row.try_get("number")?,
            name: row.try_get("name")?,
            checksum: row.try_get("checksum")?,
        })
    };
    let applied = rows.iter().map(read).collect::<std::result::Result<Vec<_>, tokio_postgres::Error>>();
    applied.map_err(|error| QueryError::UnexpectedData(error.to_string()))
}
