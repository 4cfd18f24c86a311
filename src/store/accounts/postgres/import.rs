//! Creates many users in one transaction.

use deadpool_postgres::{Object, Transaction};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::connections::{Connections, QueryResult, release};
use super::{rows, users};
use crate::store::accounts::{Created, NewUser};

/// How many users are in flight at a time. `join_all` starts up to thirty futures in their order, and in that order
/// they are sent, executed and numbered.
const PIPELINE: usize = 30;

/// The advisory lock that serializes imports: two imports that hold rows the other waits for would deadlock.
const IMPORT_LOCK: i64 = 0x7369_676e_6574 + 1;

pub(super) async fn import(connections: &Connections, users: &[NewUser]) -> QueryResult<Vec<Created>> {
    let mut connection = connections.acquire(connections.deadline()).await?;
    let result = import_on(connections, &mut connection, users).await;
    release(connection, result)
}

async fn import_on(connections: &Connections, connection: &mut Object, users: &[NewUser]) -> QueryResult<Vec<Created>> {
    let transaction = connections.wait(connections.deadline(), connection.transaction()).await?;
    let lock = transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&IMPORT_LOCK]);
    connections.wait(connections.deadline(), lock).await?;
    let mut all = Vec::with_capacity(users.len());
    for chunk in users.chunks(PIPELINE) {
        // A deadline for each chunk: an import may take long, but it may not stall.
        let deadline = connections.deadline();
        let results = join_all(chunk.iter().map(|user| create(connections, &transaction, user, deadline))).await;
        for (user, mut result) in chunk.iter().zip(results) {
            all.push(loop {
                match result? {
                    Some(created) => break created,
                    None => result = create(connections, &transaction, user, deadline).await,
                }
            });
        }
    }
    connections.wait(connections.deadline(), transaction.commit()).await?;
    Ok(all)
}

/// `None`: see [`rows::created`].
async fn create(
    connections: &Connections,
    transaction: &Transaction<'_>,
    user: &NewUser,
    deadline: Instant,
) -> QueryResult<Option<Created>> {
    let create = async {
        let (statement, values) = users::creation(user);
        let statement = transaction.prepare_cached(statement.sql).await?;
        transaction.query(&statement, &values).await
    };
    rows::created(&connections.wait(deadline, create).await?, user)
}
