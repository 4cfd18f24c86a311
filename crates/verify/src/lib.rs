//! Verifies Signet's access tokens: from the keys alone, and against the revocation feed.
//!
//! # The map
//! - [`token`]: a token in its parts, and its verification: form, key, signature.
//! - [`claims`]: the claims of a verified token, with typed access, and the check of its validity period.
//! - [`scopes`]: the scopes that a token has, and those that a request demands.
//! - [`verified`]: a verified token, and what is expected of it.
//! - [`keys`], [`jwks`]: public keys, and sets of them from a JWKS document.
//! - [`feed`]: frames of the revocation feed, decoded and encoded.
//! - [`revocations`]: the revocations in force, and the ids by which a token is revoked.
//! - [`freshness`]: for how long revocations may have been missed.
//! - [`header`]: JOSE headers, read strictly.
//! - [`ed25519`], [`es256`]: the signature algorithms.
//! - [`id_hash`], [`time`], [`error`]: hashes of ids, points in time, and why a token is refused.
//!
//! All of this is computation: nothing here reads a clock, waits or calls another machine. The server's own `/verify`
//! runs on it.

#![forbid(unsafe_code)]

pub mod claims;
pub mod ed25519;
pub mod error;
pub mod es256;
pub mod feed;
pub mod freshness;
pub mod header;
pub mod id_hash;
pub mod jwks;
pub mod keys;
pub mod revocations;
pub mod scopes;
pub mod time;
pub mod token;
pub mod verified;

pub use claims::Claims;
pub use error::TokenError;
pub use jwks::KeySet;
pub use keys::PublicKey;
pub use scopes::ScopeSet;
pub use time::UnixTime;
pub use token::UnverifiedToken;
pub use verified::{Expectations, VerifiedToken};
