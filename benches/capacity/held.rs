//! What is held: tokens remembered by `/verify`, and sessions in Redis and embedded. Bytes for each, and how long it takes to
//! open them.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::Bench;
use crate::report::Report;
use crate::support::load::{Job, Work, apart};
use crate::support::redis::Redis;
use crate::support::signet::Plan;
use crate::support::simple::post_json;

/// In how many goes, and how many in each: each person has one session of each go.
fn goes(bench: &Bench) -> (usize, usize) {
    if bench.quick { (2, 5_000) } else { (10, 100_000) }
}

/// Tokens that were verified once and are remembered.
pub(crate) fn cached(bench: &Bench, report: &mut Report) {
    const PART: &str = "cached";
    let (goes, many) = goes(bench);
    let plan =
        Plan::new(&bench.server, &bench.cores.server()).set("SIGNET_VERIFY__CACHE", &(2 * goes * many).to_string());
    let signet = plan.start();
    let mut marks = Vec::new();
    for _ in 0..goes {
        let tokens = plan.seed(many);
        let ask = |token: &str| post_json("/verify", &json!({"token": token}).to_string());
        let job = Job {
            addresses: vec![signet.address],
            connections: 16,
            warm: 0,
            count: many as u64,
            work: Work::Each(tokens.iter().map(|seeded| ask(&seeded.access_token)).collect()),
            expect: "\"active\":true".to_owned(),
            watch: Vec::new(),
            until_cut: false,
        };
        apart(&job, &bench.cores.load());
        marks.push(signet.process.memory().anonymous);
    }
    // From the first go to the last: what is there anyway is there by the first.
    let more = (marks[goes - 1].saturating_sub(marks[0])) as f64 / ((goes - 1) * many) as f64;
    report.note(PART, "tokens remembered", (goes * many) as f64, "", None);
    report.note(PART, "memory of one", more, "bytes", None);
    report.note(PART, "memory of the server with all", marks[goes - 1] as f64 / 1e6, "MB", None);
}

/// Sessions, opened as `signet seed` opens them: as a sign-in does, but for the hash.
pub(crate) fn sessions(bench: &Bench, report: &mut Report) {
    const PART: &str = "sessions";
    let (goes, many) = goes(bench);
    let all = (goes * many) as f64;
    report.note(PART, "sessions", all, "", None);

    let redis = Redis::start(&bench.cores.load());
    let plan = Plan::new(&bench.server, &bench.cores.server()).on_redis(&redis.url());
    // The people, each with a first session, are no part of it.
    plan.seed(many);
    let used = || {
        let told = redis.cli(&["INFO", "memory"]);
        let line = told.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("Redis tells");
        line.trim().parse::<f64>().expect("a number")
    };
    let (before, began) = (used(), Instant::now());
    (0..goes).for_each(|_| drop(plan.seed(many)));
    report.note(PART, "time to open them all, Redis", began.elapsed().as_secs_f64(), "s", None);
    report.note(PART, "memory of one in Redis", (used() - before) / all, "bytes", None);

    let plan = Plan::new(&bench.server, &bench.cores.server());
    plan.seed(many);
    let data = plan.dir().join("data");
    let (before, began) = (size(&data), Instant::now());
    (0..goes).for_each(|_| drop(plan.seed(many)));
    report.note(PART, "time to open them all, embedded", began.elapsed().as_secs_f64(), "s", None);
    report.note(PART, "file of one, embedded", (size(&data) - before) as f64 / all, "bytes", None);
    let signet = plan.start();
    let memory = signet.process.memory().resident as f64 / 1e6;
    report.note(PART, "memory of a server that starts with them, embedded", memory, "MB", None);
}

/// How large the store in a folder is, its log included.
fn size(data: &Path) -> u64 {
    let files = fs::read_dir(data).expect("it is there").flatten();
    let ours = files.filter(|file| file.file_name().to_string_lossy().starts_with("signet.db"));
    ours.map(|file| file.metadata().expect("it is there").len()).sum()
}
