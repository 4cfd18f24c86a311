//! Signet, a token server. It signs people in and issues EdDSA-signed JWTs, which any service verifies from a JWKS. It
//! keeps short-lived state in Redis and durable state in Postgres, or both in one embedded SQLite file.
//!
//! # The map
//! - [`cli`]: the command line, one file per noun, which calls operations directly.
//! - [`config`]: settings as written (file, environment, flags), and settings as checked. The only reader of the
//!   environment.
//! - [`node`]: one process. [`node::build`] builds it from the settings, [`node::serve`] runs the server, and
//!   [`node::check`] tests a configuration. Maintenance and the management endpoint are here too.
//! - [`server`]: listeners, one worker thread per core, TLS, timeouts, drain.
//! - [`http`]: HTTP without any knowledge of auth: router, request, response.
//! - [`api`]: one folder per dialect: wire types, routes with their documentation, and the response to each error.
//! - [`auth`]: **the operations**, in folders by subject: [`auth::sign_in`], [`auth::sessions`], [`auth::tokens`],
//!   [`auth::revocation`], [`auth::accounts`], [`auth::passwords`], [`auth::mfa`], [`auth::api_keys`],
//!   [`auth::signing_keys`], [`auth::audit`]. Each operation is given an [`auth::context::Context`].
//! - [`token`]: formats: access, refresh and action tokens, the keyring, the JWKS.
//! - [`store`]: storage behind two traits, [`store::Accounts`] (Postgres or SQLite) for durable state and
//!   [`store::Ephemeral`] (Redis or SQLite) for short-lived state.
//! - [`mail`]: messages, the queue, and the transports: a mail server, or files in an outbox.
//! - [`telemetry`]: metrics, health, logs, traces.
//! - [`encoding`]: base64, base32 and other encodings, each once.
//! - [`device`]: the name of a client's device, for people.
//! - [`files`]: private files and folders, which belong to the owner of the folder that they are in.
//! - [`id`], [`clock`], [`rng`]: ids, time and randomness, passed in so that tests control them.
//! - [`priority`]: the priority and the time slices of threads.
//!
//! Verifying an access token is in a crate of its own, `signet-verify` (`crates/verify`), which other services use too.
//! It verifies Ed25519 signatures with `signet-ed25519` (`crates/ed25519`).
//! The load generator of `signet bench` and of the benches is `signet-load` (`crates/load`).
//!
//! Imports run one way: `main -> cli -> node -> {server, api} -> auth -> {token, store, mail}`. `http` knows no auth,
//! and `auth` names no HTTP library and no database driver. A test of the source tree checks this.
//!
//! # One request, from top to bottom
//! A client refreshes its tokens with `POST /oauth/token`.
//! 1. A worker of [`server`] accepts the connection and reads the request's head.
//! 2. The [`http::Router`] finds the handler. Routes are declared next to their handlers in [`api`].
//! 3. The handler in `api::native::oauth` reads the form and calls [`auth::sessions::refresh`].
//! 4. The operation checks the refresh token's MAC ([`token::refresh`]). It then rotates the session in one call,
//!    [`store::Ephemeral::rotate_refresh_token`], which is one Redis script or one SQLite transaction. This call also
//!    detects reuse: an older token ends the session and publishes a revocation.
//! 5. The operation signs a new access token ([`token::access`]) with the current key of [`auth::signing_keys`].
//! 6. The handler renders the token pair. If the operation failed, the dialect's function from [`auth::Error`] to a
//!    response renders the error instead.
//!
//! Every other node learns of a revocation by following the stream ([`auth::revocation::stream`]), so that verifying a
//! token ([`auth::tokens::verify`]) is a lookup in memory.
//!
//! # Changing it
//! `docs/project/contributing.md` says where things are, and where to add a call, a dialect, an error, a setting, a
//! limit, a metric, a letter, a claim, a column, or a migration.

pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod device;
pub mod encoding;
pub mod files;
pub mod http;
pub mod id;
pub mod mail;
pub mod node;
pub mod priority;
pub mod rng;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod token;
