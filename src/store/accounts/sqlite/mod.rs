//! The accounts role in the embedded store, as SQL statements. Knows nothing of the file.

mod api_keys;
mod columns;
mod end_api_keys;
mod proof;
mod search;
mod totp;
mod users;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Accounts, ApiKey, ApiKeyOrder, Billed, BillingChange, Changed, Changes, Created, EmailProved, EmailVerified, Find,
    NewPassword, NewUser, PasswordHash, RecoveryCode, SealedTotp, User, UserPage, UserSearch, page_start,
};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::Result;
use crate::store::operation::{Observer, Operation};
use crate::store::sqlite::Engine;

/// The time that an import may take per user, in addition to the timeout of any call.
const PER_IMPORTED_USER: Duration = Duration::from_millis(1);

/// The accounts store in an [`Engine`]'s file.
#[derive(Clone, Debug)]
pub struct SqliteAccounts {
    engine: Arc<Engine>,
}

impl SqliteAccounts {
    /// The store in that file.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Reports every operation to `observer`. The first observer stays.
    pub fn report_to(&self, observer: Arc<dyn Observer>) {
        self.engine.report_to(observer);
    }
}

/// An owned [`Find`], which can be sent to a reader's thread.
enum UserLookup {
    Id(UserId),
    Email(String),
    UsernameKey(String),
}

#[async_trait]
impl Accounts for SqliteAccounts {
    async fn create_user(&self, user: &NewUser) -> Result<Created> {
        let user = user.clone();
        self.engine.write(Operation::CreateUser, move |tx| users::create(tx, &user)).await
    }

    async fn import_users(&self, users: &[NewUser]) -> Result<Vec<Created>> {
        let users = users.to_vec();
        let import_time = PER_IMPORTED_USER.saturating_mul(u32::try_from(users.len()).unwrap_or(u32::MAX));
        self.engine
            .write_within(Operation::ImportUsers, self.engine.timeout() + import_time, move |tx| {
                users.iter().map(|user| users::create(tx, user)).collect()
            })
            .await
    }

    async fn user(&self, by: Find<'_>) -> Result<Option<User>> {
        let lookup = match by {
            Find::Id(id) => UserLookup::Id(id),
            Find::Email(email) => UserLookup::Email(email.to_owned()),
            Find::UsernameKey(key) => UserLookup::UsernameKey(key.to_owned()),
        };
        self.engine.read(Operation::User, move |tx| users::find(tx, &lookup)).await
    }

    async fn users(&self, after: i64, limit: u32) -> Result<Vec<User>> {
        self.engine.read(Operation::Users, move |tx| users::page(tx, after, limit)).await
    }

    async fn users_page(&self, skip: u64, limit: u32) -> Result<Vec<User>> {
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        self.engine.read(Operation::UsersPage, move |tx| users::page_at(tx, skip, limit)).await
    }

    async fn search_users(&self, search: &UserSearch) -> Result<UserPage> {
        let search = search.clone();
        self.engine.read(Operation::SearchUsers, move |tx| search::search(tx, &search)).await
    }

    async fn upgrade_hash(&self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool> {
        let (old, new) = (old.clone(), new.clone());
        self.engine.write(Operation::UpgradeHash, move |tx| users::upgrade_hash(tx, user, &old, &new)).await
    }

    async fn change_user(&self, user: UserId, changes: &Changes, now: Timestamp) -> Result<Changed> {
        let changes = changes.clone();
        self.engine.write(Operation::ChangeUser, move |tx| users::change(tx, user, &changes, now)).await
    }

    async fn verify_email(&self, user: UserId, email: &str, now: Timestamp) -> Result<EmailVerified> {
        let email = email.to_owned();
        self.engine.write(Operation::VerifyEmail, move |tx| users::verify_email(tx, user, &email, now)).await
    }

    async fn prove_email(
        &self,
        user: UserId,
        email: &str,
        valid_after: Timestamp,
        new_password: Option<&NewPassword>,
        now: Timestamp,
    ) -> Result<EmailProved> {
        let (email, new_password) = (email.to_owned(), new_password.cloned());
        let prove = move |tx: &rusqlite::Connection| {
            proof::prove_email(tx, (user, email.as_str(), valid_after), new_password.as_ref(), now)
        };
        self.engine.write(Operation::ProveEmail, prove).await
    }

    async fn end_sign_ins(&self, user: UserId, now: Timestamp) -> Result<Option<User>> {
        self.engine.write(Operation::EndSignIns, move |tx| users::end_sign_ins(tx, user, now)).await
    }

    async fn delete_user(
        &self,
        user: UserId,
        owner_valid_after: Option<Timestamp>,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let delete = move |tx: &rusqlite::Connection| users::delete(tx, user, owner_valid_after, now, forget);
        self.engine.write(Operation::DeleteUser, delete).await
    }

    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Timestamp)>> {
        let start = page_start(since, after);
        self.engine.read(Operation::RevocationsSince, move |tx| users::revocations_since(tx, start, limit)).await
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
        let (secret, recovery) = (secret.clone(), recovery.to_vec());
        let enable =
            move |tx: &rusqlite::Connection| totp::enable(tx, user, &secret, step, &recovery, owner_valid_after, now);
        self.engine.write(Operation::EnableTotp, enable).await
    }

    async fn disable_totp(&self, user: UserId, owner_valid_after: Option<Timestamp>, now: Timestamp) -> Result<bool> {
        let disable = move |tx: &rusqlite::Connection| totp::disable(tx, user, owner_valid_after, now);
        self.engine.write(Operation::DisableTotp, disable).await
    }

    async fn spend_totp_step(&self, user: UserId, step: i64) -> Result<bool> {
        self.engine.write(Operation::SpendTotpStep, move |tx| totp::spend_step(tx, user, step)).await
    }

    async fn recovery_codes(&self, user: UserId) -> Result<Vec<RecoveryCode>> {
        self.engine.read(Operation::RecoveryCodes, move |tx| totp::recovery_codes(tx, user)).await
    }

    async fn replace_recovery_codes(
        &self,
        user: UserId,
        recovery: &[RecoveryCode],
        owner_valid_after: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let recovery = recovery.to_vec();
        let replace = move |tx: &_| totp::replace_recovery_codes(tx, user, &recovery, owner_valid_after, now);
        self.engine.write(Operation::ReplaceRecoveryCodes, replace).await
    }

    async fn spend_recovery_code(&self, user: UserId, code: Uuid) -> Result<bool> {
        self.engine.write(Operation::SpendRecoveryCode, move |tx| totp::spend_recovery_code(tx, user, code)).await
    }

    async fn sealed_totps(&self, after: i64, limit: u32) -> Result<Vec<(i64, UserId, SealedTotp)>> {
        self.engine.read(Operation::SealedTotps, move |tx| totp::sealed(tx, after, limit)).await
    }

    async fn reseal_totp(&self, user: UserId, old: &SealedTotp, new: &SealedTotp) -> Result<bool> {
        let (old, new) = (old.clone(), new.clone());
        self.engine.write(Operation::ResealTotp, move |tx| totp::reseal(tx, user, &old, &new)).await
    }

    async fn change_billing(&self, user: UserId, change: &BillingChange, now: Timestamp) -> Result<Billed> {
        let change = change.clone();
        self.engine.write(Operation::ChangeBilling, move |tx| users::change_billing(tx, user, &change, now)).await
    }

    async fn create_project(&self, user: UserId, project: ProjectId, name: &str, now: Timestamp) -> Result<bool> {
        let name = name.to_owned();
        self.engine
            .write(Operation::CreateProject, move |tx| users::create_project(tx, user, project, &name, now))
            .await
    }

    async fn projects(&self, user: UserId) -> Result<Vec<(ProjectId, String)>> {
        self.engine.read(Operation::Projects, move |tx| users::projects(tx, user)).await
    }

    async fn create_api_key(&self, key: &ApiKey, owner_valid_after: Option<Timestamp>) -> Result<bool> {
        let key = key.clone();
        self.engine.write(Operation::CreateApiKey, move |tx| api_keys::create(tx, &key, owner_valid_after)).await
    }

    async fn api_keys_by_prefix(&self, prefixes: &[&str]) -> Result<Vec<(ApiKey, User)>> {
        let prefixes: BTreeSet<_> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        self.engine.read(Operation::ApiKeysByPrefix, move |tx| api_keys::find(tx, &prefixes)).await
    }

    async fn api_keys(&self, project: ProjectId, skip: u32, limit: u32) -> Result<(Vec<ApiKey>, u64)> {
        self.engine.read(Operation::ApiKeys, move |tx| api_keys::page(tx, project, skip, limit)).await
    }

    async fn all_api_keys(
        &self,
        order: ApiKeyOrder,
        after: Option<(Timestamp, ApiKeyId)>,
        limit: u32,
    ) -> Result<Vec<(ApiKey, User)>> {
        let after = after.unwrap_or((Timestamp::from_millis(i64::MAX), Uuid::max().into()));
        self.engine.read(Operation::AllApiKeys, move |tx| api_keys::all(tx, order, after, limit)).await
    }

    async fn api_key_by_id(&self, key: ApiKeyId) -> Result<Option<(ApiKey, User)>> {
        self.engine.read(Operation::ApiKeyById, move |tx| api_keys::by_id(tx, key)).await
    }

    async fn api_keys_of_user(&self, user: UserId, limit: u32) -> Result<Vec<ApiKey>> {
        self.engine.read(Operation::ApiKeysOfUser, move |tx| api_keys::of_user(tx, user, limit)).await
    }

    async fn count_api_keys_of_user(&self, user: UserId) -> Result<u64> {
        self.engine.read(Operation::ApiKeysOfUser, move |tx| api_keys::count_of_user(tx, user)).await
    }

    async fn deactivate_api_key(&self, project: ProjectId, key: ApiKeyId, now: Timestamp) -> Result<Option<ApiKey>> {
        // Owners may repeat the call: the writer, which all callers share, is left to keys that are active.
        let found =
            self.engine.read(Operation::DeactivateApiKey, move |tx| api_keys::of_project(tx, project, key)).await?;
        if found.as_ref().is_none_or(|row| row.deactivated_at.is_some()) {
            return Ok(found);
        }
        self.engine.write(Operation::DeactivateApiKey, move |tx| api_keys::deactivate(tx, project, key, now)).await
    }

    async fn forget_api_keys(&self, user: UserId, before: Timestamp, keep: u32) -> Result<u64> {
        self.engine.write(Operation::CreateApiKey, move |tx| api_keys::forget(tx, user, before, keep)).await
    }

    async fn deactivated_since(
        &self,
        since: Timestamp,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKeyId, Timestamp)>> {
        let start = page_start(since, after);
        self.engine.read(Operation::DeactivatedSince, move |tx| api_keys::deactivated_since(tx, start, limit)).await
    }

    async fn touch_api_keys(&self, used: &[(ApiKeyId, Timestamp)]) -> Result<()> {
        let used = used.to_vec();
        self.engine.write(Operation::TouchApiKeys, move |tx| api_keys::touch(tx, &used)).await
    }

    async fn check(&self) -> Result<()> {
        self.engine.check_schema(Operation::CheckAccounts).await
    }
}
