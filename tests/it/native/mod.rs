//! The `native` dialect as its clients meet it: every call over the embedded default, and again over Redis and Postgres.

mod clients;
mod introspection;
mod published;
mod refresh;
mod sessions;
mod verify;
