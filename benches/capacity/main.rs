//! Measures the capacity of a node: a storm of sign-ins, idle connections, cached tokens, sessions, growth of memory,
//! the cost of single operations, the effect of a megabit a second of the most expensive requests on `/verify`, and the
//! slowest responses of a mixed load.
//!
//!     cargo bench --bench capacity -- [--quick] [--only PART,PART] [--minutes N] [--server PATH] [--out DIR]
//!
//! The parts are `sign_in`, `pressure`, `idle`, `cached`, `sessions`, `growth`, `cost`, `attack` and `tail`, which takes
//! an hour or as long as `--minutes` says and runs only when it is named.
//!
//! Rates are ratios to the hash alone on the same cores, measured in turn in the same run. Memory is in bytes for each
//! object, which other work on the machine does not affect. `--quick` uses smaller numbers; `--server` measures another
//! build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench"
)]

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod cost;
mod footprint;
mod growth;
mod idle;
mod options;
mod pressure;
mod report;
mod sign_in;
mod storm;
mod tail;
mod tail_clients;
mod traffic;
mod traffic_http2;

use std::path::PathBuf;

use options::Options;
use report::Report;
use support::cores::Cores;
use support::{job, load};

/// Measures one part and adds its figures to the report.
type Part = fn(&Options, &mut Report);

const PARTS: [(&str, Part); 9] = [
    ("sign_in", sign_in::run),
    ("pressure", pressure::run),
    ("idle", idle::run),
    ("cached", footprint::cached_tokens),
    ("sessions", footprint::sessions),
    ("growth", growth::run),
    ("cost", cost::run),
    ("attack", attack::run),
    (tail::PART, tail::run),
];

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    match args.peek().map(String::as_str) {
        Some(load::JOB) => return load::serve(),
        Some(storm::HASH_JOB) => return job::serve(storm::hash),
        Some(traffic::JOB) => return job::serve(traffic::run),
        Some(tail_clients::JOB) => return job::serve(tail_clients::run),
        Some(storm::STORM_JOB) => return job::serve(storm::storm),
        _ => {}
    }
    let server = PathBuf::from(env!("CARGO_BIN_EXE_signet"));
    let mut options = Options { server, cores: Cores::detect(), quick: false, minutes: None };
    let mut out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("capacity");
    let mut only = PARTS.map(|(name, _)| name.to_owned()).to_vec();
    only.retain(|name| name != tail::PART);
    while let Some(option) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{option} needs a value"));
        match option.as_str() {
            "--quick" => options.quick = true,
            "--only" => only = value().split(',').map(str::to_owned).collect(),
            "--server" => {
                options.server = PathBuf::from(value()).canonicalize().expect("--server is the path of a program")
            }
            "--minutes" => options.minutes = Some(value().parse().expect("--minutes is a number")),
            "--out" => out = PathBuf::from(value()),
            // `cargo bench` passes this to every bench.
            "--bench" => {}
            _ => panic!("unknown option: {option}"),
        }
    }
    if let Some(unknown) = only.iter().find(|name| !PARTS.iter().any(|(part, _)| part == name)) {
        panic!("unknown part: {unknown}");
    }
    let mut report = Report::new(&options);
    for (_, part) in PARTS.iter().filter(|(name, _)| only.iter().any(|selected| selected == name)) {
        part(&options, &mut report);
    }
    report.write(&out);
}
