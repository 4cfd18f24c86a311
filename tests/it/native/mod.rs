//! The `native` dialect as its clients meet it: every call over the embedded default, and again over Redis and Postgres.

mod admin;
mod billing;
mod clients;
mod forged;
mod introspection;
mod limits;
mod links;
mod passwords;
mod profiles;
mod projects;
mod published;
mod refresh;
mod sessions;
mod sign_out;
mod totp;
mod verify;
mod wording;
