//! The tests that look at Signet from outside: one program, so that it is linked once; a file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "all of it is tests")]

mod attacks;
mod auth;
mod codes;
mod commands;
mod confirm_code;
#[path = "../conformance/mod.rs"]
mod conformance;
mod corpora;
mod cross_dialect;
mod docs;
mod enumeration;
mod faults;
mod fleet;
mod half_done;
mod limits;
mod links;
mod loadtest;
mod lost_sessions;
mod mail;
mod myauth;
mod native;
mod openapi;
mod operations;
mod pages;
mod postgres;
mod proxy;
mod redis;
mod schemathesis;
mod second_factor;
mod server;
mod sqlite;
mod storm;
mod support;
mod tree;
mod ucontact;
mod unturned;
mod v1;
mod verifiers;
