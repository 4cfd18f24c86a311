//! Whether memory grows with what was served: the slope over a million requests, from when the first were served.

use serde_json::json;

use crate::Bench;
use crate::report::{Aim, Report};
use crate::support::load::{Job, Work, apart};
use crate::support::signet::Plan;
use crate::support::simple::post_json;

const PART: &str = "growth";

/// How many tokens are verified in turn.
const TOKENS: usize = 256;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let slice: u64 = if bench.quick { 10_000 } else { 100_000 };
    let plan = Plan::new(&bench.server, &bench.cores.server());
    let signet = plan.start();
    let requests = plan.seed(TOKENS).into_iter();
    let requests = requests.map(|seeded| post_json("/verify", &json!({"token": seeded.access_token}).to_string()));
    let requests = requests.collect::<Vec<_>>();
    let marks = (0..10).map(|_| {
        let job = Job {
            addresses: vec![signet.address],
            connections: 64,
            warm: 0,
            count: slice,
            work: Work::Each(requests.clone()),
            expect: "\"active\":true".to_owned(),
            watch: Vec::new(),
            until_cut: false,
        };
        apart(&job, &bench.cores.load());
        signet.process.memory().resident as f64
    });
    let marks = marks.collect::<Vec<_>>();
    report.note(PART, "requests", slice as f64 * 10.0, "", None);
    report.note(PART, "memory after the first tenth", marks[0] / 1e6, "MB", None);
    report.note(PART, "memory after the last", marks[9] / 1e6, "MB", None);
    // A page here and there is the allocator's; a byte for each request is a leak.
    report.note(
        PART,
        "growth from the second tenth on",
        slope(&marks[1..]) / slice as f64,
        "bytes/rq",
        Aim::AtMost(0.5),
    );
}

/// By how much each is more than the one before, as least squares have it.
fn slope(marks: &[f64]) -> f64 {
    let (count, sum) = (marks.len() as f64, marks.iter().sum::<f64>());
    let (middle, mean) = ((count - 1.0) / 2.0, sum / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (place, mark) in marks.iter().enumerate() {
        let off = place as f64 - middle;
        above += off * (mark - mean);
        below += off * off;
    }
    above / below
}
