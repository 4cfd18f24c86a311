//! Changes a user and deactivates API keys that the user has, in one transaction.
//!
//! Not one statement, because that would not see a key that another caller is creating: its snapshot is older than the
//! wait for the row of the user.

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::connections::{Connections, QueryError, QueryResult, release};
use super::named::Value;
use super::statements::{END_API_KEYS, Statement};
use crate::clock::request_budget;
use crate::store::accounts::Changed;

/// Executes the change of a user with its values. If `read` says that the user was changed, executes [`END_API_KEYS`]
/// with `end`.
pub(super) async fn change_and_end_api_keys(
    connections: &Connections,
    change: (&Statement, &[Value<'_>]),
    end: &[Value<'_>],
    read: impl FnOnce(QueryResult<Vec<Row>>) -> QueryResult<Changed>,
) -> QueryResult<Changed> {
    request_budget::wait(async {
        let deadline = connections.deadline();
        let mut connection = connections.acquire(deadline).await?;
        let result = change_on(connections, deadline, &mut connection, change, end, read).await;
        release(connection, result)
    })
    .await
}

async fn change_on(
    connections: &Connections,
    deadline: Instant,
    connection: &mut Object,
    (change, values): (&Statement, &[Value<'_>]),
    end: &[Value<'_>],
    read: impl FnOnce(QueryResult<Vec<Row>>) -> QueryResult<Changed>,
) -> QueryResult<Changed> {
    let work = async {
        let transaction = connection.transaction().await?;
        let statement = transaction.prepare_cached(change.sql).await?;
        let changed = read(transaction.query(&statement, values).await.map_err(QueryError::Driver))?;
        if let Changed::Changed(_) = changed {
            let statement = transaction.prepare_cached(END_API_KEYS.sql).await?;
            transaction.execute(&statement, end).await?;
            transaction.commit().await?;
        }
        QueryResult::Ok(changed)
    };
    connections.finish(deadline, work).await
}
