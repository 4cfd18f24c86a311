//! Checks that acknowledged rotations survive a `kill -9` of the embedded server under load.
//!
//! A token *ahead* of the store is accepted, to recover from a failover. So it proves nothing that the newest token is
//! accepted. Instead, the check restarts the server without grace and presents the token *before* the newest: it would
//! be accepted only if the rotation was lost. For other sessions it presents the newest token, which must be accepted.

use std::time::Duration;

use crate::report::Finding;
use crate::setup::{ROTATED, Setup, refresh_request};
use crate::support::http;
use crate::support::job::JobProcess;
use crate::support::load::{self, Job, Outcome, Protocol, Requests};
use crate::support::target::Target;

const SESSIONS: usize = 512;

pub(crate) fn check(setup: &Setup) -> Finding {
    let settings = setup.settings();
    let mut signet = settings.start();
    let tokens = settings.seed_sessions(SESSIONS).into_iter().map(|session| session.refresh_token).collect();
    let (prefix, suffix) = refresh_request();
    let job = Job {
        addresses: vec![signet.address],
        connections: 64,
        protocol: Protocol::Http1,
        warmup: 0,
        count: u64::MAX,
        requests: Requests::Rotate { prefix: prefix.clone(), tokens, suffix: suffix.clone() },
        expected_text: ROTATED.to_owned(),
        watched_pids: vec![],
        stop_on_disconnect: true,
    };
    let client = JobProcess::start(load::JOB, &job, &setup.cores.client());
    // Kill the server at an arbitrary point while it is busy.
    std::thread::sleep(Duration::from_secs(2));
    signet.process.kill();
    let outcome: Outcome = client.wait();
    let signet = settings.set("SIGNET_TOKENS__GRACE", "0s").start();
    let refresh = |token: &str| http::send(signet.address, &format!("{prefix}{token}{suffix}")).0;
    let (mut lost, mut checked) = (0, 0);
    for (index, token) in outcome.tokens.iter().enumerate() {
        match &token.previous {
            Some(previous) if index % 2 == 0 => {
                checked += 1;
                lost += u32::from(refresh(previous) == 200);
            }
            // A refresh in flight may have been done without an acknowledgement, so its token may be used up.
            Some(_) if !token.in_flight => assert_eq!(refresh(&token.newest), 200, "a session was lost entirely"),
            _ => {}
        }
    }
    assert!(checked > 0 && outcome.count > 0, "no token was rotated before the server was killed");
    let title = format!("refresh, embedded: lost by kill -9, of {checked} sessions with {} rotations", outcome.count);
    Finding::single("refresh_embedded_durable", &title, Target::AtMost(0.0), f64::from(lost))
}
