//! The accounts role: users, their projects and their API keys.
//!
//! E-mail addresses and usernames arrive in canonical form; the store only keeps them unique. It neither parses
//! password hashes nor opens sealed secrets. Knows nothing of sessions or tokens.

mod api_key;
pub mod postgres;
mod search;
pub mod sqlite;
mod user;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::api_key::{ApiKey, ApiKeyOrder};
pub use self::search::{SEARCH_SCAN, UserPage, UserSearch, UserStatus};
pub use self::user::{Billing, Changes, NewUser, NewUsername, PasswordHash, SealedTotp, User};

use self::api_key::api_key_select_list;
use self::user::{read_user, select_list, user_columns, user_select_list};
use super::Result;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};

/// The outcome of creating a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The row as created.
    Created(Box<User>),
    /// Another user has that e-mail address.
    EmailTaken,
    /// Another user has that username.
    UsernameTaken,
}

/// The outcome of changing a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The row after the change.
    Changed(Box<User>),
    /// Another user has that e-mail address; nothing was changed.
    EmailTaken,
    /// Another user has that username; nothing was changed.
    UsernameTaken,
    /// There is no such user, or [`Changes::only_if_valid_after`] or [`Changes::only_if_email`] excludes it.
    NotFound,
}

/// The outcome of verifying an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerified {
    /// The address is verified now.
    Verified,
    /// It was verified before.
    AlreadyVerified,
    /// There is no such user, or the user has another address now.
    NotFound,
}

/// A password to set together with the proof of an address.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// See [`User::password_hash`].
    pub hash: PasswordHash,
    /// See [`Changes::ends_api_keys_with`].
    pub ends_api_keys_with: &'static [&'static str],
}

/// The outcome of [`Accounts::prove_email`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailProved {
    /// The address is verified now, and nothing that was set before is left.
    First {
        /// The row after the change.
        user: Box<User>,
        /// The credentials that were removed.
        removed: RemovedCredentials,
    },
    /// It was verified before. The row, with the new password if one was given.
    AlreadyVerified(Box<User>),
    /// There is no such user, or the user has another address or had all sign-ins ended by now.
    NotFound,
}

/// The credentials that the first proof of an address removed from the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedCredentials {
    /// True if there was a password.
    pub password: bool,
    /// True if there was a second factor. Its recovery codes are removed with it.
    pub second_factor: bool,
    /// The number of API keys that were active.
    pub api_keys: u64,
}

/// A recovery code of a second factor. The store does not parse the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCode {
    /// The id, unique among the user's codes.
    pub id: Uuid,
    /// The hash that a code is compared with.
    pub hash: PasswordHash,
}

/// A change of a user's [`Billing`].
#[derive(Clone, Debug, Default)]
pub struct BillingChange {
    /// Added to the balance; negative for a debit.
    pub token_balance: i64,
    /// Added to the usage.
    pub tokens_used: i64,
    /// The new tier; `Some(None)` removes it, `None` leaves it.
    pub subscription_tier: Option<Option<String>>,
}

/// The outcome of a billing change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Billed {
    /// The row after the change.
    Billed(Box<User>),
    /// A sum would be negative or overflow; nothing was changed.
    OutOfRange,
    /// There is no such user.
    NotFound,
}

/// The unique column by which a user is looked up.
#[derive(Clone, Copy, Debug)]
pub enum Find<'a> {
    /// The id.
    Id(UserId),
    /// The canonical address.
    Email(&'a str),
    /// The unique form of the username.
    UsernameKey(&'a str),
}

/// The exclusive start of a page of durable revocations, which are sorted by time and id. Without an id, the page
/// starts after the last id of the preceding millisecond.
fn page_start<Id: From<Uuid>>(since: Timestamp, after: Option<Id>) -> (Timestamp, Id) {
    match after {
        Some(id) => (since, id),
        None => (since - Duration::from_millis(1), Uuid::max().into()),
    }
}

/// The store of users, projects and API keys. Every implementation passes `tests/conformance/accounts`.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Creates a user and its personal project (named `Personal`), both or neither. Of any number of concurrent callers
    /// with one address or one username exactly one gets `Created`. If both are taken, the result is `EmailTaken`.
    async fn create_user(&self, user: &NewUser) -> Result<Created>;

    /// Creates many users in one transaction, each as [`Accounts::create_user`] does and in the same order. Users whose
    /// address or username is taken are skipped without affecting the rest.
    async fn import_users(&self, users: &[NewUser]) -> Result<Vec<Created>>;

    /// Finds one user.
    async fn user(&self, by: Find<'_>) -> Result<Option<User>>;

    /// Lists users in the order of their numbers: at most `limit` of those after number `after`.
    async fn users(&self, after: i64, limit: u32) -> Result<Vec<User>>;

    /// Lists users in the order of their numbers: at most `limit` after skipping the first `skip`.
    async fn users_page(&self, skip: u64, limit: u32) -> Result<Vec<User>>;

    /// Searches users, the newest first. One call reads at most [`SEARCH_SCAN`] rows, so a page can be short, or empty,
    /// although there are more matches: [`UserPage::next`] says where to continue.
    async fn search_users(&self, search: &UserSearch) -> Result<UserPage>;

    /// Replaces a password hash if it still is `old`; returns whether it did. So the upgrade of an old hash at sign-in
    /// never undoes a concurrent password change. Ends no session.
    async fn upgrade_hash(&self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool>;

    /// Applies all changes or none, in one step; none to a user whom [`Changes::only_if_valid_after`] or
    /// [`Changes::only_if_email`] excludes. Of any number of concurrent callers that want one address or username, to
    /// change or to create a user, exactly one gets it; if both are taken, the result is `EmailTaken`.
    ///
    /// If [`Changes::end_sign_ins`] holds (a password is given or the user is disabled, even again), raises
    /// [`User::sessions_valid_after`] to `now`, or by a millisecond if that is later. Deactivates the user's API keys
    /// that [`Changes::ends_api_keys_with`] names, including those that [`Accounts::create_api_key`] creates at the
    /// same time for the row as it was before.
    async fn change_user(&self, user: UserId, changes: &Changes, now: Timestamp) -> Result<Changed>;

    /// Marks `email` as verified if it still is the user's address. Of any number of concurrent callers exactly one
    /// gets `Verified`.
    async fn verify_email(&self, user: UserId, email: &str, now: Timestamp) -> Result<EmailVerified>;

    /// Verifies `email` for a client that has proved that it reads the mail, and sets `new_password` if one is given.
    /// Changes nothing unless `email` still is the user's address and `valid_after` its [`User::sessions_valid_after`].
    /// If the address was not verified, the credentials of the account may have been set by somebody else. So the same
    /// step removes the earlier password, the second factor and its recovery codes, and raises
    /// [`User::sessions_valid_after`]. It also deactivates all of the user's API keys, as [`Accounts::change_user`]
    /// deactivates those with some scopes. If it was verified, only a new password changes anything, also as in
    /// [`Accounts::change_user`]. So of any number of concurrent callers exactly one gets `First`, and one sets a
    /// password.
    async fn prove_email(
        &self,
        user: UserId,
        email: &str,
        valid_after: Timestamp,
        new_password: Option<&NewPassword>,
        now: Timestamp,
    ) -> Result<EmailProved>;

    /// Raises [`User::sessions_valid_after`] alone. Returns the row after that; `None` if there is no such user.
    async fn end_sign_ins(&self, user: UserId, now: Timestamp) -> Result<Option<User>>;

    /// Deletes a user with its projects and keys. Returns the value to which [`Accounts::end_sign_ins`] would have
    /// raised [`User::sessions_valid_after`]; `None` if there is no such user, and also if `owner_valid_after` is given
    /// and the user's [`User::sessions_valid_after`] differs: the session that asks for it may have ended since. The
    /// same step records this value for [`Accounts::revocations_since`]. It also removes some records older than
    /// `forget`, more than it adds, so that the records do not grow without bound.
    async fn delete_user(
        &self,
        user: UserId,
        owner_valid_after: Option<Timestamp>,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<Option<Timestamp>>;

    /// Lists the users whose sign-ins were ended, and when: those whose [`User::sessions_valid_after`] was ever raised
    /// above [`User::created_at`], with its value, and deleted users. Sorted by time and id. Starts with the time
    /// `since`, or after the id `after` within it; at most `limit`.
    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Timestamp)>>;

    /// Turns the second factor on, replaces all recovery codes, and marks `step` as used. Of any number of concurrent
    /// callers exactly one gets `true`; `false` if it is on already or the user does not exist, and also if
    /// `owner_valid_after` is given and the user's [`User::sessions_valid_after`] differs: the session that asks for it
    /// may have ended since.
    async fn enable_totp(
        &self,
        user: UserId,
        secret: &SealedTotp,
        step: i64,
        recovery: &[RecoveryCode],
        owner_valid_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool>;

    /// Turns the second factor off and deletes its recovery codes; `false` if it was off, and also if
    /// `owner_valid_after` is given and the user's [`User::sessions_valid_after`] differs: the session that asks for it
    /// may have ended since. Of any number of concurrent callers exactly one gets `true`.
    async fn disable_totp(&self, user: UserId, owner_valid_after: Option<Timestamp>, now: Timestamp) -> Result<bool>;

    /// Uses up a time step: `true` for exactly one of any number of concurrent callers, and afterwards `false` for the
    /// same and every earlier step. `false` if the second factor is off.
    async fn spend_totp_step(&self, user: UserId, step: i64) -> Result<bool>;

    /// Lists the unused recovery codes, sorted by id.
    async fn recovery_codes(&self, user: UserId) -> Result<Vec<RecoveryCode>>;

    /// Replaces all recovery codes; `false` if the second factor is off or the user does not exist, and also if the
    /// user's [`User::sessions_valid_after`] differs from `owner_valid_after`: the session that asks for it may have
    /// ended since.
    async fn replace_recovery_codes(
        &self,
        user: UserId,
        recovery: &[RecoveryCode],
        owner_valid_after: Timestamp,
        now: Timestamp,
    ) -> Result<bool>;

    /// Uses up a recovery code: `true` for exactly one of any number of concurrent callers.
    async fn spend_recovery_code(&self, user: UserId, code: Uuid) -> Result<bool>;

    /// Lists the users with a second factor in the order of their numbers: at most `limit` of those after number
    /// `after`. For resealing when the secret changes.
    async fn sealed_totps(&self, after: i64, limit: u32) -> Result<Vec<(i64, UserId, SealedTotp)>>;

    /// Replaces a sealed secret if it still is `old`; returns whether it did. So resealing never brings back a factor
    /// that was turned off, nor an earlier one.
    async fn reseal_totp(&self, user: UserId, old: &SealedTotp, new: &SealedTotp) -> Result<bool>;

    /// Adds to a user's balance and usage in one step: no sum ever becomes negative.
    async fn change_billing(&self, user: UserId, change: &BillingChange, now: Timestamp) -> Result<Billed>;

    /// Creates a project beside the personal one; `false` if the user does not exist.
    async fn create_project(&self, user: UserId, project: ProjectId, name: &str, now: Timestamp) -> Result<bool>;

    /// Lists ids and names of the user's projects, the personal one first.
    async fn projects(&self, user: UserId) -> Result<Vec<(ProjectId, String)>>;

    /// Creates an API key; `false` if its prefix is taken (draw another one) or its user or project does not exist.
    /// `false` also if `owner_valid_after` is given and the owner's [`User::sessions_valid_after`] differs: what
    /// allowed the caller to create the key may have ended since.
    async fn create_api_key(&self, key: &ApiKey, owner_valid_after: Option<Timestamp>) -> Result<bool>;

    /// Finds the API keys that have one of these prefixes, each once and with its owner's row, in any order.
    async fn api_keys_by_prefix(&self, prefixes: &[&str]) -> Result<Vec<(ApiKey, User)>>;

    /// Finds the API key with that prefix, and its owner's row.
    async fn api_key(&self, prefix: &str) -> Result<Option<(ApiKey, User)>> {
        Ok(self.api_keys_by_prefix(&[prefix]).await?.pop())
    }

    /// Lists the API keys of a project, newest first: at most `limit` after skipping the first `skip`; and counts all.
    async fn api_keys(&self, project: ProjectId, skip: u32, limit: u32) -> Result<(Vec<ApiKey>, u64)>;

    /// Lists the API keys of all users, each with its owner's row, in an order, after a position in it: at most
    /// `limit`. In [`ApiKeyOrder::LastUsed`] only the newest [`SEARCH_SCAN`] keys: the time of last use changes often
    /// and is in no index.
    async fn all_api_keys(
        &self,
        order: ApiKeyOrder,
        after: Option<(Timestamp, ApiKeyId)>,
        limit: u32,
    ) -> Result<Vec<(ApiKey, User)>>;

    /// Finds an API key by its id, and its owner's row.
    async fn api_key_by_id(&self, key: ApiKeyId) -> Result<Option<(ApiKey, User)>>;

    /// Lists the API keys of a user in all of its projects, newest first: at most `limit`.
    async fn api_keys_of_user(&self, user: UserId, limit: u32) -> Result<Vec<ApiKey>>;

    /// Counts the API keys of a user, in all of its projects, that are not deactivated. Those that have expired count.
    async fn count_api_keys_of_user(&self, user: UserId) -> Result<u64>;

    /// Deactivates a project's API key; repeating it writes nothing. Returns the row; `None` if the project has no such
    /// key.
    async fn deactivate_api_key(&self, project: ProjectId, key: ApiKeyId, now: Timestamp) -> Result<Option<ApiKey>>;

    /// Deletes the API keys of a user that were deactivated before `before`, except the newest `keep` of them: at most
    /// 100 in one call. Returns how many.
    async fn forget_api_keys(&self, user: UserId, before: Timestamp, keep: u32) -> Result<u64>;

    /// Lists the API keys that were deactivated, and when, except those deleted with their user. Sorted and paged as
    /// [`Accounts::revocations_since`].
    async fn deactivated_since(
        &self,
        since: Timestamp,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKeyId, Timestamp)>>;

    /// Records when keys were last used, in one statement. A time earlier than the recorded one changes nothing.
    async fn touch_api_keys(&self, used: &[(ApiKeyId, Timestamp)]) -> Result<()>;

    /// Checks that the store works and that its schema has every migration that this program needs.
    async fn check(&self) -> Result<()>;
}
