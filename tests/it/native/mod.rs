//! The `native` dialect over HTTP: every call on the embedded store, and again on Redis and Postgres.

mod admin;
mod audiences;
mod billing;
mod client_id;
mod clients;
mod custom_claims;
mod forged;
mod introspection;
mod limits;
mod links;
mod passwords;
mod profiles;
mod projects;
mod published;
mod refresh;
mod request_bounds;
mod sessions;
mod sign_out;
mod token_exchange;
mod totp;
mod users;
mod verify;
mod verify_proxy;
mod wording;
