//! The schema on Postgres: its steps, and bringing a database to the last of them. Knows nothing of what is kept in it.
//!
//! All steps that are due are applied in one transaction that holds an advisory lock: of ten nodes that start at once, one works
//! and nine wait and find nothing left to do. A database that is up to date is only read, so that the server can run
//! as a role that may create nothing.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, GenericClient, Row};

use super::connections::{Failure, STORE, Way};
use crate::config;
use crate::store::migrations::{Migration, Recorded, pending, sufficient};
use crate::store::{Error, Result};

/// Every step, in order.
pub(super) const STEPS: &[Migration] = &[
    Migration { number: 1, name: "accounts", sql: include_str!("../../../../migrations/postgres/0001_accounts.sql") },
    Migration { number: 2, name: "endings", sql: include_str!("../../../../migrations/postgres/0002_endings.sql") },
];

/// What the advisory lock is called: `signet` in ASCII.
const LOCK: i64 = 0x7369_676e_6574;

/// How long applying may take, waiting for another node that applies included.
const PATIENCE: Duration = Duration::from_secs(600);

/// The least time that a connection is given: nobody is waiting for an answer yet.
const CONNECT: Duration = Duration::from_secs(5);

pub(super) const RECORDED: &str = "SELECT number, name, checksum FROM signet_migrations ORDER BY number";

/// Brings the database to the schema that this program knows and gives the steps that this took. Refuses a schema that is
/// newer, or that was changed, without touching it.
pub async fn migrate(settings: &config::Postgres) -> Result<&'static [Migration]> {
    // Waiting for the lock is waiting for a node that works; the server's limit on locks is for what serves requests.
    let waiting = config::Postgres { timeout: PATIENCE, ..settings.clone() };
    let way = Way::new(&waiting, PATIENCE)?;
    let late = |what: &str, within: Duration| Failure::Late(format!("{what} within {within:?}"));
    let connect = settings.timeout.max(CONNECT);
    let (mut client, connection) = timeout(connect, way.config.connect(way.tls))
        .await
        .map_err(|_| late("no connection", connect))?
        .map_err(Failure::Driver)?;
    let connection = tokio::spawn(connection);
    let applied = timeout(PATIENCE, apply(&mut client)).await;
    connection.abort();
    applied.map_err(|_| late("its schema was not brought up to date", PATIENCE))?
}

async fn apply(client: &mut Client) -> Result<&'static [Migration]> {
    let exists = "SELECT to_regclass('signet_migrations') IS NOT NULL";
    if client.query_one(exists, &[]).await.map_err(Failure::Driver)?.get(0) && due(client).await?.is_empty() {
        return Ok(&[]);
    }
    let transaction = client.transaction().await.map_err(Failure::Driver)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(Failure::Driver)?;
    // Not `to_regclass` again: a session remembers for the rest of a transaction that there was no such table, also
    // when the node it has just waited for has made it.
    let table = "CREATE TABLE IF NOT EXISTS signet_migrations (number integer PRIMARY KEY, name text NOT NULL, \
                 checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";
    transaction.batch_execute(table).await.map_err(Failure::Driver)?;
    let due = due(&transaction).await?;
    for step in due {
        transaction.batch_execute(step.sql).await.map_err(|error| refused(step, error))?;
        let record = "INSERT INTO signet_migrations (number, name, checksum) VALUES ($1, $2, $3)";
        transaction
            .execute(record, &[&step.number, &step.name, &step.checksum()])
            .await
            .map_err(|error| refused(step, error))?;
    }
    transaction.commit().await.map_err(Failure::Driver)?;
    Ok(due)
}

fn refused(step: &Migration, error: tokio_postgres::Error) -> Error {
    let detail = format!("step {} ({}) of its schema cannot be applied", step.number, step.name);
    match Error::from(Failure::Driver(error)) {
        Error::Unavailable { store, detail: why } => Error::Unavailable { store, detail: format!("{detail}: {why}") },
        Error::Corrupt { store, detail: why } => Error::Corrupt { store, detail: format!("{detail}: {why}") },
    }
}

async fn due(client: &impl GenericClient) -> Result<&'static [Migration]> {
    pending_after(&client.query(RECORDED, &[]).await.map_err(Failure::Driver)?)
}

/// Whether these rows of [`RECORDED`] are those of a schema that will do.
pub(super) fn compare(rows: &[Row]) -> Result<()> {
    sufficient(STORE, STEPS, &recorded(rows)?)
}

fn pending_after(rows: &[Row]) -> Result<&'static [Migration]> {
    pending(STORE, STEPS, &recorded(rows)?)
}

fn recorded(rows: &[Row]) -> Result<Vec<Recorded>> {
    let read = |row: &Row| Ok(Recorded { number: row.try_get(0)?, name: row.try_get(1)?, checksum: row.try_get(2)? });
    let recorded = rows.iter().map(read).collect::<std::result::Result<Vec<_>, tokio_postgres::Error>>();
    Ok(recorded.map_err(|error| Failure::Unreadable(error.to_string()))?)
}
