//! The fuzz targets: one plain function per parser, which panics if a property is violated.
//!
//! They are run by libFuzzer (`fuzz/run`), guided by coverage, and by a short run of seeded mutations in the tests
//! (`tests/it/attacks/parsers_mutated.rs`). The tests include these files, so all dependencies must be available there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic reports a violated property")]
#![allow(unreachable_pub, reason = "the tests include this file as a module")]

pub mod argon2;
pub mod config;
pub mod cost;
pub mod cpu_time;
pub mod email;
pub mod form;
pub mod json;
pub mod multipart;
pub mod refresh;
pub mod router;
pub mod token;
mod wire;
