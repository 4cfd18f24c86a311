//! Formats of everything that is signed, sealed or MACed: keys, access tokens, refresh tokens, action tokens, API keys,
//! the JWKS.
//!
//! Reading order: [`secret`] (the secrets that seal and MAC), [`keyring`] (the signing keys and their lifecycle),
//! [`access`] (the hot path: issuing and checking a JWT), [`refresh`] (a token that authenticates itself), [`action`]
//! (action tokens), [`api_key`], [`scopes`], [`custom_claims`], [`jwks`], [`revocation_frame`]. All of it is
//! computation: no store, no clock but the `now` that is passed in, nothing that awaits. The part that other services
//! need to verify access tokens is in the crate `signet-verify`.

pub mod access;
pub mod action;
pub mod api_key;
pub mod custom_claims;
pub mod jwks;
pub mod keyring;
pub mod refresh;
pub mod revocation_frame;
pub mod secret;

pub use signet_verify::ed25519::Implementation as Ed25519Implementation;
pub use signet_verify::{cache, scopes};
