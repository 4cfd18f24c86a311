//! What is tried with bytes of anybody's making: one plain function a parser, which panics when a promise is broken.
//!
//! Two drive them: libFuzzer (`fuzz/run`), which sees which bytes lead to new code, and a short run of seeded mutations in the
//! tests (`tests/it/attacks/parsers_mutated.rs`), which includes these files and so must find all they name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a broken promise is told")]
#![allow(unreachable_pub, reason = "the tests make it a module of theirs")]

pub mod config;
pub mod email;
pub mod form;
pub mod json;
pub mod multipart;
pub mod refresh;
pub mod router;
pub mod token;
mod wire;
