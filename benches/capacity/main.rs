//! What a node holds: a storm of sign-ins, idle connections, remembered tokens, sessions; and whether it grows.
//!
//!     cargo bench --bench capacity -- [--quick] [--only sign_in,idle,cached,sessions,growth] [--server PATH] [--out DIR]
//!
//! Rates are told as a ratio to what the same cores do in the same run, taken in turn; memory in bytes for each thing, which does not
//! depend on what else the machine does. `--quick` holds fewer things; `--server` measures another build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of its own"
)]

#[path = "../support/mod.rs"]
mod support;

mod apart;
mod cost;
mod growth;
mod held;
mod idle;
mod report;
mod sign_in;
mod storm;

use std::path::PathBuf;

use report::Report;
use support::cores::Cores;

/// What the parts have in common.
pub(crate) struct Bench {
    pub(crate) server: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) quick: bool,
}

/// What measures one part.
type Part = fn(&Bench, &mut Report);

const PARTS: [(&str, Part); 6] = [
    ("sign_in", sign_in::run),
    ("idle", idle::run),
    ("cached", held::cached),
    ("sessions", held::sessions),
    ("growth", growth::run),
    ("cost", cost::run),
];

fn main() {
    let mut words = std::env::args().skip(1).peekable();
    match words.peek().map(String::as_str) {
        Some("load") => return support::load::serve(),
        Some("hash") => return apart::serve(storm::hash),
        Some("storm") => return apart::serve(storm::storm),
        _ => {}
    }
    let mut bench = Bench { server: PathBuf::from(env!("CARGO_BIN_EXE_signet")), cores: Cores::find(), quick: false };
    let mut out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("capacity");
    let mut only = PARTS.map(|(name, _)| name.to_owned()).to_vec();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--quick" => bench.quick = true,
            "--only" => only = value().split(',').map(str::to_owned).collect(),
            "--server" => bench.server = PathBuf::from(value()).canonicalize().expect("--server is a program"),
            "--out" => out = PathBuf::from(value()),
            // What cargo says to every bench.
            "--bench" => {}
            _ => panic!("no such option: {word}"),
        }
    }
    if let Some(unknown) = only.iter().find(|name| !PARTS.iter().any(|(part, _)| part == name)) {
        panic!("no such part: {unknown}");
    }
    let mut report = Report::new(&bench);
    for (_, part) in PARTS.iter().filter(|(name, _)| only.iter().any(|wanted| wanted == name)) {
        part(&bench, &mut report);
    }
    report.write(&out);
}
