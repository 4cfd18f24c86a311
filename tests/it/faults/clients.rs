//! Thousands of slow or idle clients, or more clients than file descriptors: other clients are served as before, and
//! all clients are served as soon as descriptors are free.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tokio::net::TcpStream;

use super::crowd::{Crowd, SlowClient, open_idle_connections, raise_open_file_limit, send_request};
use super::process_stats::open_files;
use super::report::{as_millis, percentile};
use super::traffic::{Outcome, Traffic};
use super::{ALL_CALLS, ServerFleet, TIMEOUT, long, short_or_long};
use crate::support::client::until_within;
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// The part of the successful responses per second that must be maintained during the fault.
const MIN_GOODPUT: f64 = 0.9;

/// The time within which all clients must be served again, in the long form.
const MAX_RECOVERY: Duration = Duration::from_secs(1);

/// The number of clients that connect when the crowd disconnects.
const NEWCOMERS: usize = 20;

/// Successful responses per second, with the same load before and during the fault.
struct Goodput {
    before: f64,
    during: f64,
}

impl Goodput {
    /// The successful responses per second while the future runs.
    async fn rate<T>(traffic: &Traffic, during: impl Future<Output = T>) -> (f64, T) {
        let began = Instant::now();
        let value = during.await;
        let ended = Instant::now();
        let outcomes = traffic.since(began);
        let succeeded = outcomes.iter().filter(|outcome| outcome.sent_at < ended && outcome.succeeded()).count();
        (succeeded as f64 / (ended - began).as_secs_f64(), value)
    }

    /// Only in the long form: in the short form other programs use the machine.
    fn assert_maintained(&self, name: &str) {
        let Self { before, during } = self;
        assert!(!long() || *during >= MIN_GOODPUT * before, "{name}: {during} responses per second, {before} before");
    }

    fn line(&self, mut line: serde_json::Value) -> serde_json::Value {
        let tenth = |rate: f64| (rate * 10.0).round() / 10.0;
        line["succeeded_per_s_before"] = tenth(self.before).into();
        line["succeeded_per_s_during"] = tenth(self.during).into();
        line["maintained_percent"] = tenth(100.0 * self.during / self.before).into();
        line
    }
}

/// The span over which responses are counted.
fn measured_span() -> Duration {
    short_or_long(Duration::from_secs(2), Duration::from_secs(20))
}

fn address(fleet: &ServerFleet) -> String {
    fleet.endpoints[0].client.base.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_do_not_affect_other_clients() {
    slow(
        "slow heads",
        &[SlowClient::Silent, SlowClient::StoppingHead, SlowClient::DrippingHead, SlowClient::DrippingHead],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_do_not_affect_other_clients() {
    slow("slow bodies", &[SlowClient::DrippingBody, SlowClient::DrippingChunks]).await;
}

/// Each client connects once more after the server has closed its connection.
async fn slow(name: &str, kinds: &[SlowClient]) {
    let (count, timeout) = short_or_long((200, Duration::from_secs(1)), (2000, Duration::from_secs(10)));
    raise_open_file_limit(count);
    let mut plan = Plan::embedded();
    if !long() {
        plan = plan.set("SIGNET_SERVER__HEADER_TIMEOUT", "1s").set("SIGNET_SERVER__BODY_TIMEOUT", "1s");
    }
    let fleet = ServerFleet::start(&[plan]);
    let traffic = fleet.start_traffic().await;
    let (before, ()) = Goodput::rate(&traffic, tokio::time::sleep(measured_span())).await;

    let (address_of_node, pause) = (address(&fleet), timeout / 10);
    let one = |number: usize| {
        let (kind, address_of_node) = (kinds[number % kinds.len()], address_of_node.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..2 {
                times.push(kind.run(address_of_node.clone(), pause, TIMEOUT * 4).await);
            }
            times
        })
    };
    let (during, times) = Goodput::rate(&traffic, join_all((0..count).map(one))).await;
    let times: Vec<_> = times.into_iter().flat_map(Result::unwrap).collect();
    let outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;

    let (goodput, max) = (Goodput { before, during }, percentile(100, times.clone()));
    let [min, median] = [0, 50].map(|percent| as_millis(percentile(percent, times.clone())));
    let line = json!({
        "row": name, "concurrent": count, "closed": times.len(), "closed_min_ms": min,
        "closed_median_ms": median, "closed_max_ms": as_millis(max),
    });
    println!("fault {}", goodput.line(line));
    // Not before the time-out, and in the long form soon after it: how soon depends on the machine.
    assert!(percentile(0, times) >= timeout.mul_f64(0.9), "a slow client was closed after {min} ms");
    assert!(!long() || max <= timeout + MAX_RECOVERY, "a slow client was closed only after {max:?}");
    assert_all_served(name, &outcomes);
    goodput.assert_maintained(name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_clients_do_not_affect_other_clients() {
    let name = "idle clients";
    let count = short_or_long(1000, 10_000);
    raise_open_file_limit(count);
    let fleet = ServerFleet::start(&[Plan::embedded()]);
    let traffic = fleet.start_traffic().await;
    let (before, ()) = Goodput::rate(&traffic, tokio::time::sleep(measured_span())).await;
    let began = Instant::now();
    let mut idle = open_idle_connections(&address(&fleet), count).await;
    let connected_in = began.elapsed();
    let held = open_files(fleet.nodes[0].pid());
    let (during, ()) = Goodput::rate(&traffic, tokio::time::sleep(measured_span())).await;
    let goodput = Goodput { before, during };
    // Idle connections still work.
    for some in idle.chunks_mut(50) {
        join_all(some.iter_mut().map(async |stream| send_request(stream).await.expect("the connection is open"))).await;
    }
    let outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    let line = json!({"row": name, "idle": count, "connected_in_ms": as_millis(connected_in), "descriptors": held});
    println!("fault {}", goodput.line(line));
    assert!(held >= count, "{held} descriptors for {count} connections");
    assert_all_served(name, &outcomes);
    goodput.assert_maintained(name);
}

/// With a limit of descriptors from the start: the server accepts as many connections as the limit allows beside its
/// own files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_beyond_the_descriptor_limit_wait() {
    let name = "more clients than descriptors";
    let limit = short_or_long(512, 4096);
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    // All clients have one address. Unless it is that of a proxy, idle connections would be closed for new ones.
    let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let plan = plan.set("SIGNET_SERVER__WORKERS", "2").max_open_files(limit);
    let fleet = ServerFleet::start(&[plan]);
    let traffic = fleet.start_traffic().await;
    let full = async || open_files(fleet.nodes[0].pid()) + 128 >= limit as usize;
    run_crowd(name, &fleet, traffic, limit, full, measured_span()).await.assert_maintained(name);
}

/// The limit is lowered while the server runs, so `accept` itself fails again and again. No mail can be written then,
/// and clients wait for their codes, so the rate is not checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_wait_while_accept_fails() {
    let limit = short_or_long(256, 4096);
    let fleet = ServerFleet::start(&[Plan::embedded().set("SIGNET_SERVER__WORKERS", "2")]);
    let traffic = fleet.start_traffic().await;
    let lowered = Rlimit { current: Some(u64::from(limit)), maximum: Some(u64::from(limit)) };
    let pid = Pid::from_raw(fleet.nodes[0].pid() as i32);
    prlimit(pid, Resource::Nofile, lowered).expect("the process belongs to this user");
    let fails = async || fleet.nodes[0].log().contains("cannot accept connections");
    run_crowd("no descriptor to accept with", &fleet, traffic, limit, fails, Duration::from_secs(2)).await;
}

/// Connects one and a half times as many clients as there are descriptors.
async fn run_crowd(
    name: &str,
    fleet: &ServerFleet,
    traffic: Traffic,
    limit: u32,
    full: impl AsyncFn() -> bool,
    measured_span: Duration,
) -> Goodput {
    let count = limit as usize * 3 / 2;
    raise_open_file_limit(count);
    let (before, ()) = Goodput::rate(&traffic, tokio::time::sleep(measured_span)).await;
    let address_of_node = address(fleet);
    let crowd = Crowd::connect(&address_of_node, count).await;
    until_within("all descriptors are in use", TIMEOUT, full).await;
    let (during, ()) = Goodput::rate(&traffic, tokio::time::sleep(measured_span)).await;
    let goodput = Goodput { before, during };
    let (served, held) = (crowd.served(), open_files(fleet.nodes[0].pid()));

    let connect_and_send = async |_| {
        let began = Instant::now();
        let mut stream = TcpStream::connect(&address_of_node).await.expect("the server listens");
        send_request(&mut stream).await.expect("the server responds");
        began.elapsed()
    };
    let (waited, newcomers) = tokio::join!(crowd.disconnect(), join_all((0..NEWCOMERS).map(connect_and_send)));
    let recovery = waited.max(percentile(100, newcomers));
    traffic.wait_for_success(&ALL_CALLS, 2, TIMEOUT * 4).await;
    let outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    let line = json!({
        "row": name, "descriptors": limit, "held": held, "clients": count, "served_during": served,
        "recovery_ms": as_millis(recovery),
    });
    println!("fault {}", goodput.line(line));
    assert!(served < count && held <= limit as usize, "there were descriptors for all clients");
    assert!(!long() || recovery <= MAX_RECOVERY, "{name}: recovery takes {recovery:?}");
    assert_all_served(name, &outcomes);
    goodput
}

/// Asserts that the load was always served without a failure.
fn assert_all_served(name: &str, outcomes: &[Outcome]) {
    let failed = outcomes.iter().find(|outcome| !(200..500).contains(&outcome.status));
    assert!(failed.is_none(), "{name}: {failed:?}");
}
