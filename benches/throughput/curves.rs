//! Throughput against latency of each path, with 1 to 256 connections that never pause, and the processor time of a
//! sign-in. Writes `curves.json`, `curves.svg` and `sign-in.svg` beside the report, and prints the rows of a table.
//!
//! The numbers of connections and the two servers take turns, three times. Each figure is the median of the three.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::build_profile;
use crate::comparison::{RequestSource, Side, Workload, run_slice, slice};
use crate::hash::{self, HashTime};
use crate::paths::{with_jwks, with_refresh, with_verify_seen, with_verify_unseen};
use crate::plot::{self, Curve, Panel, Point, duration, thousands};
use crate::report::Finding;
use crate::setup::{PreparedPath, ROTATED, Setup};
use crate::support::http;
use crate::support::load::{Outcome, Protocol};
use crate::support::machine::Machine;
use crate::support::signet::SignetSettings;
use crate::support::stats::median;
use crate::support::svg::{Bar, Bars};

const CONNECTIONS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// More sign-ins at the same time only wait longer.
const SIGN_INS: usize = 6;

/// The number of connections at which the processor time of a sign-in is taken: the hashing thread never waits.
const COST_AT: usize = 8;

/// Enough users that none of them exceeds the limit of sessions.
const USERS: usize = 400;

/// Requests of the first slice, which only shows the rate.
const FIRST: u64 = 32;

#[derive(Serialize)]
struct Report {
    machine: Machine,
    /// The build profile of the baseline, and of the server unless `other_server` is set.
    build: String,
    other_server: bool,
    rounds: usize,
    panels: Vec<Panel>,
    hashes: Vec<HashTime>,
}

/// How often, and for how long.
struct Plan<'a> {
    connections: &'a [usize],
    seconds: f64,
    rounds: usize,
}

pub(crate) fn curves(setup: &Setup) -> Vec<Finding> {
    let machine = Machine::inspect(&setup.cores);
    let (rounds, seconds) = if setup.quick { (1, 0.2) } else { (3, 0.5) };
    let plan = Plan { connections: &CONNECTIONS, seconds, rounds };
    let panel = |title: &str, path: PreparedPath<'_>| {
        let panel = compare_with_baseline(setup, &plan, title, path);
        print_rows(&panel);
        panel
    };
    println!("| path | connections | requests a second | p50 | p99 | baseline | p50 | p99 |");
    let mut panels = vec![
        with_jwks(setup, |path| panel("JWKS", path)),
        with_verify_seen(setup, |path| panel("/verify, cached token", path)),
        with_verify_unseen(setup, |path| panel("/verify, new token", path)),
        with_refresh(setup, |path| panel("refresh (myauth, Redis)", path)),
    ];
    let plan = Plan { connections: &CONNECTIONS[..SIGN_INS], seconds: seconds * 2.0, rounds };
    let sign_ins = compare_sign_ins(setup, &plan);
    print_rows(&sign_ins);
    panels.push(sign_ins);
    let hashes = hash::measure_in_process(if setup.quick { 20 } else { 100 }, &setup.cores);
    let report =
        Report { machine, build: build_profile(), other_server: setup.is_other_server(), rounds, panels, hashes };
    write(&report, &setup.out);
    Vec::new()
}

fn compare_with_baseline(setup: &Setup, plan: &Plan<'_>, title: &str, path: PreparedPath<'_>) -> Panel {
    let baseline = setup.start_baseline(&path.baseline, Protocol::Http1);
    let sides = [&setup.side("Signet", path.signet), &baseline.side("baseline", &setup.cores)];
    measure(plan, title, sides, &mut path.workload(1, Protocol::Http1))
}

/// Sign-ins have no baseline. The other side is the same server with the crate `argon2`, as it was before the hash had
/// kernels of its own.
fn compare_sign_ins(setup: &Setup, plan: &Plan<'_>) -> Panel {
    let settings = |implementation| {
        let settings = setup.settings().set("SIGNET_PASSWORDS__THREADS", "1");
        // On a slow machine the expected wait must not exceed half of it, or sign-ins would be refused.
        let settings = settings.set("SIGNET_PASSWORDS__DEADLINE", "10s");
        settings.set("SIGNET_PASSWORDS__IMPLEMENTATION", implementation)
    };
    let settings = [settings("auto"), settings("reference")];
    // Start the servers before seeding: they refuse tokens from before their first start as revoked.
    let servers = settings.each_ref().map(SignetSettings::start);
    let mut workload = Workload {
        connections: 1,
        protocol: Protocol::Http1,
        expected_text: ROTATED,
        source: RequestSource::SameOfEach(settings.each_ref().map(seed_users)),
        redis_pid: None,
    };
    let sides = [&setup.side("Signet", &servers[0]), &setup.side("Signet with the crate argon2", &servers[1])];
    measure(plan, "sign-in by password", sides, &mut workload)
}

/// Creates users, and returns a sign-in of each.
fn seed_users(settings: &SignetSettings) -> Vec<String> {
    let file = settings.folder().join("users.json");
    let (count, path) = (USERS.to_string(), file.display().to_string());
    settings.run_cli(&["seed", "--users", &count, "--sessions", "1", "--api-keys", "0", "--out", &path]);
    let data: Value = serde_json::from_slice(&fs::read(file).expect("a file of `signet seed`")).expect("JSON");
    let password = data["password"].as_str().expect("a password");
    let emails = data["users"].as_array().expect("a list").iter().filter_map(Value::as_str);
    // Neither contains what a form encodes, except for the @.
    let body = |email: &str| format!("username={}&password={password}", email.replace('@', "%40"));
    emails.map(|email| http::post_form("/auth/login/oauth", &body(email))).collect()
}

/// Drives both sides with each number of connections in turn.
fn measure(plan: &Plan<'_>, title: &str, sides: [&Side<'_>; 2], workload: &mut Workload<'_>) -> Panel {
    let levels = plan.connections.len();
    let mut points = [vec![Vec::new(); levels], vec![Vec::new(); levels]];
    let fresh = workload.fresh_requests(2 * FIRST);
    // The rates that each side is expected to have with each number of connections.
    let mut rates = [0, 1].map(|side| vec![rate(&run_slice(sides, side, workload, &fresh, FIRST, FIRST)); levels]);
    for round in 0..plan.rounds {
        for (level, connections) in plan.connections.iter().enumerate() {
            workload.connections = *connections;
            let least = *connections as u64;
            let counts = [0, 1].map(|side| ((rates[side][level] * plan.seconds) as u64).clamp(2 * least, 200_000));
            // Four requests on each connection, if they take no longer than half of the slice.
            let warmup = (4 * least).min(counts[0].min(counts[1]) / 2).max(least);
            let fresh = workload.fresh_requests(warmup + counts[0].max(counts[1]));
            for side in if round % 2 == 1 { [1, 0] } else { [0, 1] } {
                let outcome = run_slice(sides, side, workload, &fresh, warmup, counts[side]);
                rates[side][level] = rate(&outcome);
                if round == 0 && level + 1 < levels {
                    rates[side][level + 1] = rate(&outcome);
                }
                points[side][level].push(point(*connections, &outcome, sides[side].pids.len()));
            }
        }
    }
    let curve = |side: usize| Curve {
        server: sides[side].name.to_owned(),
        points: points[side].iter().map(|rounds| median_point(rounds)).collect(),
    };
    Panel { title: title.to_owned(), curves: [curve(0), curve(1)] }
}

fn rate(outcome: &Outcome) -> f64 {
    outcome.count as f64 / outcome.seconds
}

fn point(connections: usize, outcome: &Outcome, server_processes: usize) -> Point {
    Point {
        connections,
        per_second: rate(outcome),
        p50: outcome.latency.percentile_micros(0.5),
        p99: outcome.latency.percentile_micros(0.99),
        cpu: slice(outcome, server_processes).cpu,
    }
}

fn median_point(rounds: &[Point]) -> Point {
    let of = |value: fn(&Point) -> f64| median(rounds.iter().map(value).collect());
    Point {
        connections: rounds[0].connections,
        per_second: of(|point| point.per_second),
        p50: of(|point| point.p50),
        p99: of(|point| point.p99),
        cpu: of(|point| point.cpu),
    }
}

/// Rows of a table in Markdown.
fn print_rows(panel: &Panel) {
    let [first, second] = &panel.curves;
    let cells =
        |point: &Point| format!("{} | {} | {}", thousands(point.per_second), duration(point.p50), duration(point.p99));
    for (ours, other) in first.numbered().zip(second.numbered()) {
        println!("| {} | {} | {} | {} |", panel.title, ours.connections, cells(ours), cells(other));
    }
}

/// Hashes alone, and sign-ins of the server with the reference and with its own kernels.
fn sign_in_bars(report: &Report) -> Vec<Bar> {
    let bar = |name: String, value, is_second| Bar { name, value, target: None, is_second };
    let hash = |hash: &HashTime| {
        let name = if hash.is_reference { "the crate argon2".to_owned() } else { hash.implementation.clone() };
        bar(format!("hash: {name}"), hash.millis, true)
    };
    let mut bars: Vec<_> = report.hashes.iter().map(hash).collect();
    if let Some(panel) = report.panels.last() {
        for (curve, name) in panel.curves.iter().zip(["own kernels", "the crate argon2"]).rev() {
            let cost = curve.points.iter().find(|point| point.connections == COST_AT);
            bars.extend(cost.map(|point| bar(format!("sign-in, server: {name}"), point.cpu / 1e3, false)));
        }
    }
    bars
}

fn write(report: &Report, out: &Path) {
    fs::create_dir_all(out).expect("the folder can be created");
    let write = |name: &str, text: String| {
        fs::write(out.join(name), text).expect("the report can be written");
        println!("{}", out.join(name).display());
    };
    let machine = &report.machine;
    let day = machine.date.split('T').next().unwrap_or_default();
    // The version without the builder's suffix, as the pages name it.
    let kernel = machine.kernel.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let machine = format!("{}, Linux {kernel}, {day}", machine.processor);
    let bars = sign_in_bars(report);
    for bar in &bars {
        println!("{:<36} {:>7.2} ms of processor time", bar.name, bar.value);
    }
    write("curves.json", serde_json::to_string_pretty(report).expect("a report serializes"));
    let notes = [
        "A point is a number of connections that never",
        "pause: 1, 2, 4 and so on, some with their number.",
        "Sign-ins have no baseline: instead of it, Signet",
        "with the crate argon2, and up to 32 connections.",
        "Server and client have a core each.",
    ];
    let notes: Vec<_> = notes.map(str::to_owned).into_iter().chain([machine.clone()]).collect();
    write("curves.svg", plot::curves(&report.panels, &notes));
    let bars = Bars {
        label: "Processor time of a password hash and of a sign-in",
        axis: "processor time, ms; Argon2id with 19 MiB, two passes, one lane",
        unit: " ms",
        digits: 1,
        notes: &[machine],
        bars: &bars,
    };
    write("sign-in.svg", bars.draw());
}
