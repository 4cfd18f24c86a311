//! Real nodes under load, the clock of one of which is wrong, is put right and is set back: nobody notices, and all that was
//! acknowledged holds.

use std::fs;

use super::*;

/// How far off it is, one after the other, in seconds.
const OFF_BY: [i32; 6] = [90, 0, -90, 90, -90, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_wrong_and_set_back_under_load() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let plan = Plan::on(&redis, &postgres);
    let clock = plan.dir().join("clock");
    let set = |seconds: i32| {
        // In one step: half of a number would be another.
        fs::write(clock.with_extension("new"), format!("{seconds:+}")).unwrap();
        fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    set(-90);
    let fleet = Fleet::of(&[plan.clone(), plan.another_node().with_clock_offset(&clock)]);
    let traffic = fleet.at_work().await;
    for _ in 0..short_or_long(1, 5) {
        for off in OFF_BY {
            set(off);
            traffic.until_good(&ALL, short_or_long(2, 10), PATIENCE * 4).await;
        }
    }
    let heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&ALL, &heard);
    let line = json!({"row": "clock 90 s off, set back, under load", "answered": heard.len()});
    println!("fault {line}");
}
