//! Redis is killed, frozen, started again, emptied, refuses to write, or is somebody else: verifying goes on, what needs it is told to
//! come back soon, and nothing that was used or ended is good again.

use std::time::Instant;

use serde_json::json;

use super::figures::millis;
use super::*;
use crate::support::client::{TokenPair, kid, until_within};
use crate::support::postgres;
use crate::support::redis::{Cluster, Sentinel, Server};

const BACK: Duration = Duration::from_secs(2);
/// Nothing is waited for: a node hears of the loss with its next look at what was revoked.
const AT_ONCE: Duration = Duration::from_secs(1);
const BACK_ELSEWHERE: Duration = Duration::from_secs(5);

/// What goes to Postgres alone.
const BESIDE: [Call; 1] = [Call::Admin];

/// A fleet, and what it stands on.
struct TestFleet {
    redis: Server,
    _postgres: postgres::Server,
    fleet: Fleet,
}

impl TestFleet {
    fn with(redis: Server) -> Self {
        let postgres = postgres::Server::start();
        let fleet = Fleet::two(&Plan::on(&redis, &postgres));
        Self { redis, _postgres: postgres, fleet }
    }
}

/// Something befalls Redis, which loses nothing by it, and passes. As `befalls` returns, it must not work, and as `passes` returns, it must.
async fn a_fault(
    name: &'static str,
    back: Duration,
    mut fleet: TestFleet,
    befalls: impl FnOnce(&mut Server),
    passes: impl FnOnce(&mut Server),
) {
    let traffic = fleet.fleet.at_work().await;
    let began = Instant::now();
    befalls(&mut fleet.redis);
    traffic.until_told(began, &REDIS, 3).await;
    traffic.until_told(began, &[Call::Refresh], short_or_long(3, 100)).await;
    fleet.fleet.says_is_not_ready("store.ephemeral").await;
    traffic.until_good(&[Call::Verify, Call::Jwks], 3, PATIENCE).await;
    passes(&mut fleet.redis);
    let over = Instant::now();
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    fleet.fleet.is_ready().await;
    let heard = fleet.fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&MEMORY, &heard);
    Fault { name, began, over, back, beside: &BESIDE }.row(&heard).is_calm().is_calm_beside();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed() {
    let fleet = TestFleet::with(Server::options().durable().start());
    a_fault("Redis killed", BACK, fleet, Server::kill, Server::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen() {
    let frozen = short_or_long(Duration::from_secs(3), Duration::from_secs(30));
    let freezes = |redis: &mut Server| {
        redis.freeze();
        std::thread::sleep(frozen);
    };
    let fleet = TestFleet::with(Server::start());
    a_fault("Redis frozen", BACK, fleet, freezes, |redis| redis.thaw()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory() {
    let full = |redis: &mut Server| assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let room = |redis: &mut Server| assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    a_fault("Redis out of memory", BACK_ELSEWHERE, TestFleet::with(Server::start()), full, room).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_nobody() {
    // Of a master that does not answer: what it has, it keeps.
    let read_only = |redis: &mut Server| assert_eq!(redis.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    let master = |redis: &mut Server| assert_eq!(redis.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    a_fault("Redis read-only", BACK_ELSEWHERE, TestFleet::with(Server::start()), read_only, master).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_replicas_it_must_have() {
    let set = |redis: &mut Server, least: &str| {
        assert_eq!(redis.cli(&["CONFIG", "SET", "min-replicas-to-write", least]), "OK");
    };
    let fleet = TestFleet::with(Server::start());
    a_fault("Redis short of replicas", BACK_ELSEWHERE, fleet, |redis| set(redis, "1"), |redis| set(redis, "0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted() {
    let mut fleet = TestFleet::with(Server::options().durable().start());
    let traffic = fleet.fleet.at_work().await;
    let began = Instant::now();
    for _ in 0..short_or_long(2, 10) {
        // It ends in order, and takes nobody in until it is there again.
        fleet.redis.cli(&["SHUTDOWN", "NOSAVE"]);
        fleet.redis.restart();
        traffic.until_good(&[Call::Refresh, Call::SignIn, Call::AskCode], 2, PATIENCE).await;
    }
    fleet.redis.cli(&["SHUTDOWN", "NOSAVE"]);
    fleet.redis.restart();
    let over = Instant::now();
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    let heard = fleet.fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&MEMORY, &heard);
    // Not that Postgres is as quick meanwhile: each start of a Redis has its part of the machine.
    Fault { name: "Redis restarted", began, over, back: BACK, beside: &BESIDE }.row(&heard).is_calm();
}

/// Handing in a code that was mailed to somebody.
async fn a_code(place: &Place) -> reqwest::RequestBuilder {
    let body = json!({"email": ROOT});
    let asked = place.client.execute(place.client.post("/auth/verification/send-code").json(&body)).await;
    assert_eq!(asked.expect("the node lives").status, 202);
    let mut code = None;
    until_within("the code has come", PATIENCE, async || {
        code = place.outbox.code(ROOT);
        code.is_some()
    })
    .await;
    place.client.post("/auth/verification/verify-code").json(&json!({"email": ROOT, "code": code}))
}

/// Redis loses all that it had, and works.
async fn a_loss(name: &'static str, mut fleet: TestFleet, loses: impl FnOnce(&mut Server)) {
    let client = fleet.fleet.places[0].client.clone();
    let traffic = fleet.fleet.at_work().await;
    let bystander: TokenPair = client.sign_in(ROOT).await;
    let code = a_code(&fleet.fleet.places[0]).await;
    let key = kid(&bystander.access);
    let began = Instant::now();
    loses(&mut fleet.redis);
    let over = Instant::now();
    let answer = client.execute(code).await.expect("the node lives");
    assert!(matches!(answer.status, 401 | 503), "a code of which nothing is known is good: {answer:?}");
    for place in &fleet.fleet.places {
        let refused = async || place.client.verify(&bystander.access).await.rejection_reason() == Some("revoked");
        until_within("tokens from before are refused", PATIENCE, refused).await;
    }
    let refused = over.elapsed();
    let restored = async || fleet.redis.cli(&["EXISTS", "signet:{fleet}:ring"]) == "1";
    until_within("the keyring is in Redis again", PATIENCE, restored).await;
    let settled = Instant::now();
    let restored = settled - over;
    println!(
        "fault {}",
        json!({"row": name, "tokens_refused_ms": millis(refused), "ring_restored_ms": millis(restored)})
    );
    assert!(!long() || restored <= AT_ONCE, "{name}: not at once: {refused:?}, {restored:?}");
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    for place in &fleet.fleet.places {
        assert_eq!(place.client.kids().await, [key.as_str()], "the keys are others");
        assert_eq!(place.client.refresh_response(&bystander.refresh).await.status, 400);
    }
    let look = |ledger: &mut Ledger| {
        ledger.holds_no_surprise();
        let refused = ledger.pages.iter().flat_map(|page| &page.refused);
        let (old, new): (Vec<_>, Vec<_>) = refused.partition(|refusal| refusal.opened < settled);
        assert!(!old.is_empty() && new.is_empty(), "{} refused, of what is new: {new:?}", old.len());
        ledger.forget_what_expires(began, settled);
    };
    let heard = fleet.fleet.held_to(traffic, look).await;
    goes_on(&MEMORY, &heard);
    Fault { name, began, over, back: BACK, beside: &BESIDE }.row(&heard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptied() {
    let emptied = |redis: &mut Server| assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    a_loss("Redis emptied", TestFleet::with(Server::start()), emptied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_without_data() {
    let replaced = |redis: &mut Server| {
        redis.kill();
        redis.restart();
    };
    a_loss("Redis back without data", TestFleet::with(Server::start()), replaced).await;
}

/// Replication is asynchronous: what was opened at the very end may be lost, and nothing else.
fn lost_at_the_end(ledger: &mut Ledger, end: Instant) {
    ledger.holds_no_surprise();
    let refused = ledger.pages.iter().flat_map(|page| &page.refused);
    let odd: Vec<_> = refused.filter(|it| it.opened + Duration::from_secs(1) < end || it.opened > end).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_promoted() {
    let (mut sentinel, postgres) = (Sentinel::start(), postgres::Server::start());
    let fleet = Fleet::two(&Plan::at(&sentinel.url(), &postgres));
    let traffic = fleet.at_work().await;
    let began = Instant::now();
    sentinel.servers[0].kill();
    traffic.until_told(began, &[Call::Refresh], 3).await;
    sentinel.wait_for_promotion();
    let over = Instant::now();
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    let heard = fleet.held_to(traffic, |ledger| lost_at_the_end(ledger, began)).await;
    goes_on(&MEMORY, &heard);
    Fault { name: "Redis replica promoted", began, over, back: BACK_ELSEWHERE, beside: &BESIDE }.row(&heard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move() {
    let (cluster, postgres) = (Cluster::start(), postgres::Server::start());
    let fleet = Fleet::two(&Plan::at(&cluster.url(), &postgres));
    let traffic = fleet.at_work().await;
    let began = Instant::now();
    // What all share, and what some people have.
    let mut moved = vec![cluster.move_slot_of("signet:{fleet}:ring")];
    for key in cluster.keys("signet:*:s:*").iter().take(short_or_long(6, 60)) {
        moved.push(cluster.move_slot_of(key));
    }
    let over = Instant::now();
    assert!(moved.iter().sum::<usize>() > moved.len(), "hardly any key was moved: {moved:?}");
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    let heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&MEMORY, &heard);
    Fault { name: "Redis Cluster slots moved", began, over, back: BACK_ELSEWHERE, beside: &BESIDE }.row(&heard);
}
