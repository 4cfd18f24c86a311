//! Real nodes under load; the clock of one node is wrong, corrected and set back. No call fails, and everything
//! acknowledged still holds.

use std::fs;

use super::*;

/// The offsets of the clock, one after the other, in seconds.
const OFFSETS: [i32; 6] = [90, 0, -90, 90, -90, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_skew_under_load_is_not_noticed() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    let clock = plan.dir().join("clock");
    let set_offset = |seconds: i32| {
        // Atomically, because a partially written number would be another offset.
        fs::write(clock.with_extension("new"), format!("{seconds:+}")).unwrap();
        fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    set_offset(-90);
    let fleet = ServerFleet::start(&[plan.clone(), plan.another_node().with_clock_offset(&clock)]);
    let traffic = fleet.start_traffic().await;
    for _ in 0..short_or_long(1, 5) {
        for offset in OFFSETS {
            set_offset(offset);
            traffic.wait_for_success(&ALL_CALLS, short_or_long(2, 10), TIMEOUT * 4).await;
        }
    }
    let outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&ALL_CALLS, &outcomes);
    let line = json!({"row": "clock 90 s off, set back, under load", "responses": outcomes.len()});
    println!("fault {line}");
}
