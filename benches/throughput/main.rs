//! What Signet costs beyond what it cannot do without: server and [`floor`] in turn, with the same client, in one run.
//!
//! `cargo bench --bench throughput` does it all: it starts the release server, Redis, the floor and the client, each apart, and
//! writes `target/throughput/report.json` and `report.html`. After `--`:
//!
//! - `--quick`: fewer and shorter slices; `--pairs N`, `--seconds S`: so many, so long;
//! - `--only NAME,NAME`: these paths alone (`--list` names them);
//! - `--server PATH`: another build of Signet. The floor should be built as that was: `cargo bench --profile …`;
//! - `--out FOLDER`: where the report goes.
//!
//! Figures are processor time a request of the server alone, all its threads, against the floor's, so that a busy machine makes
//! both larger. Rates and latencies are told too, and are worth what the machine is worth that they were taken on.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod duel;
mod durability;
mod floor;
mod memory;
mod page;
mod paths;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod tokens;

use std::path::{Path, PathBuf};

use duel::Pace;
use paths::{Ground, PATHS};
use report::{HEAD, Report};
use support::cores::Cores;
use support::machine::Machine;
use support::process::output;

/// The server's, for the floor to have the same.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Wanted {
    server: PathBuf,
    out: PathBuf,
    only: Option<Vec<String>>,
    pace: Pace,
    quick: bool,
}

fn main() {
    let mut words = std::env::args().skip(1).peekable();
    match words.peek().map(String::as_str) {
        Some("load") => return support::load::serve(),
        Some("floor") => return floor::serve(),
        _ => {}
    }
    let Some(wanted) = wanted(words) else { return };
    let cores = Cores::find();
    if cores.count() < 2 {
        println!("There is one core alone: server and client share it, and rates and latencies say little.");
    }
    let _alone = support::alone();
    let machine = Machine::look(&cores);
    let Wanted { server, out, only, pace, quick } = wanted;
    let ground = Ground { server, cores, pace, quick };
    println!("{HEAD}");
    let mut findings = Vec::new();
    for (name, run) in PATHS {
        if only.as_ref().is_some_and(|only| !only.iter().any(|wanted| wanted == name)) {
            continue;
        }
        for finding in run(&ground) {
            println!("{}", finding.row());
            finding.sides().iter().for_each(|line| println!("{line}"));
            findings.push(finding);
        }
    }
    let redis = output("redis-server", &["--version"]).unwrap_or_default();
    let other_server = ground.server != Path::new(env!("CARGO_BIN_EXE_signet"));
    let report = Report { machine, redis, build: built(), other_server, pace, quick, findings };
    std::fs::create_dir_all(&out).expect("the folder can be made");
    let json = serde_json::to_string_pretty(&report).expect("it is plain");
    std::fs::write(out.join("report.json"), json).expect("the report can be written");
    std::fs::write(out.join("report.html"), page::page(&report)).expect("the report can be written");
    println!("{}", out.join("report.html").display());
}

/// The profile of this program, which is that of the server beside it.
fn built() -> String {
    let here = std::env::current_exe().expect("it runs");
    let profile = here.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
    format!("{}{}", profile.display(), if cfg!(debug_assertions) { ", with debug assertions" } else { "" })
}

fn wanted(mut words: impl Iterator<Item = String>) -> Option<Wanted> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    let mut wanted = Wanted {
        server: env!("CARGO_BIN_EXE_signet").into(),
        out: target.join("throughput"),
        only: None,
        pace: Pace { pairs: 21, seconds: 0.5 },
        quick: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            // What `cargo bench` says to every bench.
            "--bench" => {}
            "--quick" => (wanted.pace, wanted.quick) = (Pace { pairs: 5, seconds: 0.4 }, true),
            "--pairs" => wanted.pace.pairs = value().parse().expect("a number"),
            "--seconds" => wanted.pace.seconds = value().parse().expect("a number"),
            "--server" => wanted.server = std::path::absolute(value()).expect("a path"),
            "--out" => wanted.out = value().into(),
            "--only" => {
                let names: Vec<_> = value().split(',').map(str::to_owned).collect();
                let unknown = names.iter().find(|name| PATHS.iter().all(|(known, _)| known != name));
                assert!(unknown.is_none(), "no such path: {unknown:?}; --list names them");
                wanted.only = Some(names);
            }
            "--list" => {
                PATHS.iter().for_each(|(name, _)| println!("{name}"));
                return None;
            }
            other => panic!("no such option: {other}; the head of benches/throughput/main.rs tells them"),
        }
    }
    Some(wanted)
}
