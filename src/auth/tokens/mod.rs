//! Operations on credentials that a client presents: verifying, introspecting, exchanging and revoking them. The
//! formats are in [`crate::token`].

pub mod caller;
pub mod client_credentials;
pub mod exchange;
pub mod inspect;
pub mod introspect;
pub mod revoke;
pub mod verify;

use std::time::Duration;

/// An access token for an API key, or for another access token. Has no Debug form, because it is a secret.
pub struct IssuedAccessToken {
    /// The access token.
    pub access: String,
    /// Its lifetime.
    pub expires_in: Duration,
    /// Its scopes, separated by spaces; empty if it has no `scope`.
    pub scope: String,
}
