//! The accounts role on Postgres. Each method is one statement, except the import, `prove_email`, and
//! `change_user` when it ends API keys, which are one transaction each.
//!
//! Each worker has its own [`Postgres`], because connections are driven by the runtime that opened them. Statements run
//! at READ COMMITTED, which the connections request whatever the database's default is. Guarantees beyond one
//! statement's snapshot come from unique indexes and row locks, never from looking first.
//!
//! After a timeout the statement may have been executed all the same: `Unavailable` means that its outcome is unknown.

mod connections;
mod end_api_keys;
mod import;
mod limits;
mod limits_check;
mod named;
mod proof;
mod rows;
mod schema;
mod search;
mod statements;
mod tls;
mod users;
mod values;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use self::connections::{Connections, QueryResult};
pub use self::limits_check::limits_not_in_force;
pub use self::schema::{migrate, schema};
use self::statements::Statement;
use super::{
    Accounts, ApiKey, ApiKeyOrder, Billed, BillingChange, Changed, Changes, Created, EmailProved, EmailVerified, Find,
    NewPassword, NewUser, PasswordHash, RecoveryCode, SEARCH_SCAN, SealedTotp, User, UserPage, UserSearch, page_start,
};
use crate::clock::Timestamp;
use crate::config;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::Result;
use crate::store::operation::{Observer, Operation};

/// The accounts store on Postgres.
pub struct Postgres {
    connections: Connections,
}

impl Postgres {
    /// A store with at most that many connections, each opened when it is first needed, on the caller's runtime. Fails
    /// if the settings cannot be used (an invalid URL, a missing `ca` file).
    pub fn new(settings: &config::Postgres, max_connections: usize) -> Result<Self> {
        Ok(Self { connections: Connections::new(settings, max_connections)? })
    }

    /// Reports every operation to `observer`. The first observer stays.
    pub fn report_to(&self, observer: Arc<dyn Observer>) {
        self.connections.report_to(observer);
    }

    /// Executes a statement that returns a row for each change, and returns whether there was one.
    async fn execute(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<bool> {
        self.connections.query(statement, values, |rows| Ok(!rows.is_empty())).await
    }

    /// Inserts a row that belongs to a user or a project: `false` if that no longer exists (a foreign key violation).
    async fn insert_owned(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<bool> {
        let read = |rows: QueryResult<Vec<_>>| match rows {
            Err(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => Ok(false),
            rows => rows.map(|rows| !rows.is_empty()),
        };
        self.connections.query_result(statement, values, read).await
    }
}

/// False for a text with a NUL: Postgres rejects it and stores none that it could equal, so it finds no row.
fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

#[async_trait]
impl Accounts for Postgres {
    async fn create_user(&self, user: &NewUser) -> Result<Created> {
        self.connections.measure(Operation::CreateUser, users::create(&self.connections, user)).await
    }

    async fn import_users(&self, users: &[NewUser]) -> Result<Vec<Created>> {
        self.connections.measure(Operation::ImportUsers, import::import(&self.connections, users)).await
    }

    async fn user(&self, by: Find<'_>) -> Result<Option<User>> {
        let (statement, value): (_, &(dyn ToSql + Sync)) = match &by {
            Find::Id(id) => (&statements::USER_BY_ID, id),
            Find::Email(text) | Find::UsernameKey(text) if !is_storable(text) => return Ok(None),
            Find::Email(email) => (&statements::USER_BY_EMAIL, email),
            Find::UsernameKey(key) => (&statements::USER_BY_USERNAME_KEY, key),
        };
        self.connections.query(statement, &[value], rows::optional_user).await
    }

    async fn users(&self, after: i64, limit: u32) -> Result<Vec<User>> {
        self.connections.query(&statements::USERS, &[&after, &i64::from(limit)], rows::users).await
    }

    async fn users_page(&self, skip: u64, limit: u32) -> Result<Vec<User>> {
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        self.connections.query(&statements::USERS_PAGE, &[&skip, &i64::from(limit)], rows::users).await
    }

    async fn search_users(&self, search: &UserSearch) -> Result<UserPage> {
        search::search(&self.connections, search).await
    }

    async fn upgrade_hash(&self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool> {
        self.execute(&statements::UPGRADE_HASH, &[&user, old, new]).await
    }

    async fn change_user(&self, user: UserId, changes: &Changes, now: Timestamp) -> Result<Changed> {
        users::change(&self.connections, user, changes, now).await
    }

    async fn verify_email(&self, user: UserId, email: &str, now: Timestamp) -> Result<EmailVerified> {
        if !is_storable(email) {
            return Ok(EmailVerified::NotFound);
        }
        self.connections.query(&statements::VERIFY_EMAIL, &[&user, &email, &now], rows::email_verified).await
    }

    async fn prove_email(
        &self,
        user: UserId,
        email: &str,
        valid_after: Timestamp,
        new_password: Option<&NewPassword>,
        now: Timestamp,
    ) -> Result<EmailProved> {
        if !is_storable(email) {
            return Ok(EmailProved::NotFound);
        }
        let prove = proof::prove_email(&self.connections, (user, email, valid_after), new_password, now);
        self.connections.measure(Operation::ProveEmail, prove).await
    }

    async fn end_sign_ins(&self, user: UserId, now: Timestamp) -> Result<Option<User>> {
        self.connections.query(&statements::END_SIGN_INS, &[&user, &now], rows::optional_user).await
    }

    async fn delete_user(
        &self,
        user: UserId,
        owner_valid_after: Option<Timestamp>,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let values: [&(dyn ToSql + Sync); 4] = [&user, &now, &forget, &owner_valid_after];
        self.connections.query(&statements::DELETE_USER, &values, rows::optional_end).await
    }

    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Timestamp)>> {
        let (since, after) = page_start(since, after);
        let values: [&(dyn ToSql + Sync); 3] = [&since, &after, &i64::from(limit)];
        self.connections.query(&statements::REVOCATIONS_SINCE, &values, rows::durable_revocations).await
    }

    async fn enable_totp(
        &self,
        user: UserId,
        secret: &SealedTotp,
        step: i64,
        recovery: &[RecoveryCode],
        owner_valid_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool> {
        let (ids, hashes): (Vec<_>, Vec<_>) = recovery.iter().map(|code| (code.id, code.hash.0.as_str())).unzip();
        self.execute(&statements::ENABLE_TOTP, &[&user, secret, &step, &ids, &hashes, &now, &owner_valid_after]).await
    }

    async fn disable_totp(&self, user: UserId, owner_valid_after: Option<Timestamp>, now: Timestamp) -> Result<bool> {
        self.execute(&statements::DISABLE_TOTP, &[&user, &now, &owner_valid_after]).await
    }

    async fn spend_totp_step(&self, user: UserId, step: i64) -> Result<bool> {
        self.execute(&statements::SPEND_TOTP_STEP, &[&user, &step]).await
    }

    async fn recovery_codes(&self, user: UserId) -> Result<Vec<RecoveryCode>> {
        self.connections.query(&statements::RECOVERY_CODES, &[&user], rows::recovery_codes).await
    }

    async fn replace_recovery_codes(
        &self,
        user: UserId,
        recovery: &[RecoveryCode],
        owner_valid_after: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let (ids, hashes): (Vec<_>, Vec<_>) = recovery.iter().map(|code| (code.id, code.hash.0.as_str())).unzip();
        let values: [&(dyn ToSql + Sync); 5] = [&user, &ids, &hashes, &now, &owner_valid_after];
        self.execute(&statements::REPLACE_RECOVERY_CODES, &values).await
    }

    async fn spend_recovery_code(&self, user: UserId, code: Uuid) -> Result<bool> {
        self.execute(&statements::SPEND_RECOVERY_CODE, &[&user, &code]).await
    }

    async fn sealed_totps(&self, after: i64, limit: u32) -> Result<Vec<(i64, UserId, SealedTotp)>> {
        self.connections.query(&statements::SEALED_TOTPS, &[&after, &i64::from(limit)], rows::sealed_totps).await
    }

    async fn reseal_totp(&self, user: UserId, old: &SealedTotp, new: &SealedTotp) -> Result<bool> {
        self.execute(&statements::RESEAL_TOTP, &[&user, old, new]).await
    }

    async fn change_billing(&self, user: UserId, change: &BillingChange, now: Timestamp) -> Result<Billed> {
        let values: [&(dyn ToSql + Sync); 6] = [
            &user,
            &change.token_balance,
            &change.tokens_used,
            &change.subscription_tier.is_some(),
            &change.subscription_tier.as_ref().and_then(Option::as_ref),
            &now,
        ];
        self.connections.query(&statements::CHANGE_BILLING, &values, rows::billed).await
    }

    async fn create_project(&self, user: UserId, project: ProjectId, name: &str, now: Timestamp) -> Result<bool> {
        self.insert_owned(&statements::CREATE_PROJECT, &[&project, &user, &name, &now]).await
    }

    async fn projects(&self, user: UserId) -> Result<Vec<(ProjectId, String)>> {
        self.connections.query(&statements::PROJECTS, &[&user], rows::projects).await
    }

    async fn create_api_key(&self, key: &ApiKey, owner_valid_after: Option<Timestamp>) -> Result<bool> {
        let digest = key.digest.as_slice();
        let (statement, values) = statements::CREATE_API_KEY.bind(
            &[
                ("id", &key.id),
                ("project_id", &key.project),
                ("user_id", &key.user),
                ("prefix", &key.prefix),
                ("digest", &digest),
                ("name", &key.name),
                ("scopes", &key.scopes),
                ("last_used_at", &key.last_used_at),
                ("expires_at", &key.expires_at),
                ("deactivated_at", &key.deactivated_at),
                ("created_at", &key.created_at),
                ("updated_at", &key.updated_at),
            ],
            &[("owner_valid_after", &owner_valid_after)],
        );
        self.insert_owned(&statement, &values).await
    }

    async fn api_keys_by_prefix(&self, prefixes: &[&str]) -> Result<Vec<(ApiKey, User)>> {
        let prefixes: Vec<_> = prefixes.iter().filter(|prefix| is_storable(prefix)).collect();
        if prefixes.is_empty() {
            return Ok(Vec::new());
        }
        self.connections.query(&statements::API_KEYS_BY_PREFIX, &[&prefixes], rows::api_keys_with_owner).await
    }

    async fn api_keys(&self, project: ProjectId, skip: u32, limit: u32) -> Result<(Vec<ApiKey>, u64)> {
        let values: [&(dyn ToSql + Sync); 3] = [&project, &i64::from(skip), &i64::from(limit)];
        self.connections.query(&statements::API_KEYS, &values, rows::api_keys_page).await
    }

    async fn all_api_keys(
        &self,
        order: ApiKeyOrder,
        after: Option<(Timestamp, ApiKeyId)>,
        limit: u32,
    ) -> Result<Vec<(ApiKey, User)>> {
        let (used_at, id) = after.unwrap_or((Timestamp::from_millis(i64::MAX), Uuid::max().into()));
        let (scan, limit) = (i64::from(SEARCH_SCAN), i64::from(limit));
        let (statement, values): (_, Vec<&(dyn ToSql + Sync)>) = match order {
            ApiKeyOrder::Created => (&statements::API_KEYS_BY_CREATION, vec![&id, &limit]),
            ApiKeyOrder::LastUsed => (&statements::API_KEYS_BY_LAST_USE, vec![&used_at, &id, &scan, &limit]),
        };
        self.connections.query(statement, &values, rows::api_keys_with_owner).await
    }

    async fn api_key_by_id(&self, key: ApiKeyId) -> Result<Option<(ApiKey, User)>> {
        let read = |rows: &[_]| QueryResult::Ok(rows::api_keys_with_owner(rows)?.pop());
        self.connections.query(&statements::API_KEY_BY_ID, &[&key], read).await
    }

    async fn api_keys_of_user(&self, user: UserId, limit: u32) -> Result<Vec<ApiKey>> {
        self.connections.query(&statements::API_KEYS_OF_USER, &[&user, &i64::from(limit)], rows::api_keys).await
    }

    async fn count_api_keys_of_user(&self, user: UserId) -> Result<u64> {
        self.connections.query(&statements::COUNT_API_KEYS_OF_USER, &[&user], rows::total).await
    }

    async fn deactivate_api_key(&self, project: ProjectId, key: ApiKeyId, now: Timestamp) -> Result<Option<ApiKey>> {
        self.connections.query(&statements::DEACTIVATE_API_KEY, &[&project, &key, &now], rows::optional_api_key).await
    }

    async fn forget_api_keys(&self, user: UserId, before: Timestamp, keep: u32) -> Result<u64> {
        let values: [&(dyn ToSql + Sync); 3] = [&user, &before, &i64::from(keep)];
        self.connections.query(&statements::FORGET_API_KEYS, &values, |rows| Ok(rows.len() as u64)).await
    }

    async fn deactivated_since(
        &self,
        since: Timestamp,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKeyId, Timestamp)>> {
        let (since, after) = page_start(since, after);
        let values: [&(dyn ToSql + Sync); 3] = [&since, &after, &i64::from(limit)];
        self.connections.query(&statements::DEACTIVATED_SINCE, &values, rows::durable_revocations).await
    }

    async fn touch_api_keys(&self, used: &[(ApiKeyId, Timestamp)]) -> Result<()> {
        if used.is_empty() {
            return Ok(());
        }
        let (ids, times): (Vec<_>, Vec<_>) = used.iter().copied().unzip();
        self.connections.query(&statements::TOUCH_API_KEYS, &[&ids, &times], |_| Ok(())).await
    }

    async fn check(&self) -> Result<()> {
        let read = |rows: QueryResult<Vec<_>>| match rows {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => schema::check(&[]),
            rows => schema::check(&rows?),
        };
        self.connections.query_result(&statements::APPLIED_MIGRATIONS, &[], read).await
    }
}
