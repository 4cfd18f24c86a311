//! The proof of an address, and what it removes, in one transaction: see [`super::end_api_keys`] for why it is not one
//! statement.

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use super::connections::{Connections, QueryResult, release};
use super::rows;
use super::statements::{END_API_KEYS, PROVE_EMAIL};
use crate::clock::{Timestamp, request_budget};
use crate::id::UserId;
use crate::store::accounts::{EmailProved, NewPassword};

pub(super) async fn prove_email(
    connections: &Connections,
    proof: (UserId, &str, Timestamp),
    new_password: Option<&NewPassword>,
    now: Timestamp,
) -> QueryResult<EmailProved> {
    request_budget::wait(async {
        let deadline = connections.deadline();
        let mut connection = connections.acquire(deadline).await?;
        let result = prove_on(connections, deadline, &mut connection, proof, new_password, now).await;
        release(connection, result)
    })
    .await
}

async fn prove_on(
    connections: &Connections,
    deadline: Instant,
    connection: &mut Object,
    (user, email, valid_after): (UserId, &str, Timestamp),
    new_password: Option<&NewPassword>,
    now: Timestamp,
) -> QueryResult<EmailProved> {
    let work = async {
        let transaction = connection.transaction().await?;
        let statement = transaction.prepare_cached(PROVE_EMAIL.sql).await?;
        let hash = new_password.map(|new| &new.hash);
        let values: [&(dyn ToSql + Sync); 5] = [&user, &email, &hash, &now, &valid_after];
        let mut proved = rows::email_proved(&transaction.query(&statement, &values).await?)?;
        match (&mut proved, new_password) {
            (EmailProved::First { removed, .. }, _) => {
                let statement = transaction.prepare_cached(END_API_KEYS.sql).await?;
                let all: Option<&[&str]> = None;
                removed.api_keys = transaction.execute(&statement, &[&user, &all, &now]).await?;
            }
            (EmailProved::AlreadyVerified(_), Some(new)) if !new.ends_api_keys_with.is_empty() => {
                let statement = transaction.prepare_cached(END_API_KEYS.sql).await?;
                transaction.execute(&statement, &[&user, &new.ends_api_keys_with, &now]).await?;
            }
            (EmailProved::AlreadyVerified(_) | EmailProved::NotFound, _) => {}
        }
        transaction.commit().await?;
        QueryResult::Ok(proved)
    };
    connections.finish(deadline, work).await
}
