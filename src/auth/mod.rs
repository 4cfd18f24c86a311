//! The operations of the token server, in folders by subject. Knows nothing of HTTP, and not which stores are in use.
//!
//! | folder | what it holds |
//! |---|---|
//! | [`sign_in`] | every way to sign in: password, mailed code, magic link; the checks before a session is opened |
//! | [`sessions`] | refreshing, listing and ending sessions; their tokens and claims |
//! | [`tokens`] | verifying credentials, introspection, client credentials, revoking one token, action tokens |
//! | [`revocation`] | revocations in memory, the stream that carries them between nodes, durable revocations, retention |
//! | [`accounts`] | creating, changing and deleting users; verifying addresses; projects, billing, permissions |
//! | [`identity`] | e-mail addresses and usernames in canonical form |
//! | [`passwords`] | policy, hashing, password resets, re-authentication |
//! | [`mfa`] | the second factor: enrollment, TOTP, recovery codes |
//! | [`api_keys`] | creating, recognising and deactivating API keys |
//! | [`signing_keys`] | maintenance of the keyring |
//!
//! [`Context`] is the state that every operation is given, [`request_context`] what a request says about its client. [`error`]
//! lists every way in which an operation fails. [`one_time`] stores mailed codes and device secrets, [`rate_limit`] applies the
//! limits of [`crate::config::LimitedAction`].
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
