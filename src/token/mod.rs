//! What is signed, sealed or MACed: keys, access tokens, refresh tokens, one-purpose tokens, the JWKS.
//!
//! Reading order: [`secret`] (what everything sealed hangs from), [`signature`] (checking one), [`keyring`] (the keys and
//! their lives), [`access`] (the hot path: minting and checking a JWT), [`refresh`] (a token that proves itself), [`purpose`] (the
//! rare ones), [`jwks`].
//! All of it is computation: no store, no clock but the `now` that is handed in, nothing that awaits.

pub mod access;
pub mod action;
pub mod jwks;
pub mod keyring;
pub mod refresh;
pub mod secret;
pub mod signature;
