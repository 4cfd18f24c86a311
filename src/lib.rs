//! Signet, a token server: it signs people in, hands out EdDSA-signed JWTs that anyone verifies from a JWKS, keeps what
//! expires in Redis and what lasts in Postgres (or both in one embedded file).

pub mod api;
pub mod app;
pub mod auth;
pub mod chance;
pub mod config;
pub mod id;
pub mod server;
pub mod ops;
pub mod store;
pub mod time;
pub mod token;
pub mod web;
