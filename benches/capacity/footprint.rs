//! Memory for each cached token of `/verify` and for each session in Redis and in the embedded store, and the time for
//! opening sessions.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::options::Options;
use crate::report::Report;
use crate::support::http::verify_request;
use crate::support::load::{Job, Protocol, Requests, run_in_process};
use crate::support::redis::Redis;
use crate::support::signet::SignetSettings;

/// The number of batches and the size of a batch. Each user has one session in each batch.
fn batches(options: &Options) -> (usize, usize) {
    if options.quick { (2, 5_000) } else { (10, 100_000) }
}

/// Tokens that were verified once.
pub(crate) fn cached_tokens(options: &Options, report: &mut Report) {
    const PART: &str = "cached";
    let (batches, size) = batches(options);
    let cache = (2 * batches * size).to_string();
    let settings = SignetSettings::new(&options.server, &options.cores.server()).set("SIGNET_VERIFY__CACHE", &cache);
    let signet = settings.start();
    let mut readings = Vec::new();
    for _ in 0..batches {
        let sessions = settings.seed_sessions(size);
        let job = Job {
            addresses: vec![signet.address],
            connections: 16,
            protocol: Protocol::Http1,
            warmup: 0,
            count: size as u64,
            requests: Requests::Cycle(sessions.iter().map(|seeded| verify_request(&seeded.access_token)).collect()),
            expected_text: "\"active\":true".to_owned(),
            watched_pids: Vec::new(),
            stop_on_disconnect: false,
        };
        run_in_process(&job, &options.cores.client());
        readings.push(signet.process.memory().anonymous);
    }
    // From the first batch to the last, because the first also fills everything else.
    let each = (readings[batches - 1].saturating_sub(readings[0])) as f64 / ((batches - 1) * size) as f64;
    report.add(PART, "cached tokens", (batches * size) as f64, "", None);
    report.add(PART, "memory for each token", each, "bytes", None);
    report.add(PART, "memory of the server with all tokens", readings[batches - 1] as f64 / 1e6, "MB", None);
}

/// Sessions, opened by `signet seed`: like sign-ins, but without hashing.
pub(crate) fn sessions(options: &Options, report: &mut Report) {
    const PART: &str = "sessions";
    let (batches, size) = batches(options);
    let total = (batches * size) as f64;
    report.add(PART, "sessions", total, "", None);

    let redis = Redis::start(&options.cores.client());
    let settings = SignetSettings::new(&options.server, &options.cores.server()).on_redis(&redis.url());
    // The users, each with a first session, are created before the measurement.
    settings.seed_sessions(size);
    let used = || {
        let info = redis.cli(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a field of INFO");
        line.trim().parse::<f64>().expect("a number")
    };
    let (before, started) = (used(), Instant::now());
    (0..batches).for_each(|_| drop(settings.seed_sessions(size)));
    report.add(PART, "time to open all, Redis", started.elapsed().as_secs_f64(), "s", None);
    report.add(PART, "memory for each session, Redis", (used() - before) / total, "bytes", None);

    let settings = SignetSettings::new(&options.server, &options.cores.server());
    settings.seed_sessions(size);
    let data = settings.folder().join("data");
    let (before, started) = (store_size(&data), Instant::now());
    (0..batches).for_each(|_| drop(settings.seed_sessions(size)));
    report.add(PART, "time to open all, embedded", started.elapsed().as_secs_f64(), "s", None);
    report.add(
        PART,
        "file size for each session, embedded",
        (store_size(&data) - before) as f64 / total,
        "bytes",
        None,
    );
    let signet = settings.start();
    let memory = signet.process.memory().resident as f64 / 1e6;
    report.add(PART, "memory of a server that starts with all, embedded", memory, "MB", None);
}

/// The size of the embedded store in a data folder, including its write-ahead log.
fn store_size(data: &Path) -> u64 {
    let files = fs::read_dir(data).expect("the data folder").flatten();
    let store = files.filter(|file| file.file_name().to_string_lossy().starts_with("signet.db"));
    store.map(|file| file.metadata().expect("a file of the store").len()).sum()
}
