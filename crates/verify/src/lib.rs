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
//! - [`position`], [`freshness`]: where a follower is in the feed, and for how long it may have missed revocations.
//! - [`cache`]: verified tokens, so that verifying a token again costs no signature.
//! - [`header`]: JOSE headers, read strictly.
//! - [`json`]: JSON, read strictly.
//! - [`ed25519`] (the crate `signet-ed25519`), [`es256`]: the signature algorithms.
//! - [`id_hash`], [`time`], [`error`]: hashes of ids, points in time, and why a token is refused.
//!
//! All of these compute: none waits or calls another machine. The server's own `/verify` uses them.
//!
//! # Features
//! - `follow`: `follow::Verifier`, which finds the keys of an issuer and follows its feed over HTTPS. Most services
//!   want this.
//! - `tower`: a layer, and extractors for axum 0.8.
//! - `metrics`: counters and gauges by the facade `metrics`.

#![forbid(unsafe_code)]

mod base64_url;
pub mod cache;
pub mod claims;
pub mod error;
pub mod es256;
pub mod feed;
#[cfg(feature = "follow")]
pub mod follow;
pub mod freshness;
pub mod header;
pub mod id_hash;
pub mod json;
pub mod jwks;
pub mod keys;
pub mod position;
pub mod revocations;
pub mod scopes;
pub mod time;
pub mod token;
#[cfg(feature = "tower")]
pub mod tower;
pub mod verified;

pub use signet_ed25519 as ed25519;

pub use error::TokenError;
pub use jwks::KeySet;
pub use keys::PublicKey;
pub use scopes::ScopeSet;
pub use time::UnixTime;
pub use token::UnverifiedToken;
pub use verified::{Expectations, Subject, VerifiedToken};
