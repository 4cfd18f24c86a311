//! SIGTERM under load: every request gets its response, no connection is reset, and the server exits successfully in
//! time.

use std::time::{Duration, Instant};

use super::ledger::{AuditScope, Ledger};
use super::report::{as_millis, percentile};
use super::{ALL_CALLS, CLIENTS, ServerFleet, TIMEOUT, Traffic, short_or_long};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// The time within which the server must exit, in the long form.
const MAX_STOP: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_finish_on_sigterm_embedded() {
    stop_repeatedly("SIGTERM, embedded", &Plan::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_finish_on_sigterm_on_redis_and_postgres() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    stop_repeatedly("SIGTERM, on Redis and Postgres", &Plan::on(&redis, &postgres).with_patient_stores()).await;
}

async fn stop_repeatedly(name: &str, plan: &Plan) {
    let mut ledger = Ledger::new(CLIENTS * 2);
    let mut fleet = ServerFleet::start(std::slice::from_ref(plan));
    let (mut stop_times, mut count) = (Vec::new(), 0);
    for _ in 0..short_or_long(2, 20) {
        let traffic = Traffic::start(&fleet.endpoints, ledger);
        traffic.wait_for_success(&ALL_CALLS, 4, TIMEOUT * 4).await;
        let signalled = Instant::now();
        fleet.nodes[0].terminate();
        let status = fleet.nodes[0].wait_for_exit();
        stop_times.push(signalled.elapsed());
        assert!(status.success(), "{status:?}: {}", fleet.nodes[0].log());
        // The clients stop by themselves when the server accepts no more connections.
        traffic.wait_until_all_stopped().await;
        let (stopped_ledger, outcomes) = traffic.stop().await;
        ledger = stopped_ledger;
        ledger.assert_no_violations();
        for client in &ledger.clients {
            let stop_reason = client.stop_reason.as_deref().unwrap_or_default();
            assert!(
                stop_reason.contains("ConnectionRefused"),
                "{}: the connection was not refused: {stop_reason}",
                client.name
            );
        }
        assert!(outcomes.iter().all(|outcome| outcome.status != 0), "a response was lost");
        assert!(outcomes.iter().all(|outcome| outcome.status != 503), "a request got 503");
        count += outcomes.len();
        fleet = fleet.restart();
        ledger.audit(&fleet.clients(), AuditScope::Changed).await;
    }
    let max = percentile(100, stop_times);
    let line = serde_json::json!({"row": name, "stop_max_ms": as_millis(max), "responses": count, "lost": 0});
    println!("fault {line}");
    assert!(max < short_or_long(TIMEOUT, MAX_STOP), "a stop took {max:?}");
}
