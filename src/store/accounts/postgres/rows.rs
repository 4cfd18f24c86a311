//! Converts rows to the role's types, by column name. A row that cannot be converted is one that this program never
//! writes.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::super::{read_user, user_columns};
use super::connections::{QueryError, QueryResult};
use crate::clock::Timestamp;
use crate::id::{ProjectId, UserId};
use crate::store::accounts::{
    ApiKey, Billed, Billing, Changed, Created, EmailProved, EmailVerified, NewUser, RecoveryCode, RemovedCredentials,
    SealedTotp, User,
};

/// The result of creating a user; `None` if a concurrent caller was faster, so that the statement must be repeated.
pub(super) fn created(rows: &[Row], new_user: &NewUser) -> QueryResult<Option<Created>> {
    let row = first(rows)?;
    let taken = |column| read::<bool>(row, column);
    Ok(if has_user(row)? {
        Some(Created::Created(Box::new(user(row)?)))
    } else if taken("email_taken")? {
        Some(Created::EmailTaken)
    } else if taken("username_taken")? {
        Some(Created::UsernameTaken)
    } else if taken("id_taken")? {
        return Err(QueryError::UnexpectedData(format!("{} is another user's id", new_user.id)));
    } else {
        None
    })
}

pub(super) fn optional_user(rows: &[Row]) -> QueryResult<Option<User>> {
    rows.first().map(user).transpose()
}

pub(super) fn optional_end(rows: &[Row]) -> QueryResult<Option<Timestamp>> {
    rows.first().map(|row| read(row, "ended_at")).transpose()
}

pub(super) fn users(rows: &[Row]) -> QueryResult<Vec<User>> {
    rows.iter().map(user).collect()
}

/// The users of an outer join that may have found none.
pub(super) fn joined_users(rows: &[Row]) -> QueryResult<Vec<User>> {
    let mut users = Vec::with_capacity(rows.len());
    for row in rows {
        if has_user(row)? {
            users.push(user(row)?);
        }
    }
    Ok(users)
}

fn user(row: &Row) -> QueryResult<User> {
    Ok(read_user!(read, row, "u"))
}

/// Returns true if the outer join found a user.
fn has_user(row: &Row) -> QueryResult<bool> {
    Ok(read::<Option<Uuid>>(row, "u.id")?.is_some())
}

pub(super) fn changed(rows: &[Row]) -> QueryResult<Changed> {
    let row = first(rows)?;
    Ok(if has_user(row)? {
        Changed::Changed(Box::new(user(row)?))
    } else if read(row, "email_taken")? {
        Changed::EmailTaken
    } else if read(row, "username_taken")? {
        Changed::UsernameTaken
    } else {
        Changed::NotFound
    })
}

/// The result of a billing change: no row if there is no such user, an empty one if the user was not changed.
pub(super) fn billed(rows: &[Row]) -> QueryResult<Billed> {
    Ok(match rows.first() {
        None => Billed::NotFound,
        Some(row) if has_user(row)? => Billed::Billed(Box::new(user(row)?)),
        Some(_) => Billed::OutOfRange,
    })
}

/// The result of verifying an address: the row states whether it was verified before.
pub(super) fn email_verified(rows: &[Row]) -> QueryResult<EmailVerified> {
    Ok(match rows.first().map(|row| read(row, "verified")).transpose()? {
        None => EmailVerified::NotFound,
        Some(true) => EmailVerified::AlreadyVerified,
        Some(false) => EmailVerified::Verified,
    })
}

/// The result of a proof, without the API keys that it ends.
pub(super) fn email_proved(rows: &[Row]) -> QueryResult<EmailProved> {
    let Some(row) = rows.first() else { return Ok(EmailProved::NotFound) };
    let user = Box::new(user(row)?);
    Ok(if read(row, "was_verified")? {
        EmailProved::AlreadyVerified(user)
    } else {
        let removed = RemovedCredentials {
            password: read(row, "had_password")?,
            second_factor: read(row, "had_totp")?,
            api_keys: 0,
        };
        EmailProved::First { user, removed }
    })
}

pub(super) fn recovery_codes(rows: &[Row]) -> QueryResult<Vec<RecoveryCode>> {
    rows.iter().map(|row| Ok(RecoveryCode { id: read(row, "id")?, hash: read(row, "hash")? })).collect()
}

/// Numbers and ids of users with a second factor, and its sealed secret.
pub(super) fn sealed_totps(rows: &[Row]) -> QueryResult<Vec<(i64, UserId, SealedTotp)>> {
    rows.iter().map(|row| Ok((read(row, "number")?, read(row, "id")?, read(row, "totp")?))).collect()
}

pub(super) fn projects(rows: &[Row]) -> QueryResult<Vec<(ProjectId, String)>> {
    rows.iter().map(|row| Ok((read(row, "id")?, read(row, "name")?))).collect()
}

/// Ids and times of a page of durable revocations.
pub(super) fn durable_revocations<Id: for<'a> FromSql<'a>>(rows: &[Row]) -> QueryResult<Vec<(Id, Timestamp)>> {
    rows.iter().map(|row| Ok((read(row, "id")?, read(row, "ended_at")?))).collect()
}

pub(super) fn optional_api_key(rows: &[Row]) -> QueryResult<Option<ApiKey>> {
    rows.first().map(api_key).transpose()
}

pub(super) fn api_keys(rows: &[Row]) -> QueryResult<Vec<ApiKey>> {
    rows.iter().map(api_key).collect()
}

pub(super) fn api_keys_with_owner(rows: &[Row]) -> QueryResult<Vec<(ApiKey, User)>> {
    rows.iter().map(|row| Ok((api_key(row)?, user(row)?))).collect()
}

fn api_key(row: &Row) -> QueryResult<ApiKey> {
    Ok(ApiKey {
        id: read(row, "k.id")?,
        project: read(row, "k.project_id")?,
        user: read(row, "k.user_id")?,
        prefix: read(row, "k.prefix")?,
        digest: read::<&[u8]>(row, "k.digest")?
            .try_into()
            .map_err(|_| QueryError::UnexpectedData("an API key's digest is not 32 bytes".to_owned()))?,
        name: read(row, "k.name")?,
        scopes: read(row, "k.scopes")?,
        last_used_at: read(row, "k.last_used_at")?,
        expires_at: read(row, "k.expires_at")?,
        deactivated_at: read(row, "k.deactivated_at")?,
        created_at: read(row, "k.created_at")?,
        updated_at: read(row, "k.updated_at")?,
    })
}

/// A page of API keys and the total: an empty page is one row with the total alone.
pub(super) fn api_keys_page(rows: &[Row]) -> QueryResult<(Vec<ApiKey>, u64)> {
    let total = rows.first().map(|row| read::<i64>(row, "total")).transpose()?.unwrap_or_default();
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        if read::<Option<Uuid>>(row, "k.id")?.is_some() {
            keys.push(api_key(row)?);
        }
    }
    Ok((keys, total.unsigned_abs()))
}

/// The number of rows that a statement has counted.
pub(super) fn total(rows: &[Row]) -> QueryResult<u64> {
    read::<i64>(first(rows)?, "total").map(i64::unsigned_abs)
}

/// The row of a statement that always returns one.
pub(super) fn first(rows: &[Row]) -> QueryResult<&Row> {
    rows.first().ok_or_else(|| QueryError::UnexpectedData("the statement returned no row".to_owned()))
}

pub(super) fn read<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> QueryResult<T> {
    row.try_get(column).map_err(|error| QueryError::UnexpectedData(format!("column {column}: {error}")))
}
