//! Imports users from another system, with the password hashes that they have there.
//!
//! Each row is checked like a sign-up, except for the password, which is not known: its hash must be of a supported
//! format, and is upgraded at the first sign-in. A second factor and the billing fields are created in the same step as
//! their user, so that an interrupted import leaves nobody without them. An invalid row does not affect the others.
//! Repeating an import adds only the missing users.

use zeroize::Zeroizing;

use super::create::CreateUser;
use crate::auth::context::Context;
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::mfa::{InvalidSecret, seal_imported_secret};
use crate::auth::passwords;
use crate::auth::passwords::InvalidHash;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::accounts::{Billing, NewUser, PasswordHash};

/// A user of another system.
#[derive(Clone, Debug, Default)]
pub struct ImportUser {
    /// The user, without a password.
    pub user: CreateUser,
    /// The id, kept if the other system's ids are UUIDs.
    pub id: Option<UserId>,
    /// The hash, in any format that [`passwords::import_hash`] parses.
    pub password_hash: Option<PasswordHash>,
    /// The secret of an authenticator app. Its user has no recovery codes until they create some.
    pub totp_secret: Option<Zeroizing<Vec<u8>>>,
    /// Balance and usage; neither is negative.
    pub billing: Billing,
    /// When the other system created the user.
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
    /// The secret of the second factor cannot be used.
    #[error("the second factor cannot be used: {0}")]
    SecondFactor(#[from] InvalidSecret),
    /// The full name, a role or the subscription tier contains NUL, which no store takes.
    #[error("{0} contains NUL")]
    Nul(&'static str),
}

/// Checks a user and converts it to the row to store.
pub fn validate_import(ctx: &Context, imported: ImportUser) -> Result<NewUser, ImportError> {
    let row = imported.user.into_row::<ImportError>(ctx)?;
    if row.full_name.as_ref().is_some_and(|name| name.contains('\0')) {
        return Err(ImportError::Nul("the full name"));
    }
    if row.roles.iter().any(|role| role.contains('\0')) {
        return Err(ImportError::Nul("a role"));
    }
    let billing = imported.billing;
    if billing.subscription_tier.as_ref().is_some_and(|tier| tier.contains('\0')) {
        return Err(ImportError::Nul("the subscription tier"));
    }
    let id = imported.id.unwrap_or(row.id);
    let password_hash = imported.password_hash.map(|hash| passwords::import_hash(&hash.0)).transpose()?;
    let totp = imported.totp_secret.map(|secret| seal_imported_secret(ctx, id, &secret)).transpose()?;
    Ok(NewUser { id, password_hash, totp, billing, created_at: imported.created_at.unwrap_or(row.created_at), ..row })
}
