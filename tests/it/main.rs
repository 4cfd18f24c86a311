//! The tests that look at Signet from outside: one program, so that it is linked once; a file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod accounts;
mod corpora;
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "all of it is tests")]

mod ephemeral;
mod postgres;
mod redis;
mod server;
mod sqlite;
mod support;
mod tree;
