//! One process: builds a node from the settings and runs it.
//!
//! `build` makes the context that operations are given, on the stores of `stores`; `serve` runs the server, with
//! `maintenance` beside the workers and `management` for operators; `check` tests a configuration without changing
//! anything. Must not know how the command line prints results.

pub mod backup;
mod banner;
pub mod build;
pub mod check;
pub mod error;
pub mod events;
mod failure_log;
pub mod maintenance;
mod management;
mod observer;
mod program_memory;
mod secret_file;
pub mod serve;
mod start_retry;
pub mod stores;
mod webhook;
