//! The operations of the token server, in folders by subject. Knows nothing of HTTP, nor of which stores are in use.
//!
//! | folder | contents |
//! |---|---|
//! | [`sign_in`] | every way to sign in: password, mailed code, magic link; opening a session |
//! | [`sessions`] | issuing tokens, refreshing, listing and ending sessions |
//! | [`tokens`] | verifying credentials, the caller of a request, introspection, client credentials, revoking a token |
//! | [`revocation`] | revocations in memory, the stream between nodes, the published feed, durable revocations |
//! | [`accounts`] | creating, changing and deleting users; projects, billing, permissions |
//! | [`passwords`] | policy, hashing, password resets, re-authentication |
//! | [`mfa`] | the second factor: enrollment, TOTP, recovery codes |
//! | [`api_keys`] | creating, listing and deactivating API keys |
//! | [`signing_keys`] | maintenance of the keyring |
//! | [`audit`] | recording and listing security events |
//!
//! [`Context`] is the state that every operation is given, and [`request_context`] describes the client of a request.
//! [`error`] lists every way in which an operation fails. [`retention`] computes with clock skew: how long revocations
//! and keys are kept. [`overview`] and [`mail_admin`] show administrators the state of nodes and mail. The other files
//! are shared steps of the operations: [`identity`], [`idempotency`], [`one_time`], [`rate_limit`],
//! [`reserved_scopes`], [`action_token`], `email_proof`, `invisible`, `mailing`, `run_to_completion`, `timing`.
//!
//! The hot paths are [`tokens::verify`] and [`sessions::refresh`]. Imports between the folders form no circle, and no
//! file that [`context`] imports imports it back.

pub mod accounts;
pub mod action_token;
pub mod api_keys;
pub mod audit;
pub mod context;
mod email_proof;
pub mod error;
pub mod idempotency;
pub mod identity;
mod invisible;
pub mod mail_admin;
mod mailing;
pub mod mfa;
pub mod one_time;
pub mod overview;
pub mod passwords;
pub mod rate_limit;
pub mod request_context;
pub mod reserved_scopes;
pub mod retention;
pub mod revocation;
mod run_to_completion;
pub mod sessions;
pub mod sign_in;
pub mod signing_keys;
mod timing;
pub mod tokens;

pub use crate::store::accounts::{Billing, User};
pub use context::Context;
pub use error::Error;
