//! Memory of an idle Signet with default settings, and its growth over a million requests.

use std::thread::sleep;
use std::time::Duration;

use crate::report::Finding;
use crate::setup::Setup;
use crate::support::http;
use crate::support::load::{self, Job, Protocol, Requests};
use crate::support::target::Target;

const MB: f64 = 1e6;

/// After this time a server has given back what only its start used.
const START_ENDS_AFTER: Duration = Duration::from_secs(15);

/// Sessions whose tokens are verified. All are in the cache after the first cycle, so the cache does not grow later.
const SESSIONS: usize = 1024;

pub(crate) fn memory(setup: &Setup) -> Vec<Finding> {
    // With the default number of workers.
    let idle = setup.settings().unset("SIGNET_SERVER__WORKERS").on_cores(&setup.cores.server_pair()).start();
    sleep(START_ENDS_AFTER);
    let resident = idle.process.memory().resident as f64 / MB;
    drop(idle);
    let idle = Finding::single("memory_idle", "memory, idle, 15 s after the start, MB", Target::AtMost(20.0), resident);

    let settings = setup.settings();
    let signet = settings.start();
    let sessions = settings.seed_sessions(SESSIONS);
    let requests: Vec<_> = sessions
        .iter()
        .map(|session| http::post_json("/verify", &format!(r#"{{"token":"{}"}}"#, session.access_token)))
        .collect();
    // The first tenth fills all caches. A quick run sends a tenth of the requests.
    let total = if setup.quick { 100_000 } else { 1_000_000 };
    let memory_after = |count: u64| {
        let job = Job {
            addresses: vec![signet.address],
            connections: 64,
            protocol: Protocol::Http1,
            warmup: 0,
            count,
            requests: Requests::Cycle(requests.clone()),
            expected_text: r#"{"active":true"#.to_owned(),
            watched_pids: vec![signet.process.pid()],
            stop_on_disconnect: false,
        };
        load::run_in_process(&job, &setup.cores.client());
        signet.process.memory().resident as f64 / MB
    };
    let first_tenth = memory_after(total / 10);
    let growth = memory_after(total - total / 10) - first_tenth;
    let title = format!("memory, growth from {} to {total} requests, MB", total / 10);
    vec![idle, Finding::single("memory_growth", &title, Target::AtMost(1.0), growth)]
}
