//! The tests that look at Signet from outside. One program, so that it is linked once; a file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod corpora;
mod tree;
//! The integration tests: one binary, a module a room.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what surprises a test should fail it")]

mod server;
mod accounts;
mod postgres;
//! The tests that need the whole program, or a server beside it: one binary, so that it is linked once.

mod ephemeral;
mod redis;
mod support;
mod sqlite;
