//! The suites that every implementation of a store passes. They know the roles alone, and begin from an empty store.
//!
//! A suite is a list of cases and one macro that makes a test of each: an implementation names its fixture and gets all
//! of them, so a case that is added is a case that all must pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a suite is a test; only tests turn the feature on")]

pub mod accounts;
