//! Verifies Signet's access tokens: from the keys alone, and against the revocation feed.
//!
//! # The map
//! - [`token`]: a token in its parts, and its verification: form, key, signature.
//! - [`claims`]: the claims of a verified token, with typed access, and the check of its validity period.
//! - [`scopes`]: the scopes that a token has, and those that a request demands.
//! - [`keys`]: public keys and sets of them.
//! - [`header`]: JOSE headers, read strictly.
//! - [`ed25519`], [`es256`]: the signature algorithms.
//! - [`time`]: points in time.
//!
//! All of this is computation: nothing here reads a clock, waits or calls another machine. The server's own `/verify`
//! runs on it.

#![forbid(unsafe_code)]

pub mod claims;
pub mod ed25519;
pub mod es256;
pub mod header;
pub mod keys;
pub mod scopes;
pub mod time;
pub mod token;

pub use claims::Claims;
pub use keys::PublicKey;
pub use scopes::ScopeSet;
pub use time::UnixTime;
pub use token::{TokenError, UnverifiedToken};
