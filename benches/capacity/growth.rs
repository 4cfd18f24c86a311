//! Growth of memory with the number of requests: the slope over a million requests, without the first ones.

use crate::options::Options;
use crate::report::Report;
use crate::support::http::verify_request;
use crate::support::load::{Job, Protocol, Requests, run_in_process};
use crate::support::signet::SignetSettings;
use crate::support::target::Target;

const PART: &str = "growth";

/// The number of tokens, which are verified in turn.
const TOKENS: usize = 256;

pub(crate) fn run(options: &Options, report: &mut Report) {
    let slice: u64 = if options.quick { 10_000 } else { 100_000 };
    let settings = SignetSettings::new(&options.server, &options.cores.server());
    let signet = settings.start();
    let requests = settings.seed_sessions(TOKENS).into_iter();
    let requests = requests.map(|seeded| verify_request(&seeded.access_token));
    let requests = requests.collect::<Vec<_>>();
    let readings = (0..10).map(|_| {
        let job = Job {
            addresses: vec![signet.address],
            connections: 64,
            protocol: Protocol::Http1,
            warmup: 0,
            count: slice,
            requests: Requests::Cycle(requests.clone()),
            expected_text: "\"active\":true".to_owned(),
            watched_pids: Vec::new(),
            stop_on_disconnect: false,
        };
        run_in_process(&job, &options.cores.client());
        signet.process.memory().resident as f64
    });
    let readings = readings.collect::<Vec<_>>();
    report.add(PART, "requests", slice as f64 * 10.0, "", None);
    report.add(PART, "memory after the first tenth", readings[0] / 1e6, "MB", None);
    report.add(PART, "memory after the last tenth", readings[9] / 1e6, "MB", None);
    // The allocator may add a few pages, but one byte for each request is a leak.
    report.add(
        PART,
        "growth from the second tenth on",
        slope(&readings[1..]) / slice as f64,
        "bytes/rq",
        Target::AtMost(0.5),
    );
}

/// The slope of the least-squares line through the readings.
fn slope(readings: &[f64]) -> f64 {
    let (count, sum) = (readings.len() as f64, readings.iter().sum::<f64>());
    let (middle, mean) = ((count - 1.0) / 2.0, sum / count);
    let (mut numerator, mut denominator) = (0.0, 0.0);
    for (index, reading) in readings.iter().enumerate() {
        let offset = index as f64 - middle;
        numerator += offset * (reading - mean);
        denominator += offset * offset;
    }
    numerator / denominator
}
