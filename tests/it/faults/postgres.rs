//! Postgres is killed or frozen, or all connections are in use: signed-in users are not affected, sign-ins get 503, and
//! every acknowledged row survives.

use super::*;
use crate::support::postgres::Server;
use crate::support::redis;

const MAX_RECOVERY: Duration = Duration::from_secs(3);

/// Calls that do not need Postgres.
const UNAFFECTED: [Call; 5] = [Call::Verify, Call::VerifyEnded, Call::Jwks, Call::Refresh, Call::SignOut];

struct Setup {
    _redis: redis::Server,
    postgres: Server,
    fleet: ServerFleet,
}

impl Setup {
    /// For a Postgres that does not respond.
    fn new() -> Self {
        Self::changed(|plan| plan)
    }

    /// For a Postgres that is not there, which a node learns at once.
    fn with_patience() -> Self {
        Self::changed(|plan| with_patient("POSTGRES", plan))
    }

    fn changed(change: impl FnOnce(Plan) -> Plan) -> Self {
        let (redis, postgres) = (redis::Server::start(), Server::start());
        // Fewer connections than clients, so that clients can exhaust them.
        let plan = Plan::on(&redis, &postgres).set("SIGNET_POSTGRES__CONNECTIONS", "2");
        let fleet = ServerFleet::two_nodes(&change(with_patient("REDIS", plan)));
        Self { _redis: redis, postgres, fleet }
    }
}

/// Runs the load while a fault is injected and repaired.
async fn run_fault(
    name: &'static str,
    mut setup: Setup,
    inject: impl AsyncFnOnce(&mut Setup),
    repair: impl AsyncFnOnce(&mut Setup),
) -> Report {
    let traffic = setup.fleet.start_traffic().await;
    let began = Instant::now();
    inject(&mut setup).await;
    traffic.wait_for_503(began, &POSTGRES_CALLS, short_or_long(3, 30)).await;
    traffic.wait_for_success(&[Call::Verify, Call::Jwks, Call::Refresh], 3, TIMEOUT).await;
    repair(&mut setup).await;
    let ended = Instant::now();
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    setup.fleet.wait_until_ready().await;
    let outcomes = setup.fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&UNAFFECTED, &outcomes);
    let report =
        Fault { name, began, ended, max_recovery: MAX_RECOVERY, other_store_calls: &UNAFFECTED[3..] }.report(&outcomes);
    report.assert_memory_calls_are_fast().assert_other_store_calls_are_fast();
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_postgres_is_killed() {
    let kill = async |setup: &mut Setup| {
        setup.postgres.kill_immediate();
        setup.fleet.wait_until_not_ready("store.accounts").await;
    };
    run_fault("Postgres killed", Setup::with_patience(), kill, async |setup| setup.postgres.restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_postgres_is_frozen() {
    let span = short_or_long(Duration::from_secs(3), Duration::from_secs(30));
    let freeze = async |setup: &mut Setup| {
        setup.postgres.freeze();
        setup.fleet.wait_until_not_ready("store.accounts").await;
        tokio::time::sleep(span).await;
    };
    run_fault("Postgres frozen", Setup::new(), freeze, async |setup| setup.postgres.thaw()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_connections_are_exhausted() {
    let lock_holder = std::sync::Mutex::new(None);
    let exhaust = async |setup: &mut Setup| {
        let client = setup.postgres.client().await;
        // Every query on users keeps a connection and waits.
        client.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
        *lock_holder.lock().unwrap() = Some(client);
        setup.fleet.nodes.iter().for_each(|node| node.wait_for_log("no connection within"));
    };
    let release = async |_: &mut Setup| drop(lock_holder.lock().unwrap().take());
    let report = run_fault("Postgres exhausted", Setup::new(), exhaust, release).await;
    // Also calls with two queries, such as creating a key.
    assert!(!long() || report.unavailable_max <= MAX_503_DELAY, "a 503 is slow: {report:?}");
}
