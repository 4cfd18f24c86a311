//! From rows to the role's types and back. A row that does not read is one that this program never wrote.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};
use uuid::Uuid;

use super::connections::{Answer, Failure};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::Result;
use crate::store::accounts::{
    ApiKey, Billed, Billing, Changed, Created, NewUser, PasswordHash, RecoveryCode, SealedTotp, User,
};

/// How many columns a user has in the statements.
const USER_WIDTH: usize = 17;

/// How many columns an API key has in the statements.
pub(super) const API_KEY_WIDTH: usize = 12;

/// A new user as values of a statement.
pub(super) struct NewRow<'a> {
    user: &'a NewUser,
    hash: Option<&'a str>,
    created_at: i64,
}

impl<'a> NewRow<'a> {
    pub(super) fn of(user: &'a NewUser) -> Self {
        let hash = user.password_hash.as_ref().map(|hash| hash.0.as_str());
        Self { user, hash, created_at: user.created_at.millis() }
    }

    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 12] {
        let user = self.user;
        [
            &user.id.0,
            &user.email,
            &user.username,
            &user.username_key,
            &user.full_name,
            &self.hash,
            &user.verified,
            &user.disabled,
            &user.superuser,
            &user.roles,
            &self.created_at,
            &user.project.0,
        ]
    }
}

/// What came of making a user; `None` if another was faster in the same moment, and asking again will tell.
pub(super) fn created(rows: &[Row], given: &NewUser) -> Answer<Option<Created>> {
    let Some(row) = rows.first() else { return Err(Failure::Unreadable("no row where one always is".to_owned())) };
    let taken = |which| read::<bool>(row, USER_WIDTH + which);
    Ok(if read::<Option<Uuid>>(row, 0)?.is_some() {
        Some(Created::Created(Box::new(user(row, 0)?)))
    } else if taken(0)? {
        Some(Created::EmailTaken)
    } else if taken(1)? {
        Some(Created::UsernameTaken)
    } else if taken(2)? {
        return Err(Failure::Unreadable(format!("{} is another user's id", given.id)));
    } else {
        None
    })
}

pub(super) fn user_if_any(rows: &[Row]) -> Result<Option<User>> {
    Ok(rows.first().map(|row| user(row, 0)).transpose()?)
}

/// The user whose columns begin at `from`.
pub(super) fn user(row: &Row, from: usize) -> Answer<User> {
    Ok(User {
        id: UserId(read(row, from)?),
        number: read(row, from + 1)?,
        email: read(row, from + 2)?,
        username: read(row, from + 3)?,
        full_name: read(row, from + 4)?,
        password_hash: read::<Option<String>>(row, from + 5)?.map(PasswordHash),
        verified: read(row, from + 6)?,
        disabled: read(row, from + 7)?,
        superuser: read(row, from + 8)?,
        roles: read(row, from + 9)?,
        totp: read::<Option<Vec<u8>>>(row, from + 13)?.map(SealedTotp),
        billing: Billing {
            token_balance: read(row, from + 14)?,
            tokens_used: read(row, from + 15)?,
            subscription_tier: read(row, from + 16)?,
        },
        sessions_valid_after: Timestamp::from_millis(read(row, from + 10)?),
        created_at: Timestamp::from_millis(read(row, from + 11)?),
        updated_at: Timestamp::from_millis(read(row, from + 12)?),
    })
}

/// What came of changing a user.
pub(super) fn changed(rows: &[Row]) -> Answer<Changed> {
    let Some(row) = rows.first() else { return Err(Failure::Unreadable("no row where one always is".to_owned())) };
    Ok(if read::<Option<Uuid>>(row, 0)?.is_some() {
        Changed::Changed(Box::new(user(row, 0)?))
    } else if read(row, USER_WIDTH)? {
        Changed::EmailTaken
    } else {
        Changed::Absent
    })
}

/// What came of a change of billing: no row where there is no user, and an empty one where the user stayed as it was.
pub(super) fn billed(rows: &[Row]) -> Answer<Billed> {
    Ok(match rows.first() {
        None => Billed::Absent,
        Some(row) if read::<Option<Uuid>>(row, 0)?.is_none() => Billed::OutOfRange,
        Some(row) => Billed::Billed(Box::new(user(row, 0)?)),
    })
}

/// Whether a row of the confirmation says that the address was confirmed before.
pub(super) fn confirmed(row: &Row) -> Answer<bool> {
    read(row, 0)
}

pub(super) fn recovery_code(row: &Row) -> Answer<RecoveryCode> {
    Ok(RecoveryCode { id: read(row, 0)?, hash: PasswordHash(read(row, 1)?) })
}

/// Number and id of a user with a second factor, and its sealed secret.
pub(super) fn sealed_totp(row: &Row) -> Answer<(i64, UserId, SealedTotp)> {
    Ok((read(row, 0)?, UserId(read(row, 1)?), SealedTotp(read(row, 2)?)))
}

pub(super) fn project(row: &Row) -> Answer<(ProjectId, String)> {
    Ok((ProjectId(read(row, 0)?), read(row, 1)?))
}

/// Whose sign-ins were ended, and when.
pub(super) fn ending<Id: From<Uuid>>(row: &Row) -> Answer<(Id, Timestamp)> {
    Ok((Id::from(read(row, 0)?), Timestamp::from_millis(read(row, 1)?)))
}

/// The API key whose columns begin at `from`.
pub(super) fn api_key(row: &Row, from: usize) -> Answer<ApiKey> {
    let moment = |column| Answer::Ok(read::<Option<i64>>(row, from + column)?.map(Timestamp::from_millis));
    Ok(ApiKey {
        id: ApiKeyId(read(row, from)?),
        project: ProjectId(read(row, from + 1)?),
        user: UserId(read(row, from + 2)?),
        prefix: read(row, from + 3)?,
        digest: read::<&[u8]>(row, from + 4)?
            .try_into()
            .map_err(|_| Failure::Unreadable("an API key's digest is not 32 bytes".to_owned()))?,
        name: read(row, from + 5)?,
        scopes: read(row, from + 6)?,
        last_used_at: moment(7)?,
        expires_at: moment(8)?,
        deactivated_at: moment(9)?,
        created_at: Timestamp::from_millis(read(row, from + 10)?),
        updated_at: Timestamp::from_millis(read(row, from + 11)?),
    })
}

/// A page of API keys and how many there are: where the page is empty, one row that bears the number alone.
pub(super) fn page_of_api_keys(rows: &[Row]) -> Answer<(Vec<ApiKey>, u64)> {
    let total = rows.first().map(|row| read::<i64>(row, API_KEY_WIDTH)).transpose()?.unwrap_or_default();
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        if read::<Option<Uuid>>(row, 0)?.is_some() {
            keys.push(api_key(row, 0)?);
        }
    }
    Ok((keys, total.unsigned_abs()))
}

fn read<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Answer<T> {
    row.try_get(column).map_err(|error| {
        let name = row.columns().get(column).map_or("?", |column| column.name());
        Failure::Unreadable(format!("column {name}: {error}"))
    })
}
