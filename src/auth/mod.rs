//! The operations of the token server, in folders by subject. Knows nothing of HTTP, and not which stores are in use.
//!
//! | folder | what it holds |
//! |---|---|
//! | [`sign_in`] | every way to sign in: password, mailed code, magic link |
//! | [`sessions`] | opening, refreshing and ending sessions; listing them |
//! | [`tokens`] | verifying credentials, introspection, client credentials, revoking one token, action tokens |
//! | [`revocation`] | revocations in memory, the stream that carries them between nodes, durable revocations, retention |
//! | [`accounts`] | creating, changing and deleting users; addresses, usernames, projects, billing, permissions |
//! | [`passwords`] | policy, hashing, password resets, re-authentication |
//! | [`mfa`] | the second factor: enrolment, TOTP, recovery codes |
//! | [`api_keys`] | creating, recognising and deactivating API keys |
//! | [`signing_keys`] | maintenance of the keyring |
//!
//! [`Context`] is the state that every operation is given. [`error`] lists every way in which an operation fails.
//! The hot paths are [`tokens::verify`] and [`sessions::refresh`].

pub mod accounts;
mod action_token;
pub mod api_keys;
pub mod context;
pub mod error;
pub mod identity;
mod mailing;
pub mod mfa;
pub mod one_time;
pub mod passwords;
pub mod rate_limit;
pub mod request_context;
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
