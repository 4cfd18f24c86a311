//! Operations on credentials that a client presents: verifying, introspecting, exchanging and revoking them. The
//! formats are in [`crate::token`].

pub mod caller;
pub mod client_credentials;
pub mod exchange;
pub mod inspect;
pub mod introspect;
pub mod revoke;
pub mod verify;
