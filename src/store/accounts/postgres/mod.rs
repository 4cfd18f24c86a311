//! The role on Postgres. Each method is one statement, but for the import, which is one transaction.
//!
//! A worker has a [`Postgres`] of its own: its connections are served by the runtime that opened them. Statements run at READ
//! COMMITTED, which the connections ask for whatever the database's default is; what is guaranteed beyond one
//! statement's snapshot is guaranteed by unique indexes and row locks, never by having looked first.
//!
//! A call that was late may have been done all the same: `Unavailable` says that nobody knows.

mod connections;
mod rows;
mod schema;
mod statements;
mod tls;

use async_trait::async_trait;
use deadpool_postgres::{Object, Transaction};
use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use self::connections::{Answer, Connections, settle};
use self::rows::NewRow;
pub use self::schema::migrate;
use super::{
    Accounts, ApiKey, Billed, BillingChange, Changed, Changes, Confirmed, Created, Find, NewUser, PasswordHash,
    RecoveryCode, SealedTotp, User, place,
};
use crate::clock::Timestamp;
use crate::config;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::Result;

/// How many users of an import are under way at once. `join_all` begins futures in their order, up to thirty of them; in
/// the order in which they begin they are sent, executed and numbered.
const PIPELINE: usize = 30;

/// What imports take turns on: two that hold rows the other waits for would end each other.
const IMPORTS: i64 = 0x7369_676e_6574 + 1;

/// The store of what lasts, on Postgres.
pub struct Postgres {
    connections: Connections,
}

impl Postgres {
    /// A store with at most that many connections. Opens none: each is opened when it is first needed, on the runtime of
    /// whoever needs it. Fails if the settings themselves cannot be used (an address that is none, a `ca` that is
    /// not there).
    pub fn new(settings: &config::Postgres, connections: usize) -> Result<Self> {
        Ok(Self { connections: Connections::new(settings, connections)? })
    }

    /// Asks for a change, and says whether there was anything to change.
    async fn did(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Answer<bool> {
        Ok(!self.connections.ask(sql, values).await?.is_empty())
    }

    async fn import(&self, connection: &mut Object, users: &[NewUser]) -> Answer<Vec<Created>> {
        let asked = &self.connections;
        let transaction = asked.answer(asked.deadline(), connection.transaction()).await?;
        let turn = transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&IMPORTS]);
        asked.answer(asked.deadline(), turn).await?;
        let mut all = Vec::with_capacity(users.len());
        for some in users.chunks(PIPELINE) {
            // A deadline for each chunk: an import may take long, but it may not stand still.
            let deadline = asked.deadline();
            let made = join_all(some.iter().map(|user| self.import_one(&transaction, user, deadline))).await;
            for (user, mut made) in some.iter().zip(made) {
                all.push(loop {
                    match made? {
                        Some(created) => break created,
                        None => made = self.import_one(&transaction, user, deadline).await,
                    }
                });
            }
        }
        asked.answer(asked.deadline(), transaction.commit()).await?;
        Ok(all)
    }

    /// `None`: see [`rows::created`].
    async fn import_one(&self, within: &Transaction<'_>, user: &NewUser, deadline: Instant) -> Answer<Option<Created>> {
        let row = NewRow::of(user);
        let asked = async {
            let statement = within.prepare_cached(statements::CREATE_USER).await?;
            within.query(&statement, &row.values()).await
        };
        rows::created(&self.connections.answer(deadline, asked).await?, user)
    }
}

/// Whether something was made that belongs to a user or a project: one that is gone breaks a foreign key.
fn unless_gone(made: Answer<bool>) -> Result<bool> {
    match made {
        Err(failure) if failure.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => Ok(false),
        made => Ok(made?),
    }
}

#[async_trait]
impl Accounts for Postgres {
    async fn create_user(&self, user: &NewUser) -> Result<Created> {
        let row = NewRow::of(user);
        let deadline = self.connections.deadline();
        loop {
            let rows = self.connections.ask_by(deadline, statements::CREATE_USER, &row.values()).await?;
            if let Some(created) = rows::created(&rows, user)? {
                return Ok(created);
            }
        }
    }

    async fn import_users(&self, users: &[NewUser]) -> Result<Vec<Created>> {
        let mut connection = self.connections.lend(self.connections.deadline()).await?;
        let answer = self.import(&mut connection, users).await;
        Ok(settle(connection, answer)?)
    }

    async fn user(&self, by: Find<'_>) -> Result<Option<User>> {
        let rows = match by {
            Find::Id(id) => self.connections.ask(statements::USER_BY_ID, &[&id.0]).await?,
            // Postgres refuses to compare a text with a NUL in it, and has none to compare it with.
            Find::Email(text) | Find::UsernameKey(text) if text.contains('\0') => return Ok(None),
            Find::Email(email) => self.connections.ask(statements::USER_BY_EMAIL, &[&email]).await?,
            Find::UsernameKey(key) => self.connections.ask(statements::USER_BY_USERNAME_KEY, &[&key]).await?,
        };
        rows::user_if_any(&rows)
    }

    async fn users(&self, after: i64, limit: u32) -> Result<Vec<User>> {
        let rows = self.connections.ask(statements::USERS, &[&after, &i64::from(limit)]).await?;
        Ok(rows.iter().map(|row| rows::user(row, 0)).collect::<Answer<_>>()?)
    }

    async fn users_page(&self, skip: u64, limit: u32) -> Result<Vec<User>> {
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        let rows = self.connections.ask(statements::USERS_PAGE, &[&skip, &i64::from(limit)]).await?;
        Ok(rows.iter().map(|row| rows::user(row, 0)).collect::<Answer<_>>()?)
    }

    async fn rehash(&self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool> {
        Ok(self.did(statements::REHASH, &[&user.0, &old.0, &new.0]).await?)
    }

    async fn change_user(&self, user: UserId, changes: &Changes, now: Timestamp) -> Result<Changed> {
        let hash = changes.password_hash.as_ref().map(|hash| &hash.0);
        let values: [&(dyn ToSql + Sync); 11] = [
            &user.0,
            &changes.full_name.is_some(),
            &changes.full_name.as_ref().and_then(Option::as_ref),
            &changes.email,
            &changes.verified,
            &hash,
            &changes.disabled,
            &changes.superuser,
            &changes.roles,
            &now.millis(),
            &changes.end_sign_ins(),
        ];
        match self.connections.ask(statements::CHANGE_USER, &values).await {
            Ok(rows) => Ok(rows::changed(&rows)?),
            Err(failure) if failure.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Changed::EmailTaken),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn confirm_email(&self, user: UserId, email: &str, now: Timestamp) -> Result<Confirmed> {
        if email.contains('\0') {
            return Ok(Confirmed::Absent);
        }
        let rows = self.connections.ask(statements::CONFIRM_EMAIL, &[&user.0, &email, &now.millis()]).await?;
        Ok(match rows.first().map(rows::confirmed).transpose()? {
            None => Confirmed::Absent,
            Some(true) => Confirmed::Already,
            Some(false) => Confirmed::Confirmed,
        })
    }

    async fn end_sign_ins(&self, user: UserId, now: Timestamp) -> Result<Option<User>> {
        let rows = self.connections.ask(statements::END_SIGN_INS, &[&user.0, &now.millis()]).await?;
        rows::user_if_any(&rows)
    }

    async fn delete_user(&self, user: UserId, now: Timestamp, forget: Timestamp) -> Result<bool> {
        let values: [&(dyn ToSql + Sync); 3] = [&user.0, &now.millis(), &forget.millis()];
        Ok(self.did(statements::DELETE_USER, &values).await?)
    }

    async fn ended_since(
        &self,
        since: Timestamp,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Timestamp)>> {
        let (moment, id) = place(since, after);
        let values: [&(dyn ToSql + Sync); 3] = [&moment.millis(), &id.0, &i64::from(limit)];
        let rows = self.connections.ask(statements::ENDED_SINCE, &values).await?;
        Ok(rows.iter().map(rows::ending).collect::<Answer<_>>()?)
    }

    async fn enable_totp(
        &self,
        user: UserId,
        secret: &SealedTotp,
        step: i64,
        recovery: &[RecoveryCode],
        now: Timestamp,
    ) -> Result<bool> {
        let (ids, hashes): (Vec<_>, Vec<_>) = recovery.iter().map(|code| (code.id, code.hash.0.as_str())).unzip();
        let values: [&(dyn ToSql + Sync); 6] = [&user.0, &secret.0, &step, &ids, &hashes, &now.millis()];
        Ok(self.did(statements::ENABLE_TOTP, &values).await?)
    }

    async fn disable_totp(&self, user: UserId, now: Timestamp) -> Result<bool> {
        Ok(self.did(statements::DISABLE_TOTP, &[&user.0, &now.millis()]).await?)
    }

    async fn spend_totp_step(&self, user: UserId, step: i64) -> Result<bool> {
        Ok(self.did(statements::SPEND_TOTP_STEP, &[&user.0, &step]).await?)
    }

    async fn recovery_codes(&self, user: UserId) -> Result<Vec<RecoveryCode>> {
        let rows = self.connections.ask(statements::RECOVERY_CODES, &[&user.0]).await?;
        Ok(rows.iter().map(rows::recovery_code).collect::<Answer<_>>()?)
    }

    async fn spend_recovery_code(&self, user: UserId, code: Uuid) -> Result<bool> {
        Ok(self.did(statements::SPEND_RECOVERY_CODE, &[&user.0, &code]).await?)
    }

    async fn sealed_totps(&self, after: i64, limit: u32) -> Result<Vec<(i64, UserId, SealedTotp)>> {
        let rows = self.connections.ask(statements::SEALED_TOTPS, &[&after, &i64::from(limit)]).await?;
        Ok(rows.iter().map(rows::sealed_totp).collect::<Answer<_>>()?)
    }

    async fn reseal_totp(&self, user: UserId, old: &SealedTotp, new: &SealedTotp) -> Result<bool> {
        Ok(self.did(statements::RESEAL_TOTP, &[&user.0, &old.0, &new.0]).await?)
    }

    async fn change_billing(&self, user: UserId, change: &BillingChange, now: Timestamp) -> Result<Billed> {
        let values: [&(dyn ToSql + Sync); 6] = [
            &user.0,
            &change.token_balance,
            &change.tokens_used,
            &change.subscription_tier.is_some(),
            &change.subscription_tier.as_ref().and_then(Option::as_ref),
            &now.millis(),
        ];
        Ok(rows::billed(&self.connections.ask(statements::CHANGE_BILLING, &values).await?)?)
    }

    async fn create_project(&self, user: UserId, project: ProjectId, name: &str, now: Timestamp) -> Result<bool> {
        let values: [&(dyn ToSql + Sync); 4] = [&project.0, &user.0, &name, &now.millis()];
        unless_gone(self.did(statements::CREATE_PROJECT, &values).await)
    }

    async fn projects(&self, user: UserId) -> Result<Vec<(ProjectId, String)>> {
        let rows = self.connections.ask(statements::PROJECTS, &[&user.0]).await?;
        Ok(rows.iter().map(rows::project).collect::<Answer<_>>()?)
    }

    async fn create_api_key(&self, key: &ApiKey) -> Result<bool> {
        let [last_used_at, expires_at, deactivated_at] =
            [key.last_used_at, key.expires_at, key.deactivated_at].map(|moment| moment.map(Timestamp::millis));
        let [created_at, updated_at] = [key.created_at, key.updated_at].map(Timestamp::millis);
        let values: [&(dyn ToSql + Sync); 12] = [
            &key.id.0,
            &key.project.0,
            &key.user.0,
            &key.prefix,
            &key.digest.as_slice(),
            &key.name,
            &key.scopes,
            &last_used_at,
            &expires_at,
            &deactivated_at,
            &created_at,
            &updated_at,
        ];
        unless_gone(self.did(statements::CREATE_API_KEY, &values).await)
    }

    async fn api_keys_by_prefix(&self, prefixes: &[&str]) -> Result<Vec<(ApiKey, User)>> {
        // As with users: no text in Postgres has a NUL in it.
        let prefixes: Vec<_> = prefixes.iter().filter(|prefix| !prefix.contains('\0')).collect();
        if prefixes.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.connections.ask(statements::API_KEYS_BY_PREFIX, &[&prefixes]).await?;
        let owned = |row| Answer::Ok((rows::api_key(row, 0)?, rows::user(row, rows::API_KEY_WIDTH)?));
        Ok(rows.iter().map(owned).collect::<Answer<_>>()?)
    }

    async fn api_keys(&self, project: ProjectId, skip: u32, limit: u32) -> Result<(Vec<ApiKey>, u64)> {
        let values: [&(dyn ToSql + Sync); 3] = [&project.0, &i64::from(skip), &i64::from(limit)];
        let rows = self.connections.ask(statements::API_KEYS, &values).await?;
        Ok(rows::page_of_api_keys(&rows)?)
    }

    async fn deactivate_api_key(&self, project: ProjectId, key: ApiKeyId, now: Timestamp) -> Result<Option<ApiKey>> {
        let values: [&(dyn ToSql + Sync); 3] = [&project.0, &key.0, &now.millis()];
        let rows = self.connections.ask(statements::DEACTIVATE_API_KEY, &values).await?;
        Ok(rows.first().map(|row| rows::api_key(row, 0)).transpose()?)
    }

    async fn deactivated_since(
        &self,
        since: Timestamp,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKeyId, Timestamp)>> {
        let (moment, id) = place(since, after);
        let values: [&(dyn ToSql + Sync); 3] = [&moment.millis(), &id.0, &i64::from(limit)];
        let rows = self.connections.ask(statements::DEACTIVATED_SINCE, &values).await?;
        Ok(rows.iter().map(rows::ending).collect::<Answer<_>>()?)
    }

    async fn touch_api_keys(&self, used: &[(ApiKeyId, Timestamp)]) -> Result<()> {
        if used.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = used.iter().map(|(id, _)| id.0).collect();
        let moments: Vec<_> = used.iter().map(|(_, moment)| moment.millis()).collect();
        self.connections.ask(statements::TOUCH_API_KEYS, &[&ids, &moments]).await?;
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        match self.connections.ask(schema::RECORDED, &[]).await {
            Err(failure) if failure.code() == Some(&SqlState::UNDEFINED_TABLE) => schema::compare(&[]),
            rows => schema::compare(&rows?),
        }
    }
}
