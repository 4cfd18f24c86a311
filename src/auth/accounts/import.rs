//! Imports users from another system, with the password hashes that they have there.
//!
//! Each row is checked like a sign-up, except for the password, which is not known: its hash must be of a supported
//! format, and is upgraded at the first sign-in. An invalid row does not affect the others. Repeating an import adds
//! only the missing users.

use crate::auth::context::Context;
use crate::auth::identity::{Email, EmailError, Username, UsernameError};
use crate::auth::passwords;
use crate::auth::passwords::InvalidHash;
use crate::clock::Timestamp;
use crate::id::{ProjectId, UserId};
use crate::store::accounts::{NewUser, PasswordHash};

/// A user of another system.
#[derive(Clone, Debug, Default)]
pub struct ImportUser {
    /// The id to keep, if the other system's ids are UUIDs.
    pub id: Option<UserId>,
    /// The address, in any spelling.
    pub email: String,
    /// The username, in any spelling.
    pub username: Option<String>,
    /// The full name, as its owner writes it.
    pub full_name: Option<String>,
    /// The hash, in any format that [`passwords::import`] reads.
    pub password_hash: Option<PasswordHash>,
    /// Whether the address was verified there.
    pub verified: bool,
    /// Whether sign-in is disabled.
    pub disabled: bool,
    /// Whether the user has every permission.
    pub superuser: bool,
    /// The roles.
    pub roles: Vec<String>,
    /// When the user was created in the other system.
    pub created_at: Option<Timestamp>,
}

/// Why a row cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The address is invalid.
    #[error("not an e-mail address: {0}")]
    Email(#[from] EmailError),
    /// The username is invalid.
    #[error("not a username: {0}")]
    Username(#[from] UsernameError),
    /// The format of the hash is not supported.
    #[error("the password hash cannot be used: {0}")]
    Hash(#[from] InvalidHash),
}

/// Checks a row and converts it to the form that the store imports in batches.
pub fn validate_import(ctx: &Context, row: ImportUser) -> Result<NewUser, ImportError> {
    let email = Email::parse(&row.email)?;
    let username = row.username.as_deref().map(Username::parse).transpose()?;
    let password_hash = row.password_hash.map(|hash| passwords::import(&hash.0)).transpose()?;
    let now = ctx.now();
    Ok(NewUser {
        id: row.id.unwrap_or_else(|| UserId::new(now, &ctx.node.rng)),
        email: email.as_str().to_owned(),
        username_key: username.as_ref().map(|name| name.key().to_owned()),
        username: username.map(|name| name.as_str().to_owned()),
        full_name: row.full_name,
        password_hash,
        verified: row.verified,
        disabled: row.disabled,
        superuser: row.superuser,
        roles: row.roles,
        project: ProjectId::new(now, &ctx.node.rng),
        created_at: row.created_at.unwrap_or(now),
    })
}
