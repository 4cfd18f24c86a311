//! SIGTERM under load: what was asked is answered, no connection is reset, and it ends in time and in order.

use std::time::{Duration, Instant};

use super::figures::{millis, part};
use super::ledger::{Ledger, Look};
use super::{ALL, CLIENTS, Fleet, PATIENCE, Traffic, short_or_long};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// In what time it must have ended.
const ENDED: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    stops_in_order("SIGTERM, embedded", &Plan::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_and_postgres() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    stops_in_order("SIGTERM, on Redis and Postgres", &Plan::on(&redis, &postgres)).await;
}

async fn stops_in_order(name: &str, plan: &Plan) {
    let mut ledger = Ledger::new(CLIENTS * 2);
    let mut fleet = Fleet::of(std::slice::from_ref(plan));
    let (mut ends, mut answered) = (Vec::new(), 0);
    for _ in 0..short_or_long(2, 20) {
        let traffic = Traffic::start(&fleet.places, ledger);
        traffic.until_good(&ALL, 4, PATIENCE * 4).await;
        let told = Instant::now();
        fleet.nodes[0].terminate();
        let status = fleet.nodes[0].wait_for_exit();
        ends.push(told.elapsed());
        assert!(status.success(), "{status:?}: {}", fleet.nodes[0].log());
        // Nobody is sent home: each goes when nobody listens any more.
        traffic.all_have_gone().await;
        let (written, heard) = traffic.stop().await;
        ledger = written;
        ledger.holds_no_surprise();
        for page in &ledger.pages {
            let gone = page.gone.as_deref().unwrap_or_default();
            assert!(gone.contains("ConnectionRefused"), "{}: it was not told that it is over: {gone}", page.name);
        }
        assert!(heard.iter().all(|heard| heard.status != 0), "an answer was lost");
        assert!(heard.iter().all(|heard| heard.status != 503), "somebody was turned away");
        answered += heard.len();
        fleet = fleet.again();
        ledger.audit(&fleet.clients(), Look::Lately).await;
    }
    let worst = part(100, ends);
    let line = serde_json::json!({"row": name, "ended_worst_ms": millis(worst), "answered": answered, "lost": 0});
    println!("fault {line}");
    assert!(worst < ENDED, "it took {worst:?}");
}
