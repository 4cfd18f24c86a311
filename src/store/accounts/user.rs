//! A user's row and the changes to it. The columns that the stores read are listed here once, for both of them.

use crate::clock::Timestamp;
use crate::id::{ProjectId, UserId};

/// A user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// A small integer, unique and never reused, in the order in which users were created.
    pub number: i64,
    /// The e-mail address: canonical and unique.
    pub email: String,
    /// The username as its owner writes it.
    pub username: Option<String>,
    /// The full name as its owner writes it.
    pub full_name: Option<String>,
    /// A PHC string or an imported hash; absent if the user signs in without a password.
    pub password_hash: Option<PasswordHash>,
    /// True if the address is verified.
    pub verified: bool,
    /// True if sign-in is disabled.
    pub disabled: bool,
    /// True if the user has every permission.
    pub superuser: bool,
    /// The user's roles.
    pub roles: Vec<String>,
    /// Claims that an administrator gave the user: a JSON object. Opaque to the store.
    pub custom_claims: Option<String>,
    /// The sealed TOTP secret, if the second factor is on.
    pub totp: Option<SealedTotp>,
    /// Balance and usage.
    pub billing: Billing,
    /// Sign-ins that read an earlier value cannot open a session. Each change that ends all sessions raises it by at
    /// least a millisecond; it never decreases.
    pub sessions_valid_after: Timestamp,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the row was last changed.
    pub updated_at: Timestamp,
}

/// Calls `$macro` with the columns of `users` that make a [`User`], each named as its field. Statements name the
/// columns instead of using `*`, because a prepared `SELECT *` fails after a migration of a rolling upgrade adds a
/// column.
macro_rules! user_columns {
    ($macro:ident!($($args:tt)*)) => {
        $macro! { [$($args)*] User
            {
                id, number, email, username, full_name, password_hash, verified, disabled, superuser, roles, custom_claims,
                totp, sessions_valid_after, created_at, updated_at,
            }
            billing: Billing { token_balance, tokens_used, subscription_tier, }
        }
    };
}

/// The select list of [`user_columns`], as a literal: `users.id AS "users.id", …` for the table `"users"`. The names
/// contain the table, so that rows of a join can be read by name too.
macro_rules! user_select_list {
    (
        [$table:literal]
        $row:ident { $first:ident, $($column:ident,)* }
        $group:ident: $group_type:ident { $($inner:ident,)* }
    ) => {
        select_list!($table, $first $($column)* $($inner)*)
    };
    ($table:literal) => { user_columns!(user_select_list!($table)) };
}

/// The select list of some columns of a table, as a literal.
macro_rules! select_list {
    ($table:literal, $first:ident $($column:ident)*) => {
        concat!(
            $table, ".", stringify!($first), " AS \"", $table, ".", stringify!($first), "\"",
            $(", ", $table, ".", stringify!($column), " AS \"", $table, ".", stringify!($column), "\"",)*
        )
    };
}

/// Builds a [`User`] from a row: `$read(row, "users.email")` gives each column, for the table `"users"`.
macro_rules! read_user {
    (
        [$read:ident $row:ident $table:literal]
        $type:ident { $($column:ident,)* }
        $group:ident: $group_type:ident { $($inner:ident,)* }
    ) => {
        $type {
            $($column: $read($row, concat!($table, ".", stringify!($column)))?,)*
            $group: $group_type { $($inner: $read($row, concat!($table, ".", stringify!($inner)))?,)* },
        }
    };
    ($read:ident, $row:ident, $table:literal) => { user_columns!(read_user!($read $row $table)) };
}

pub(super) use {read_user, select_list, user_columns, user_select_list};

/// A stored password hash, hidden in Debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A sealed TOTP secret, hidden in Debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedTotp(pub Vec<u8>);

impl std::fmt::Debug for SealedTotp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedTotp(…)")
    }
}

/// A user's balance and usage; neither is ever negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Billing {
    /// The tokens left.
    pub token_balance: i64,
    /// The tokens used.
    pub tokens_used: i64,
    /// The subscription tier.
    pub subscription_tier: Option<String>,
}

/// A user to be created.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The id.
    pub id: UserId,
    /// The canonical e-mail address.
    pub email: String,
    /// The username as its owner writes it.
    pub username: Option<String>,
    /// The unique form of the username.
    pub username_key: Option<String>,
    /// The full name as its owner writes it.
    pub full_name: Option<String>,
    /// See [`User::password_hash`].
    pub password_hash: Option<PasswordHash>,
    /// True if the address is verified.
    pub verified: bool,
    /// True if sign-in is disabled.
    pub disabled: bool,
    /// True if the user has every permission.
    pub superuser: bool,
    /// The user's roles.
    pub roles: Vec<String>,
    /// See [`User::custom_claims`].
    pub custom_claims: Option<String>,
    /// See [`User::totp`]. No time step is used up yet, and there are no recovery codes.
    pub totp: Option<SealedTotp>,
    /// Balance and usage, which an import keeps.
    pub billing: Billing,
    /// The id of the user's personal project, created in the same step.
    pub project: ProjectId,
    /// The creation time; an import keeps the original one.
    pub created_at: Timestamp,
}

impl NewUser {
    /// A user with only the columns that have no default: not verified, not disabled, without any permission.
    pub fn new(id: UserId, email: String, project: ProjectId, created_at: Timestamp) -> Self {
        Self {
            id,
            email,
            username: None,
            username_key: None,
            full_name: None,
            password_hash: None,
            verified: false,
            disabled: false,
            superuser: false,
            roles: Vec::new(),
            custom_claims: None,
            totp: None,
            billing: Billing::default(),
            project,
            created_at,
        }
    }
}

/// A username to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUsername {
    /// The username as its owner writes it.
    pub username: String,
    /// The unique form of it.
    pub key: String,
}

/// The changes to make to a user; `None` leaves a column as it is.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The username; `Some(None)` removes it.
    pub username: Option<Option<NewUsername>>,
    /// The full name; `Some(None)` removes it.
    pub full_name: Option<Option<String>>,
    /// The canonical address. A different address becomes unverified, unless `verified` is given too.
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
    /// See [`User::custom_claims`]; `Some(None)` removes them.
    pub custom_claims: Option<Option<String>>,
    /// Changes nothing if the user's [`User::sessions_valid_after`] differs: the session that asks for the change may
    /// have ended since the row was read.
    pub only_if_valid_after: Option<Timestamp>,
    /// Changes nothing if the user has another address: what is to change may be right for this one only.
    pub only_if_email: Option<String>,
    /// Ends all sign-ins whatever else changes, because a permission that tokens state is lost.
    pub ends_sign_ins: bool,
    /// Deactivates the user's API keys that have one of these scopes.
    pub ends_api_keys_with: &'static [&'static str],
}

impl Changes {
    /// The username and the unique form of it, each as the change of a column.
    pub(super) fn username_columns(&self) -> (Option<Option<&String>>, Option<Option<&String>>) {
        let new = self.username.as_ref().map(Option::as_ref);
        (new.map(|new| new.map(|new| &new.username)), new.map(|new| new.map(|new| &new.key)))
    }

    /// Returns true if these changes end all earlier sign-ins.
    pub fn end_sign_ins(&self) -> bool {
        self.password_hash.is_some() || self.disabled == Some(true) || self.ends_sign_ins
    }

    /// Returns true if the user may not have any more, after these changes, what tokens state: the address, that it is
    /// verified, the username, or a custom claim. A role or the rights of a superuser end the sign-ins.
    pub fn take_claims(&self) -> bool {
        self.email.is_some() || self.verified == Some(false) || self.username.is_some() || self.custom_claims.is_some()
    }
}
