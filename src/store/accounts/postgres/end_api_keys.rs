//! Changes a user and deactivates API keys that the user has, in one transaction.
//!
//! Not one statement, because that would not see a key that another caller is creating: its snapshot is older than the
//! wait for the row of the user.

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connections::{Connections, QueryError, QueryResult, release};
use super::statements::{END_API_KEYS, Statement};
use crate::clock::request_budget;

/// Executes `change`. If `read` says that it changed the user, executes [`END_API_KEYS`] with `end`.
pub(super) async fn change_and_end_api_keys<T>(
    connections: &Connections,
    change: (&Statement, &[&(dyn ToSql + Sync)]),
    end: &[&(dyn ToSql + Sync)],
    read: impl FnOnce(QueryResult<Vec<Row>>) -> QueryResult<(T, bool)>,
) -> QueryResult<T> {
    request_budget::wait(async {
        let deadline = connections.deadline();
        let mut connection = connections.acquire(deadline).await?;
        let result = change_on(connections, deadline, &mut connection, change, end, read).await;
        release(connection, result)
    })
    .await
}

async fn change_on<T>(
    connections: &Connections,
    deadline: Instant,
    connection: &mut Object,
    (statement, values): (&Statement, &[&(dyn ToSql + Sync)]),
    end: &[&(dyn ToSql + Sync)],
    read: impl FnOnce(QueryResult<Vec<Row>>) -> QueryResult<(T, bool)>,
) -> QueryResult<T> {
    let work = async {
        let transaction = connection.transaction().await?;
        let statement = transaction.prepare_cached(statement.sql).await?;
        let (outcome, changed) = read(transaction.query(&statement, values).await.map_err(QueryError::Driver))?;
        if changed {
            let statement = transaction.prepare_cached(END_API_KEYS.sql).await?;
            transaction.execute(&statement, end).await?;
            transaction.commit().await?;
        }
        QueryResult::Ok(outcome)
    };
    connections.finish(deadline, work).await
}
