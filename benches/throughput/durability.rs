//! Whether a rotation that was acknowledged is still there when the embedded server was killed in the midst of many.
//!
//! A token *ahead* of the store is in force (that heals a failover), so that the newest token is taken proves nothing. What does:
//! once the server is up again, without grace, the token *before* the newest is refused, for it would be in force if the
//! rotation were lost. And the newest of others is taken, or everything might be refused.

use std::time::Duration;

use crate::paths::{Ground, ROTATED, refresh_request};
use crate::report::{Aim, Finding};
use crate::support::load::{Apart, Job, Work};
use crate::support::simple;

const SESSIONS: usize = 512;

pub(crate) fn check(ground: &Ground) -> Finding {
    let plan = ground.plan();
    let mut signet = plan.start();
    let tokens = plan.seed(SESSIONS).into_iter().map(|session| session.refresh_token).collect();
    let (before, after) = refresh_request();
    let job = Job {
        addresses: vec![signet.address],
        connections: 64,
        warm: 0,
        count: u64::MAX,
        work: Work::Rotate { before: before.clone(), tokens, after: after.clone() },
        expect: ROTATED.to_owned(),
        watch: vec![],
        until_cut: true,
    };
    let mut load = Apart::start(&ground.cores.load());
    load.send(&job);
    // Not to wait for anything: so long it is busy, and then it is killed wherever it stands.
    std::thread::sleep(Duration::from_secs(2));
    signet.process.kill();
    let outcome = load.outcome();
    let signet = plan.set("SIGNET_TOKENS__GRACE", "0s").start();
    let taken = |token: &str| simple::ask(signet.address, &format!("{before}{token}{after}")).0;
    let (mut lost, mut shown) = (0, 0);
    for (place, token) in outcome.tokens.iter().enumerate() {
        match &token.before {
            Some(before) if place % 2 == 0 => {
                shown += 1;
                lost += u32::from(taken(before) == 200);
            }
            // One in flight may have been done and not acknowledged: then it is spent.
            Some(_) if !token.in_flight => assert_eq!(taken(&token.newest), 200, "a session was lost altogether"),
            _ => {}
        }
    }
    assert!(shown > 0 && outcome.count > 0, "nothing was rotated before the server was killed");
    let what = format!("refresh, embedded: lost by kill -9, of {shown} sessions amid {} rotations", outcome.count);
    Finding::plain("refresh_embedded_durable", &what, Aim::AtMost(0.0), f64::from(lost))
}
