//! Measures the overhead of Signet: drives the server and the baseline ([`baseline`]) in turn, with the same client, in
//! one run.
//!
//! The baseline is the cheapest possible server for a request. `cargo bench --bench throughput` starts the server,
//! Redis, the baseline and the client, each in its own process, and writes `target/throughput/report.json` and
//! `report.html`. Options after `--`:
//!
//! - `--quick`: fewer and shorter slices; `--pairs N`, `--seconds S`: their number and length;
//! - `--only NAME,NAME`: only these paths (`--list` prints all); `h2` is HTTP/2, `tls` compares with nginx, and
//!   `curves` draws throughput against latency and the cost of a sign-in;
//! - `--server PATH`: another build of Signet. Build the baseline with the same profile: `cargo bench --profile …`;
//! - `--out FOLDER`: the folder of the report.
//!
//! The figures are the CPU time of all threads of the server for each request, as a ratio to that of the baseline. A
//! busy machine makes both larger. Rates and latencies depend on the machine.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod baseline;
mod comparison;
mod curves;
mod durability;
mod hash;
mod html;
mod memory;
mod paths;
mod plot;
mod report;
mod setup;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tokens;

use std::path::{Path, PathBuf};

use comparison::Schedule;
use paths::PATHS;
use report::{HEAD, Report};
use setup::Setup;
use support::cores::Cores;
use support::machine::Machine;
use support::process::output;

/// The allocator of the server, so that the baseline has the same.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Options {
    server: PathBuf,
    out: PathBuf,
    only: Option<Vec<String>>,
    schedule: Schedule,
    quick: bool,
}

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    match args.peek().map(String::as_str) {
        Some(support::load::JOB) => return support::load::serve(),
        Some("baseline") => return baseline::serve(false),
        Some("baseline-http2") => return baseline::serve(true),
        Some(hash::JOB) => return support::job::serve(hash::measure),
        _ => {}
    }
    let Some(options) = parse_options(args) else { return };
    let cores = Cores::detect();
    if cores.count() < 2 {
        println!("Only one core is available. Server and client share it, so rates and latencies mean little.");
    }
    let _lock = support::lock_machine();
    let machine = Machine::inspect(&cores);
    let Options { server, out, only, schedule, quick } = options;
    let setup = Setup { server, cores, schedule, quick, out };
    println!("{HEAD}");
    let mut findings = Vec::new();
    for (name, run) in PATHS {
        if only.as_ref().is_some_and(|only| !only.iter().any(|selected| selected == name)) {
            continue;
        }
        for finding in run(&setup) {
            println!("{}", finding.row());
            finding.side_lines().iter().for_each(|line| println!("{line}"));
            findings.push(finding);
        }
    }
    if findings.is_empty() {
        return;
    }
    let redis = output("redis-server", &["--version"]).unwrap_or_default();
    let (other_server, out) = (setup.is_other_server(), &setup.out);
    let report = Report { machine, redis, build: build_profile(), other_server, schedule, quick, findings };
    std::fs::create_dir_all(out).expect("the folder can be created");
    let json = serde_json::to_string_pretty(&report).expect("a report serializes");
    std::fs::write(out.join("report.json"), json).expect("the report can be written");
    std::fs::write(out.join("report.html"), html::render(&report)).expect("the report can be written");
    println!("{}", out.join("report.html").display());
}

/// The profile of this program, which is also that of the server that cargo built with it.
pub(crate) fn build_profile() -> String {
    let program = std::env::current_exe().expect("the path of the running bench");
    let profile = program.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
    format!("{}{}", profile.display(), if cfg!(debug_assertions) { ", with debug assertions" } else { "" })
}

fn parse_options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in the target folder");
    let mut options = Options {
        server: env!("CARGO_BIN_EXE_signet").into(),
        out: target.join("throughput"),
        only: None,
        schedule: Schedule { pairs: 21, seconds: 0.5 },
        quick: false,
    };
    while let Some(option) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{option} needs a value"));
        match option.as_str() {
            // `cargo bench` passes this to every bench.
            "--bench" => {}
            "--quick" => (options.schedule, options.quick) = (Schedule { pairs: 5, seconds: 0.4 }, true),
            "--pairs" => options.schedule.pairs = value().parse().expect("a number"),
            "--seconds" => options.schedule.seconds = value().parse().expect("a number"),
            "--server" => options.server = std::path::absolute(value()).expect("a path"),
            "--out" => options.out = value().into(),
            "--only" => {
                let names: Vec<_> = value().split(',').map(str::to_owned).collect();
                let unknown = names.iter().find(|name| PATHS.iter().all(|(known, _)| known != name));
                assert!(unknown.is_none(), "unknown path: {unknown:?}; --list prints all");
                options.only = Some(names);
            }
            "--list" => {
                PATHS.iter().for_each(|(name, _)| println!("{name}"));
                return None;
            }
            other => panic!("unknown option: {other}; see the top of benches/throughput/main.rs"),
        }
    }
    Some(options)
}
