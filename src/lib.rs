//! Signet, a token server: it signs people in, hands out EdDSA-signed JWTs that anyone verifies from a JWKS, keeps what
//! expires in Redis and what lasts in Postgres, or both in one embedded file.
//!
//! # The house, in reading order
//! | room | what it is for |
//! |---|---|
//! | [`auth`] | **the operations, one verb a file**: [`auth::sign_in`], [`auth::refresh`] (where a refresh token is rotated), [`auth::verify`], [`auth::sign_out`] … |
//! | [`token`] | what is signed, sealed or MACed: keys, access and refresh tokens, the JWKS |
//! | [`store`] | the two roles as traits, [`store::Accounts`] and [`store::Ephemeral`], and who plays them: Postgres, Redis, SQLite |
//! | [`api`] | one folder a dialect: wire types and wording, nothing else |
//! | [`mail`] | what Signet writes to people, and how it gets to them: letters, queue, mail server or files |
//! | [`web`] | HTTP without any idea of auth: router, request, response |
//! | [`server`] | listeners, one worker a core, limits, time-outs, drain |
//! | [`ops`] | metrics, health, logs |
//! | [`config`] | settings as written, settings as checked; the only reader of the environment |
//! | [`app`], [`start`] | what is handed down to every operation, and how it is made from the settings |
//! | [`cli`], [`program`] | the command line, and what stands behind it: `serve` is in [`program`] |
//! | [`id`], [`time`], [`chance`] | names, moments and randomness, handed down so that tests can stand anywhere |
//!
//! # One request, from top to bottom
//! A refresh comes in at [`server`], is matched by [`web::router`], read by `api::native::oauth`, done by
//! [`auth::refresh::refresh`], which reads the token with [`token::refresh`], rotates the session with one call of
//! [`store::Ephemeral::present`] (one Redis script), and signs with [`token::access`].
//!
//! Imports run one way: `server → api → {web, auth}`, `auth → {token, store, mail}`; a test of the tree holds that.

pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod id;
pub mod mail;
pub mod node;
pub mod rng;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod token;
