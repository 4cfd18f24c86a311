//! Postgres is killed or frozen, or all connections are taken: who is signed in feels nothing, who wants to sign in is told to come back
//! soon, and every row that was acknowledged is there.

use super::*;
use crate::support::postgres::Server;
use crate::support::redis;

const BACK: Duration = Duration::from_secs(3);

/// What goes on without it.
const UNAFFECTED: [Call; 5] = [Call::Verify, Call::VerifyEnded, Call::Jwks, Call::Refresh, Call::SignOut];

struct TestFleet {
    _redis: redis::Server,
    postgres: Server,
    fleet: Fleet,
}

impl TestFleet {
    fn new() -> Self {
        let (redis, postgres) = (redis::Server::start(), Server::start());
        // Fewer connections than clients, so that they can be exhausted.
        let fleet = Fleet::two(&Plan::on(&redis, &postgres).set("SIGNET_POSTGRES__CONNECTIONS", "2"));
        Self { _redis: redis, postgres, fleet }
    }
}

/// Something befalls Postgres, and passes.
async fn a_fault(
    name: &'static str,
    befalls: impl AsyncFnOnce(&mut TestFleet),
    passes: impl AsyncFnOnce(&mut TestFleet),
) -> Row {
    let mut fleet = TestFleet::new();
    let traffic = fleet.fleet.at_work().await;
    let began = Instant::now();
    befalls(&mut fleet).await;
    traffic.until_told(began, &POSTGRES, short_or_long(3, 30)).await;
    traffic.until_good(&[Call::Verify, Call::Jwks, Call::Refresh], 3, PATIENCE).await;
    passes(&mut fleet).await;
    let over = Instant::now();
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    fleet.fleet.is_ready().await;
    let heard = fleet.fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&UNAFFECTED, &heard);
    let row = Fault { name, began, over, back: BACK, beside: &UNAFFECTED[3..] }.row(&heard);
    row.is_calm().is_calm_beside();
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed() {
    let killed = async |fleet: &mut TestFleet| {
        fleet.postgres.kill_immediate();
        fleet.fleet.says_is_not_ready("store.accounts").await;
    };
    a_fault("Postgres killed", killed, async |fleet| fleet.postgres.restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen() {
    let frozen = short_or_long(Duration::from_secs(3), Duration::from_secs(30));
    let freezes = async |fleet: &mut TestFleet| {
        fleet.postgres.freeze();
        fleet.fleet.says_is_not_ready("store.accounts").await;
        tokio::time::sleep(frozen).await;
    };
    a_fault("Postgres frozen", freezes, async |fleet| fleet.postgres.thaw()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhausted() {
    let in_the_way = std::sync::Mutex::new(None);
    let taken = async |fleet: &mut TestFleet| {
        let client = fleet.postgres.client().await;
        // Whoever reads or writes a user keeps a connection and waits.
        client.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
        *in_the_way.lock().unwrap() = Some(client);
        fleet.fleet.nodes.iter().for_each(|node| node.wait_for_log("no connection within"));
    };
    let given_back = async |_: &mut TestFleet| drop(in_the_way.lock().unwrap().take());
    let row = a_fault("Postgres exhausted", taken, given_back).await;
    // Nobody, not even who asks twice, as making a key does.
    assert!(row.told_worst <= short_or_long(TOLD * 2, TOLD), "it takes long to be told: {row:?}");
}
