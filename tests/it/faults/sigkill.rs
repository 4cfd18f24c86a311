//! `kill -9` under load, repeatedly with the same data: nothing acknowledged is lost, ended sessions and used codes
//! stay invalid, and the server is quickly up again.

use std::time::{Duration, Instant};

use super::ledger::{AuditScope, Ledger};
use super::report::{as_millis, percentile};
use super::{CLIENTS, ServerFleet, TIMEOUT, Traffic, short_or_long};
use crate::support::client::PASSWORD;
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// The time within which each start must complete. In the short form the median must be within five times that, because
/// the machine is shared.
const MAX_START: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_embedded() {
    kill_repeatedly("SIGKILL, embedded", &Plan::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_on_redis_and_postgres() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    kill_repeatedly("SIGKILL, on Redis and Postgres", &Plan::on(&redis, &postgres).with_patient_stores()).await;
}

async fn kill_repeatedly(name: &str, plan: &Plan) {
    let kills = short_or_long(6, 100);
    let mut ledger = Ledger::new(CLIENTS);
    let mut fleet = ServerFleet::start(std::slice::from_ref(plan));
    let (mut start_times, mut acknowledged, mut lost) = (Vec::new(), 0, 0);
    for kill in 0..kills {
        let traffic = Traffic::start(&fleet.endpoints, ledger);
        // A user created by the command line beside the server under load.
        let email = format!("beside{kill}@example.org");
        plan.create_user(&email, PASSWORD, &[]);
        // At a different point of the clients' cycles each time.
        let required = 60 + kill * 13 % 50;
        let condition =
            |outcomes: &[super::Outcome]| outcomes.iter().filter(|outcome| outcome.succeeded()).count() >= required;
        traffic.wait_for("enough calls have succeeded", TIMEOUT * 2, condition).await;
        fleet.nodes[0].kill();
        traffic.wait_until_all_stopped().await;
        let (stopped_ledger, outcomes) = traffic.stop().await;
        ledger = stopped_ledger;
        acknowledged += outcomes.iter().filter(|outcome| outcome.succeeded()).count();
        lost += outcomes.iter().filter(|outcome| outcome.status == 0).count();

        let started = Instant::now();
        fleet = fleet.restart();
        let client = &fleet.endpoints[0].client;
        client.kids().await;
        start_times.push(started.elapsed());
        client.sign_out(&client.sign_in(&email).await).await;
        ledger.assert_no_violations();
        ledger.assert_no_refusals();
        ledger.audit(&fleet.clients(), AuditScope::Changed).await;
    }
    ledger.audit(&fleet.clients(), AuditScope::All).await;
    let (median, max) = (percentile(50, start_times.clone()), percentile(100, start_times));
    let [users, open, ended, used, keys] = ledger.counts();
    let line = serde_json::json!({
        "row": name, "kills": kills, "acknowledged": acknowledged, "lost": lost, "start_median_ms": as_millis(median),
        "start_max_ms": as_millis(max), "users": users, "open": open, "ended": ended,
        "used_codes": used, "deactivated_keys": keys,
    });
    println!("fault {line}");
    assert!(open > 10 && ended > 5 && used > 0, "too few effects to check: {line}");
    let (time, max_time) = short_or_long((median, MAX_START * 5), (max, MAX_START));
    assert!(time < max_time, "a start takes {time:?}");
}
