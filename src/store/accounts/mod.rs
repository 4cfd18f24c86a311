//! The role of what lasts: users, their projects and their API keys, and nothing else.
//!
//! E-mail addresses and usernames arrive in their canonical form; the store only holds that they are unique. Password
//! hashes are text it does not read, and sealed secrets bytes it cannot open. Knows nothing of sessions or tokens.

pub mod postgres;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Result;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};

/// A user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// A small whole number, unique, in the order in which users were made; never reused.
    pub number: i64,
    /// Canonical and unique.
    pub email: String,
    /// As its owner writes it.
    pub username: Option<String>,
    /// As its owner writes it.
    pub full_name: Option<String>,
    /// A PHC string or one of the imported spellings; none if the user signs in without a password.
    pub password_hash: Option<PasswordHash>,
    /// Whether the address was confirmed.
    pub verified: bool,
    /// Whether the user may sign in.
    pub disabled: bool,
    /// Whether the user may do everything.
    pub superuser: bool,
    /// What else the user may do.
    pub roles: Vec<String>,
    /// The sealed secret of the second factor, where it is on.
    pub totp: Option<SealedTotp>,
    /// What the user has to spend and has spent.
    pub billing: Billing,
    /// Sessions from sign-ins that read an earlier value are not valid. Rises with each change that ends all sessions,
    /// by at least a millisecond, and never sinks.
    pub sessions_valid_after: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A stored password hash; its Debug form shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A sealed TOTP secret; its Debug form shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedTotp(pub Vec<u8>);

impl std::fmt::Debug for SealedTotp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedTotp(…)")
    }
}

/// What a user has to spend and has spent; neither is ever below zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Billing {
    /// What is left.
    pub token_balance: i64,
    /// What was used.
    pub tokens_used: i64,
    /// What the user subscribes to.
    pub subscription_tier: Option<String>,
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// Canonical.
    pub email: String,
    /// As its owner writes it.
    pub username: Option<String>,
    /// The form of the username that is unique.
    pub username_key: Option<String>,
    /// As its owner writes it.
    pub full_name: Option<String>,
    /// See [`User::password_hash`].
    pub password_hash: Option<PasswordHash>,
    /// Whether the address is known to be the user's.
    pub verified: bool,
    /// Whether the user may not sign in.
    pub disabled: bool,
    /// Whether the user may do everything.
    pub superuser: bool,
    /// What else the user may do.
    pub roles: Vec<String>,
    /// The id of the user's personal project, made with it.
    pub project: ProjectId,
    /// When the row is made (an import keeps the old moment).
    pub created_at: Timestamp,
}

/// What became of making a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The row as it was made.
    Created(Box<User>),
    /// Another user has that e-mail address.
    EmailTaken,
    /// Another user has that username.
    UsernameTaken,
}

/// What to change of a user; `None`: leave it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// As its owner writes it, or none.
    pub full_name: Option<Option<String>>,
    /// Canonical. One that is another than before is unverified, unless `verified` says otherwise.
    pub email: Option<String>,
    /// See [`User::verified`].
    pub verified: Option<bool>,
    /// See [`User::password_hash`].
    pub password_hash: Option<PasswordHash>,
    /// See [`User::disabled`].
    pub disabled: Option<bool>,
    /// See [`User::superuser`].
    pub superuser: Option<bool>,
    /// See [`User::roles`].
    pub roles: Option<Vec<String>>,
    /// Whether sign-ins end by this, whatever else changes: a right is lost that tokens speak of.
    pub ends_sign_ins: bool,
}

impl Changes {
    /// Whether all sign-ins before them are over.
    pub fn end_sign_ins(&self) -> bool {
        self.password_hash.is_some() || self.disabled == Some(true) || self.ends_sign_ins
    }
}

/// What became of changing a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The row as it now is.
    Changed(Box<User>),
    /// Another user has that e-mail address; nothing was changed.
    EmailTaken,
    /// There is no such user.
    Absent,
}

/// What became of confirming an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It is confirmed now.
    Confirmed,
    /// It was confirmed before.
    Already,
    /// There is no such user, or the address is another by now.
    Absent,
}

/// A recovery code of a second factor. The hash is text that the store does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCode {
    /// Its id, unique among the user's.
    pub id: Uuid,
    /// What it is checked against.
    pub hash: PasswordHash,
}

/// What to add to a user's [`Billing`].
#[derive(Clone, Debug, Default)]
pub struct BillingChange {
    /// Added to the balance; a debit is negative.
    pub token_balance: i64,
    /// Added to what was used.
    pub tokens_used: i64,
    /// The new tier, or none; outer `None`: leave it.
    pub subscription_tier: Option<Option<String>>,
}

/// What became of a change of billing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Billed {
    /// The row as it now is.
    Billed(Box<User>),
    /// A sum would be below zero, or more than can be kept; nothing was changed.
    OutOfRange,
    /// There is no such user.
    Absent,
}

/// By what a user is found.
#[derive(Clone, Copy, Debug)]
pub enum Find<'a> {
    /// The id.
    Id(UserId),
    /// The canonical address.
    Email(&'a str),
    /// The unique form of the username.
    UsernameKey(&'a str),
}

/// The moment and the id after which a page of endings begins. No id: after the last one of the millisecond before.
fn place<Id: From<Uuid>>(since: Timestamp, after: Option<Id>) -> (Timestamp, Id) {
    match after {
        Some(id) => (since, id),
        None => (since - Duration::from_millis(1), Uuid::max().into()),
    }
}

/// An API key's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The user who made it, in whose name it acts.
    pub user: UserId,
    /// The key's visible beginning, unique.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for; empty: what any signed-in user may do.
    pub scopes: Vec<String>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Since when it no longer works because somebody said so.
    pub deactivated_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The store of what lasts. All implementations pass `store::conformance::accounts`.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Makes a user and its personal project (named `Personal`), both or neither. Of any number of concurrent callers
    /// with one address or one username exactly one gets `Created`. Where both are taken, `EmailTaken`.
    async fn create_user(&self, user: &NewUser) -> Result<Created>;

    /// Makes many users in one transaction: each as [`Accounts::create_user`] would, in the same order, those that are
    /// taken left out without spoiling the rest.
    async fn import_users(&self, users: &[NewUser]) -> Result<Vec<Created>>;

    /// One user.
    async fn user(&self, by: Find<'_>) -> Result<Option<User>>;

    /// Users in the order of their numbers: at most `limit`, beginning after number `after`.
    async fn users(&self, after: i64, limit: u32) -> Result<Vec<User>>;

    /// Users in the order of their numbers: `limit` of them after leaving out the first `skip`.
    async fn users_page(&self, skip: u64, limit: u32) -> Result<Vec<User>>;

    /// Replaces a password hash if it still is `old`, and says whether it did: so an upgrade of an old hash at sign-in
    /// never undoes a change of password that came between. No session ends.
    async fn rehash(&self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool>;

    /// Changes a user, all of it or nothing, in one step. Of any number of concurrent callers that want one address, to change or
    /// to create, exactly one gets it. Raises [`User::sessions_valid_after`] to `now` or by a millisecond, whichever is more, where
    /// [`Changes::end_sign_ins`] says so: where a password is given or the user is disabled, also if it was before.
    async fn change_user(&self, user: UserId, changes: &Changes, now: Timestamp) -> Result<Changed>;

    /// Notes that `email` was confirmed, if it still is the user's address. Of any number of concurrent callers exactly one
    /// gets `Confirmed`.
    async fn confirm_email(&self, user: UserId, email: &str, now: Timestamp) -> Result<Confirmed>;

    /// Raises [`User::sessions_valid_after`] alone. Gives the row as it now is; `None` if there is no such user.
    async fn end_sign_ins(&self, user: UserId, now: Timestamp) -> Result<Option<User>>;

    /// Deletes a user with its projects and keys, and says whether there was one. In the same step it is noted for
    /// [`Accounts::ended_since`], with `now` or [`User::sessions_valid_after`], whichever is more; and some of those noted before
    /// `forget` are forgotten, more than are noted, so that the notes do not grow for ever.
    async fn delete_user(&self, user: UserId, now: Timestamp, forget: Timestamp) -> Result<bool>;

    /// Whose sign-ins were ended, and when: the users whose [`User::sessions_valid_after`] was ever raised (it begins at
    /// [`User::created_at`]), with its value, and those who were deleted. In the order of moments and then of ids; beginning
    /// with the moment `since`, or where `after` is given with what comes after that id in it; at most `limit`.
    async fn ended_since(
        &self,
        since: Timestamp,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Timestamp)>>;

    /// Turns the second factor on with its recovery codes (in place of any older ones), noting `step` as used. Of any number
    /// of concurrent callers exactly one gets `true`; `false` if it is on already or the user is gone.
    async fn enable_totp(
        &self,
        user: UserId,
        secret: &SealedTotp,
        step: i64,
        recovery: &[RecoveryCode],
        now: Timestamp,
    ) -> Result<bool>;

    /// Turns the second factor off, recovery codes and all; `false` if it was off. Of any number of concurrent callers exactly
    /// one gets `true`.
    async fn disable_totp(&self, user: UserId, now: Timestamp) -> Result<bool>;

    /// Uses up a time step: `true` for exactly one of any number of concurrent callers, and for none with the same or an
    /// earlier step after it. `false` where the second factor is off.
    async fn spend_totp_step(&self, user: UserId, step: i64) -> Result<bool>;

    /// The recovery codes that are not used up, in the order of their ids.
    async fn recovery_codes(&self, user: UserId) -> Result<Vec<RecoveryCode>>;

    /// Uses up a recovery code: `true` for exactly one of any number of concurrent callers.
    async fn spend_recovery_code(&self, user: UserId, code: Uuid) -> Result<bool>;

    /// The users with a second factor in the order of their numbers: at most `limit`, beginning after number `after`. For
    /// sealing anew when secrets change.
    async fn sealed_totps(&self, after: i64, limit: u32) -> Result<Vec<(i64, UserId, SealedTotp)>>;

    /// Replaces a sealed secret if it still is `old`, and says whether it did: so sealing anew never brings a factor back that was
    /// turned off, nor an earlier one.
    async fn reseal_totp(&self, user: UserId, old: &SealedTotp, new: &SealedTotp) -> Result<bool>;

    /// Adds to what a user has and has used, in one step: no sum ever sinks below zero.
    async fn change_billing(&self, user: UserId, change: &BillingChange, now: Timestamp) -> Result<Billed>;

    /// Makes a project beside the personal one; `false` if the user is gone.
    async fn create_project(&self, user: UserId, project: ProjectId, name: &str, now: Timestamp) -> Result<bool>;

    /// The user's projects, the personal one first: id and name.
    async fn projects(&self, user: UserId) -> Result<Vec<(ProjectId, String)>>;

    /// Keeps a new API key; `false` if its prefix is taken (draw another) or its user or project is gone.
    async fn create_api_key(&self, key: &ApiKey) -> Result<bool>;

    /// The API keys that have one of these prefixes, each once and with its owner's row, in any order.
    async fn api_keys_by_prefix(&self, prefixes: &[&str]) -> Result<Vec<(ApiKey, User)>>;

    /// The API key with that prefix, and its owner's row.
    async fn api_key(&self, prefix: &str) -> Result<Option<(ApiKey, User)>> {
        Ok(self.api_keys_by_prefix(&[prefix]).await?.pop())
    }

    /// The API keys of a project, the newest first: at most `limit`, leaving out the first `skip`; and how many there are.
    async fn api_keys(&self, project: ProjectId, skip: u32, limit: u32) -> Result<(Vec<ApiKey>, u64)>;

    /// Deactivates a project's API key; again: leaves it as it was. Gives the row; `None` if the project has no such key.
    async fn deactivate_api_key(&self, project: ProjectId, key: ApiKeyId, now: Timestamp) -> Result<Option<ApiKey>>;

    /// The API keys that were deactivated, and when, but for those that are gone with their user. In the order of moments and then of
    /// ids, from where and as many as [`Accounts::ended_since`] has it.
    async fn deactivated_since(
        &self,
        since: Timestamp,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKeyId, Timestamp)>>;

    /// Notes when keys were last used, in one statement; a moment earlier than the one noted changes nothing.
    async fn touch_api_keys(&self, used: &[(ApiKeyId, Timestamp)]) -> Result<()>;

    /// Whether the store answers and its schema has all that this program knows.
    async fn check(&self) -> Result<()>;
}
