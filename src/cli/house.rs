//! What the commands ask of the rest of the program. Every change that has consequences beyond one row (a password is
//! hashed, sessions end, other nodes hear of it) is asked for here and done by an operation.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::Columns;
use super::{CliError, Key, NewApiKey, NewSession, Record};
use crate::config::Config;
use crate::id::UserId;
use crate::store::accounts::{ApiKey, NewUser, PasswordHash, User};
use crate::store::{Accounts, Ephemeral};

/// The program as a whole, before any store is open.
#[async_trait]
pub trait Program: Sync {
    /// Serves until told to stop. Starts the log and the runtimes itself.
    fn serve(&self, config: Config) -> Result<(), CliError>;

    /// Brings both schemas up to date and says what was applied.
    async fn migrate(&self, config: &Config) -> Result<Vec<Applied>, CliError>;

    /// Opens the stores and all that operations need.
    async fn open(&self, config: &Config) -> Result<Box<dyn House>, CliError>;

    /// Opens the store of what lasts, alone.
    async fn accounts(&self, config: &Config) -> Result<Arc<dyn Accounts>, CliError>;

    /// Opens the store of what expires, alone.
    async fn ephemeral(&self, config: &Config) -> Result<Arc<dyn Ephemeral>, CliError>;

    /// Whether mails can be sent.
    async fn mail(&self, config: &Config) -> Result<(), CliError>;
}

/// A migration that was applied.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// To which store.
    pub store: &'static str,
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: String,
}

pub(super) const COLUMNS_OF_APPLIED: Columns<Applied> = &[
    ("store", |applied| applied.store.to_owned()),
    ("number", |applied| applied.number.to_string()),
    ("applied", |applied| applied.name.clone()),
];

/// A user to be made, as the operator wrote it.
pub struct NewAccount {
    /// Everything but the password.
    pub record: Record,
    /// The password; none: the user signs in without one.
    pub password: Option<Zeroizing<String>>,
}

/// The program with its stores open.
#[async_trait]
pub trait House: Send + Sync {
    /// The store of what lasts.
    fn accounts(&self) -> &dyn Accounts;

    /// The user that an e-mail address, a username or an id means, whatever its spelling.
    async fn find(&self, who: &str) -> Result<Option<User>, CliError>;

    /// Checks a record and brings it into the form that the store keeps; `Err` says what is wrong with it.
    fn prepare(&self, record: &Record) -> Result<NewUser, String>;

    /// Makes a user whose password, if any, is checked and hashed.
    async fn create_user(&self, account: NewAccount) -> Result<User, CliError>;

    /// Disables or enables a user; disabling ends the sessions everywhere. `None` if there is no such user any more.
    async fn set_disabled(&self, user: UserId, disabled: bool) -> Result<Option<User>, CliError>;

    /// Deletes a user, ending the sessions everywhere, and says whether there was one.
    async fn delete_user(&self, user: UserId) -> Result<bool, CliError>;

    /// A password that nobody could guess, and its hash.
    async fn draw_password(&self) -> Result<(Zeroizing<String>, PasswordHash), CliError>;

    /// Opens a session for a user who has not signed in and has no second factor.
    async fn open_session(&self, user: &User) -> Result<NewSession, CliError>;

    /// The signing keys, the one that signs first.
    async fn keys(&self) -> Result<Vec<Key>, CliError>;

    /// Announces the next signing key.
    async fn rotate_keys(&self) -> Result<Key, CliError>;

    /// Takes a signing key out everywhere; `None` if there is none of that id.
    async fn revoke_key(&self, kid: &str) -> Result<Option<Key>, CliError>;

    /// Announces a signing key from a PKCS#8 PEM.
    async fn import_key(&self, pem: &str) -> Result<Key, CliError>;

    /// A signing key's private half as PKCS#8 PEM; `None` if there is none of that id.
    async fn export_key(&self, kid: &str) -> Result<Option<Zeroizing<String>>, CliError>;

    /// Makes an API key and gives its row and the whole key, which is not kept.
    async fn create_api_key(&self, new: NewApiKey) -> Result<(ApiKey, Zeroizing<String>), CliError>;

    /// Ends an API key everywhere, and gives its row as it now is.
    async fn deactivate_api_key(&self, key: &ApiKey) -> Result<Option<ApiKey>, CliError>;
}
