//! Integration tests, one file per subject. They form a single binary, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "this crate contains tests only")]

mod attacks;
mod audit;
mod backup;
mod browser;
mod cancellation;
mod clients;
mod codes;
mod commands;
#[path = "../conformance/mod.rs"]
mod conformance;
mod console;
mod corpora;
mod cost;
mod cross_dialect;
mod docs;
mod ended_sign_ins;
mod enumeration;
mod faults;
mod fleet;
mod followers;
mod home;
mod limits;
mod links;
mod loadtest;
mod lost_sessions;
mod mail;
mod monitoring;
mod myauth;
mod native;
mod openapi;
mod operations;
mod packages;
mod pages;
mod postgres;
mod proxies;
mod reauthentication;
mod redis;
mod reserved_scopes;
mod revocation_feed;
mod schemathesis;
mod second_factor;
mod server;
mod sign_in_flood;
mod sqlite;
mod stale_node;
mod support;
mod tree;
mod ucontact;
mod unturned;
mod upgrades;
mod v1;
mod verifiers;
mod verify_email_code;
