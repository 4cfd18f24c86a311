//! Redis is killed, frozen, restarted, emptied, read-only, or replaced by a replica: verification continues, calls that
//! need Redis get 503, and used codes and ended sessions stay invalid.

use std::time::Instant;

use serde_json::json;

use super::report::as_millis;
use super::*;
use crate::support::client::{TokenPair, kid, until_within};
use crate::support::postgres;
use crate::support::redis::{Cluster, Sentinel, Server};

const MAX_RECOVERY: Duration = Duration::from_secs(2);
/// The time to restore the keyring: a node notices the loss when it next reads the revocations.
const MAX_RESTORE: Duration = Duration::from_secs(1);
const MAX_SLOW_RECOVERY: Duration = Duration::from_secs(5);

/// Calls that need only Postgres.
const POSTGRES_ONLY_CALLS: [Call; 1] = [Call::Admin];

/// A fleet and its stores, which outlive its nodes.
struct Setup {
    fleet: ServerFleet,
    redis: Server,
    _postgres: postgres::Database,
}

impl Setup {
    /// For faults that Redis, or its address, reports at once.
    fn with(redis: Server) -> Self {
        Self::changed(redis, |plan| with_patient("REDIS", plan))
    }

    /// For a Redis that does not respond.
    fn with_default_timeout(redis: Server) -> Self {
        Self::changed(redis, |plan| plan)
    }

    fn changed(redis: Server, change: impl FnOnce(Plan) -> Plan) -> Self {
        let postgres = postgres::Database::create();
        let fleet = ServerFleet::two_nodes(&change(with_patient("POSTGRES", Plan::on(&redis, &postgres))));
        Self { fleet, redis, _postgres: postgres }
    }
}

/// Runs the load while a fault without data loss is injected and repaired. When `inject` returns, Redis must fail; when
/// `repair` returns, it must work.
async fn run_fault(
    name: &'static str,
    max_recovery: Duration,
    mut setup: Setup,
    inject: impl FnOnce(&mut Server),
    repair: impl FnOnce(&mut Server),
) {
    let traffic = setup.fleet.start_traffic().await;
    let began = Instant::now();
    inject(&mut setup.redis);
    traffic.wait_for_503(began, &REDIS_CALLS, 3).await;
    traffic.wait_for_503(began, &[Call::Refresh], short_or_long(3, 100)).await;
    setup.fleet.wait_until_not_ready("store.ephemeral").await;
    traffic.wait_for_success(&[Call::Verify, Call::Jwks], 3, TIMEOUT).await;
    repair(&mut setup.redis);
    let ended = Instant::now();
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    setup.fleet.wait_until_ready().await;
    let outcomes = setup.fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&MEMORY_CALLS, &outcomes);
    Fault { name, began, ended, max_recovery, other_store_calls: &POSTGRES_ONLY_CALLS }
        .report(&outcomes)
        .assert_memory_calls_are_fast()
        .assert_other_store_calls_are_fast();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_is_killed() {
    let setup = Setup::with(Server::options().durable().start());
    run_fault("Redis killed", MAX_RECOVERY, setup, Server::kill, Server::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_is_frozen() {
    let span = short_or_long(Duration::from_secs(3), Duration::from_secs(30));
    let freeze = |redis: &mut Server| {
        redis.freeze();
        std::thread::sleep(span);
    };
    let setup = Setup::with_default_timeout(Server::start());
    run_fault("Redis frozen", MAX_RECOVERY, setup, freeze, |redis| redis.thaw()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_is_out_of_memory() {
    let exhaust = |redis: &mut Server| assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let release = |redis: &mut Server| assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    run_fault("Redis out of memory", MAX_SLOW_RECOVERY, Setup::with(Server::start()), exhaust, release).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_is_read_only() {
    // A replica of a master that does not respond keeps its data.
    let make_replica = |redis: &mut Server| assert_eq!(redis.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    let make_master = |redis: &mut Server| assert_eq!(redis.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    run_fault("Redis read-only", MAX_SLOW_RECOVERY, Setup::with(Server::start()), make_replica, make_master).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_lacks_replicas() {
    let set_minimum = |redis: &mut Server, minimum: &str| {
        assert_eq!(redis.cli(&["CONFIG", "SET", "min-replicas-to-write", minimum]), "OK");
    };
    let setup = Setup::with(Server::start());
    run_fault(
        "Redis short of replicas",
        MAX_SLOW_RECOVERY,
        setup,
        |redis| set_minimum(redis, "1"),
        |redis| set_minimum(redis, "0"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_restarts() {
    let mut setup = Setup::with(Server::options().durable().start());
    let traffic = setup.fleet.start_traffic().await;
    let began = Instant::now();
    for _ in 0..short_or_long(2, 10) {
        // Redis shuts down cleanly and accepts no connections until it has restarted.
        setup.redis.cli(&["SHUTDOWN", "NOSAVE"]);
        setup.redis.restart();
        traffic.wait_for_success(&[Call::Refresh, Call::SignIn, Call::RequestCode], 2, TIMEOUT).await;
    }
    setup.redis.cli(&["SHUTDOWN", "NOSAVE"]);
    setup.redis.restart();
    let ended = Instant::now();
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    let outcomes = setup.fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&MEMORY_CALLS, &outcomes);
    // The times of Postgres are not checked: each start of Redis uses a part of the machine.
    Fault {
        name: "Redis restarted",
        began,
        ended,
        max_recovery: MAX_RECOVERY,
        other_store_calls: &POSTGRES_ONLY_CALLS,
    }
    .report(&outcomes)
    .assert_memory_calls_are_fast();
}

/// Requests a code; returns a request that redeems it.
async fn request_code(endpoint: &Endpoint) -> reqwest::RequestBuilder {
    let body = json!({"email": ROOT});
    let response = endpoint.client.execute(endpoint.client.post("/auth/verification/send-code").json(&body)).await;
    assert_eq!(response.expect("the node is up").status, 202);
    let mut code = None;
    until_within("the code was mailed", TIMEOUT, async || {
        code = endpoint.outbox.code(ROOT);
        code.is_some()
    })
    .await;
    endpoint.client.post("/auth/verification/verify-code").json(&json!({"email": ROOT, "code": code}))
}

/// Runs the load while Redis loses all data and continues to work.
async fn run_data_loss(name: &'static str, mut setup: Setup, lose_data: impl FnOnce(&mut Server)) {
    let client = setup.fleet.endpoints[0].client.clone();
    let traffic = setup.fleet.start_traffic().await;
    let tokens_before: TokenPair = client.sign_in(ROOT).await;
    let code_request = request_code(&setup.fleet.endpoints[0]).await;
    let kid_before = kid(&tokens_before.access);
    let began = Instant::now();
    lose_data(&mut setup.redis);
    let ended = Instant::now();
    let response = client.execute(code_request).await.expect("the node is up");
    assert!(matches!(response.status, 401 | 503), "a lost code is accepted: {response:?}");
    for endpoint in &setup.fleet.endpoints {
        let refused =
            async || endpoint.client.verify(&tokens_before.access).await.rejection_reason() == Some("revoked");
        until_within("tokens from before are refused", TIMEOUT, refused).await;
    }
    let refused = ended.elapsed();
    let restored = async || setup.redis.cli(&["EXISTS", "signet:{fleet}:ring"]) == "1";
    until_within("the keyring is in Redis again", TIMEOUT, restored).await;
    let settled = Instant::now();
    let restored = settled - ended;
    println!(
        "fault {}",
        json!({"row": name, "tokens_refused_ms": as_millis(refused), "ring_restored_ms": as_millis(restored)})
    );
    assert!(!long() || restored <= MAX_RESTORE, "{name}: the keyring is restored slowly: {refused:?}, {restored:?}");
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    for endpoint in &setup.fleet.endpoints {
        let kids = endpoint.client.kids().await;
        assert_eq!((kids[0].as_str(), kids.len()), (kid_before.as_str(), 2), "the signing keys have changed");
        assert_eq!(endpoint.client.refresh_response(&tokens_before.refresh).await.status, 400);
    }
    let check = |ledger: &mut Ledger| {
        ledger.assert_no_violations();
        let refused = ledger.clients.iter().flat_map(|client| &client.refusals);
        let (old, new): (Vec<_>, Vec<_>) = refused.partition(|refusal| refusal.requested_at < settled);
        assert!(!old.is_empty() && new.is_empty(), "{} refused, of these issued after the loss: {new:?}", old.len());
        ledger.expire_lost_records(began, settled);
    };
    let outcomes = setup.fleet.stop_and_audit(traffic, check).await;
    assert_unaffected(&MEMORY_CALLS, &outcomes);
    Fault { name, began, ended, max_recovery: MAX_RECOVERY, other_store_calls: &POSTGRES_ONLY_CALLS }.report(&outcomes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptied_redis_voids_sessions_but_keeps_keys() {
    let empty = |redis: &mut Server| assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    run_data_loss("Redis emptied", Setup::with(Server::start()), empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_redis_voids_sessions_but_keeps_keys() {
    let replace = |redis: &mut Server| {
        redis.kill();
        redis.restart();
    };
    run_data_loss("Redis back without data", Setup::with(Server::start()), replace).await;
}

/// Replication is asynchronous: sessions and codes of the last second before the fault may be lost, and no others. In
/// the short form, of the last ten seconds, because a replica that gets no processor lags behind.
fn assert_only_last_second_lost(ledger: &mut Ledger, fault_began: Instant) {
    let lag = Duration::from_secs(short_or_long(10, 1));
    ledger.assert_no_violations();
    let refused = ledger.clients.iter().flat_map(|client| &client.refusals);
    let unexpected: Vec<_> =
        refused.filter(|it| it.received_at + lag < fault_began || it.requested_at > fault_began).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_loses_only_the_last_second() {
    let (mut sentinel, postgres) = (Sentinel::start(), postgres::Database::create());
    let fleet = ServerFleet::two_nodes(&with_patient("POSTGRES", Plan::at(&sentinel.url(), &postgres)));
    let traffic = fleet.start_traffic().await;
    sentinel.fail_over_soon();
    let began = Instant::now();
    sentinel.servers[0].kill();
    traffic.wait_for_503(began, &[Call::Refresh], 3).await;
    sentinel.wait_for_promotion();
    let ended = Instant::now();
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    let outcomes = fleet.stop_and_audit(traffic, |ledger| assert_only_last_second_lost(ledger, began)).await;
    assert_unaffected(&MEMORY_CALLS, &outcomes);
    Fault {
        name: "Redis replica promoted",
        began,
        ended,
        max_recovery: MAX_SLOW_RECOVERY,
        other_store_calls: &POSTGRES_ONLY_CALLS,
    }
    .report(&outcomes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_cluster_slots_move() {
    let (cluster, postgres) = (Cluster::start(), postgres::Database::create());
    // No store fails.
    let plan = with_patient("POSTGRES", with_patient("REDIS", Plan::at(&cluster.url(), &postgres)));
    let fleet = ServerFleet::two_nodes(&plan);
    let traffic = fleet.start_traffic().await;
    let began = Instant::now();
    // The slot of the keyring, and those of some users' sessions.
    let mut moved = vec![cluster.move_slot_of("signet:{fleet}:ring")];
    for key in cluster.keys("signet:*:s:*").iter().take(short_or_long(6, 60)) {
        moved.push(cluster.move_slot_of(key));
    }
    let ended = Instant::now();
    assert!(moved.iter().sum::<usize>() > moved.len(), "too few keys were moved: {moved:?}");
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    let outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&MEMORY_CALLS, &outcomes);
    Fault {
        name: "Redis Cluster slots moved",
        began,
        ended,
        max_recovery: MAX_SLOW_RECOVERY,
        other_store_calls: &POSTGRES_ONLY_CALLS,
    }
    .report(&outcomes);
}
