//! Memory: of a Signet as it comes when nobody asks it anything, and whether it grows over a million requests.

use crate::paths::Ground;
use crate::report::{Aim, Finding};
use crate::support::load::{self, Job, Work};
use crate::support::simple;

const MB: f64 = 1e6;

/// Sessions whose tokens are asked for: all of them are in the cache after the first round, which is not growth.
const SESSIONS: usize = 1024;

pub(crate) fn memory(ground: &Ground) -> Vec<Finding> {
    // With as many workers as it takes by itself.
    let idle = ground.plan().without("SIGNET_SERVER__WORKERS").on(&ground.cores.two()).start();
    let resident = idle.process.memory().resident as f64 / MB;
    drop(idle);
    let first = Finding::plain("memory_idle", "memory, idle, MB", Aim::AtMost(20.0), resident);

    let plan = ground.plan();
    let signet = plan.start();
    let sessions = plan.seed(SESSIONS);
    let requests: Vec<_> = sessions
        .iter()
        .map(|session| simple::post_json("/verify", &format!(r#"{{"token":"{}"}}"#, session.access_token)))
        .collect();
    // A tenth first, after which all that is kept is there. In a hurry, a tenth of it all.
    let all = if ground.quick { 100_000 } else { 1_000_000 };
    let after = |count: u64| {
        let job = Job {
            addresses: vec![signet.address],
            connections: 64,
            warm: 0,
            count,
            work: Work::Each(requests.clone()),
            expect: r#"{"active":true"#.to_owned(),
            watch: vec![signet.process.pid()],
            until_cut: false,
        };
        load::apart(&job, &ground.cores.load());
        signet.process.memory().resident as f64 / MB
    };
    let tenth = after(all / 10);
    let growth = after(all - all / 10) - tenth;
    let what = format!("memory, growth from {} to {all} requests, MB", all / 10);
    vec![first, Finding::plain("memory_growth", &what, Aim::AtMost(1.0), growth)]
}
