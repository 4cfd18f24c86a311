//! The tests that look at Signet from outside: one program, so that it is linked once; a file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod accounts;
mod corpora;
mod ephemeral;
mod postgres;
mod redis;
mod server;
mod sqlite;
mod support;
mod tree;
