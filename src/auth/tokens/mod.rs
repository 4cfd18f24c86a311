//! Operations on tokens that a client presents: verifying, introspecting, exchanging and revoking them. The formats are in
//! [`crate::token`].

pub(in crate::auth) mod action_token;
pub mod caller;
pub mod client_credentials;
pub mod introspect;
pub mod revoke;
pub mod verify;
