//! Taking in users of another system, with the password hashes they have there.
//!
//! Each row is checked as a sign-up would be, but for the password, which is not known: its hash must be one that can be checked,
//! and is replaced at the first sign-in. A row that will not do spoils no other. Importing again adds only who is missing.

use super::identity::{Email, EmailError, Username, UsernameError};
use crate::auth::context::Context;
use crate::auth::passwords;
use crate::auth::passwords::InvalidHash;
use crate::clock::Timestamp;
use crate::id::{ProjectId, UserId};
use crate::store::accounts::{NewUser, PasswordHash};

/// A user as another system has it.
#[derive(Clone, Debug, Default)]
pub struct ImportUser {
    /// Its id, to be kept where the other system's ids are UUIDs.
    pub id: Option<UserId>,
    /// In any spelling.
    pub email: String,
    /// In any spelling.
    pub username: Option<String>,
    /// As its owner writes it.
    pub full_name: Option<String>,
    /// In any of the spellings that [`password`] reads.
    pub password_hash: Option<PasswordHash>,
    /// Whether the address was confirmed there.
    pub verified: bool,
    /// Whether the user may not sign in.
    pub disabled: bool,
    /// Whether the user may do everything.
    pub superuser: bool,
    /// What else the user may do.
    pub roles: Vec<String>,
    /// When the user came to the other system.
    pub created_at: Option<Timestamp>,
}

/// Why a row will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Its address.
    #[error("not an e-mail address: {0}")]
    Email(#[from] EmailError),
    /// Its name.
    #[error("not a username: {0}")]
    Username(#[from] UsernameError),
    /// Its hash.
    #[error("the password hash cannot be used: {0}")]
    Hash(#[from] InvalidHash),
}

/// Brings a row into the form that the store keeps, which takes them in by the batch.
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
