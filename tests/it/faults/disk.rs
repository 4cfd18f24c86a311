//! The disk is full, that of the embedded store or that of Postgres: what would have to be written is told to come back soon, nobody is
//! half made, reading goes on, and with room all is as before, without anybody's help.

use serde_json::json;

use super::*;
use crate::support::client::TokenPair;
use crate::support::disk::Disk;
use crate::support::{postgres, redis};

const BACK: Duration = Duration::from_secs(2);

/// What writes on the disk, and is told so; what does not, and goes on.
type Sides = (&'static [Call], &'static [Call]);

const EMBEDDED: Sides = (
    &[Call::Refresh, Call::SignIn, Call::AskCode, Call::MakeKey],
    &[Call::Verify, Call::VerifyEnded, Call::Jwks, Call::Admin],
);
const ON_SERVERS: Sides = (
    &[Call::MakeKey],
    &[
        Call::Verify,
        Call::VerifyEnded,
        Call::Jwks,
        Call::Admin,
        Call::Refresh,
        Call::SignIn,
        Call::SignOut,
        Call::AskCode,
    ],
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    let disk = Disk::with_mebibytes(32);
    let plan = Plan::embedded().on_disk(&disk);
    // Mails go elsewhere: they would come when there is room, and who waits for one does nothing else.
    std::fs::create_dir(plan.dir().join("outbox")).unwrap();
    std::fs::create_dir(disk.outside().join("data")).unwrap();
    std::os::unix::fs::symlink(plan.dir().join("outbox"), disk.outside().join("data/outbox")).unwrap();
    let fleet = Fleet::of(&[plan]);
    full("disk full, embedded", &disk, fleet, EMBEDDED, Some("store.ephemeral")).await.is_calm();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgres() {
    let (redis, disk) = (redis::Server::start(), Disk::with_mebibytes(96));
    let postgres = postgres::Server::start_with(postgres::Options { disk: Some(disk.clone()), ..Default::default() });
    let fleet = Fleet::two(&Plan::on(&redis, &postgres));
    // Not that all is calm meanwhile: a Postgres that fails again and again has its part of the machine.
    full("disk full, Postgres", &disk, fleet, ON_SERVERS, None).await;
}

/// Without room for its log of writes Postgres ends all its connections and starts anew, for which there is no room either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgres_which_gives_up() {
    let (redis, disk) = (redis::Server::start(), Disk::with_mebibytes(96));
    let unusual = postgres::Options { disk: Some(disk.clone()), ..Default::default() };
    let mut postgres = postgres::Server::start_with(unusual);
    let fleet = Fleet::two(&Plan::on(&redis, &postgres));
    let mut comers = Comers::new(fleet.places[0].client.clone());
    let traffic = fleet.at_work().await;
    let other = postgres.client().await;
    let began = Instant::now();
    disk.fill();
    comers.come_until_turned_away(&disk, 3).await;
    // Somebody else writes much.
    let much = "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))";
    while other.batch_execute(much).await.is_ok() {
        disk.fill();
    }
    fleet.says_is_not_ready("store.accounts").await;
    traffic.until_told(began, &POSTGRES, short_or_long(3, 30)).await;
    comers.come_until_turned_away(&disk, 3).await;
    traffic.until_good(&[Call::Verify, Call::Jwks, Call::Refresh], 3, PATIENCE).await;
    let panics = postgres.log().matches("PANIC").count();
    assert!(panics > 0, "{}", postgres.log());
    disk.remove_ballast();
    let mut ended = false;
    let works = async || {
        ended |= postgres.restart_if_ended();
        tokio_postgres::connect(&postgres.url(), tokio_postgres::NoTls).await.is_ok()
    };
    until_within("Postgres is back", PATIENCE * 2, works).await;
    let over = Instant::now();
    println!(
        "Postgres gave up {panics} times, and {}",
        if ended { "had to be started" } else { "came back by itself" }
    );
    traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    fleet.is_ready().await;
    comers.come_again(false).await;
    let mut heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&[Call::Verify, Call::VerifyEnded, Call::Jwks, Call::Refresh, Call::SignOut], &heard);
    heard.append(&mut comers.heard);
    Fault { name: "disk full, Postgres gives up", began, over, back: BACK, beside: &[] }.row(&heard);
}

/// Too small for the log of writes alone, which is begun anew in the room that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filled_by_the_log_itself() {
    let plan = Plan::embedded().on_disk(&Disk::with_mebibytes(2));
    plan.create_user(ROOT, PASSWORD, &[]);
    let node = plan.start();
    let client = Client::new(&node);
    let mut pair = client.sign_in(ROOT).await;
    let began = Instant::now();
    for _ in 0..3 {
        for full in [true, false] {
            // Until it is, or is no longer.
            loop {
                let answer = client.refresh_response(&pair.refresh).await;
                if answer.status == 200 {
                    pair = answer.is(200).tokens();
                }
                if (answer.status == 503) == full {
                    break;
                }
                assert!(began.elapsed() < PATIENCE * 4, "{full} for long: {answer:?}");
            }
        }
    }
}

/// Nobody writes: it finds out by itself. Once ended it says why it does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_is_not_ready() {
    let disk = Disk::with_mebibytes(32);
    let plan = Plan::embedded().on_disk(&disk);
    plan.create_user(ROOT, PASSWORD, &[]);
    let node = plan.start();
    let client = Client::new(&node);
    let pair = client.sign_in(ROOT).await;
    disk.fill();
    until_within("it is not ready", PATIENCE, async || client.failing_conditions().await == ["store.ephemeral"]).await;
    assert_eq!(client.verify(&pair.access).await.status, 200);
    disk.remove_ballast();
    until_within("it is ready", PATIENCE, async || client.failing_conditions().await.is_empty()).await;
    let pair = client.refresh(&pair).await;

    // The log is gone and cannot be made; then it is left behind and can be read, and nothing can be added to it.
    node.terminate();
    assert!(node.wait_for_exit().success());
    let (mut node, pair) = refused_until_there_is_room(&plan, &disk, &pair, "since its disk is full: make room").await;
    node.kill();
    refused_until_there_is_room(&plan, &disk, &pair, "disk is full").await;
}

async fn refused_until_there_is_room(plan: &Plan, disk: &Disk, pair: &TokenPair, why: &str) -> (Signet, TokenPair) {
    disk.fill();
    let node = plan.try_start();
    assert!(!node.wait_for_exit().success());
    assert!(node.log().contains(why), "{}", node.log());
    disk.remove_ballast();
    let node = plan.start();
    let pair = Client::new(&node).refresh(pair).await;
    (node, pair)
}

/// The disk is full, again and again, under load. `failing_conditions`: what the nodes say of it.
async fn full(
    name: &'static str,
    disk: &Disk,
    fleet: Fleet,
    (told, unaffected): Sides,
    not_ready: Option<&str>,
) -> Row {
    let client = fleet.places[0].client.clone();
    let traffic = fleet.at_work().await;
    let mut comers = Comers::new(client);
    let began = Instant::now();
    let mut over = began;
    for _ in 0..short_or_long(1, 5) {
        let filled = Instant::now();
        disk.fill();
        comers.come_until_turned_away(disk, short_or_long(3, 30)).await;
        traffic.until_told(filled, told, short_or_long(3, 10)).await;
        match not_ready {
            Some(what) => fleet.says_is_not_ready(what).await,
            None => fleet.is_ready().await,
        }
        traffic.until_good(unaffected, 3, PATIENCE).await;
        disk.remove_ballast();
        over = Instant::now();
        traffic.until_good(&ALL, 3, PATIENCE * 4).await;
        fleet.is_ready().await;
    }
    comers.come_again(true).await;
    let mut heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(unaffected, &heard);
    heard.append(&mut comers.heard);
    Fault { name, began, over, back: BACK, beside: &[] }.row(&heard)
}

/// People who come while there is no room, one after the other.
struct Comers {
    client: Client,
    came: usize,
    made: Vec<String>,
    turned_away: Vec<String>,
    heard: Vec<Heard>,
}

impl Comers {
    fn new(client: Client) -> Self {
        Self { client, came: 0, made: Vec::new(), turned_away: Vec::new(), heard: Vec::new() }
    }

    async fn sign_up(&mut self, email: &str, password: &str) -> u16 {
        let asked = Instant::now();
        let request = self.client.post("/auth/login/signup").json(&json!({"email": email, "password": password}));
        let answer = self.client.execute(request).await.expect("the node lives");
        let status = answer.status;
        self.heard.push(Heard { call: Call::SignUp, asked, took: asked.elapsed(), status });
        assert!(matches!(status, 200 | 503), "{email}: {answer:?}");
        assert!(status == 200 || answer.retry_after().is_some_and(|after| after > 0), "{email}: {answer:?}");
        status
    }

    /// Until so many were turned away one after the other. Whatever room comes up is taken before each: others grow too.
    async fn come_until_turned_away(&mut self, disk: &Disk, enough: usize) {
        let (began, mut in_a_row) = (Instant::now(), 0);
        while in_a_row < enough {
            assert!(began.elapsed() < PATIENCE * 2, "there is room for {} people", self.made.len());
            tokio::time::sleep(PACE).await;
            disk.fill();
            let email = format!("comer{}@example.org", self.came);
            self.came += 1;
            if self.sign_up(&email, PASSWORD).await == 200 {
                self.made.push(email);
                in_a_row = 0;
            } else {
                self.turned_away.push(email);
                in_a_row += 1;
            }
        }
    }

    /// Whoever was told that they are somebody is, and whoever was turned away is nobody: the address is free. Where it is not `sure`
    /// that nobody was made, since a connection was lost over it, it may be somebody whole.
    async fn come_again(&mut self, sure: bool) {
        for email in &self.made {
            self.client.sign_out(&self.client.sign_in(email).await).await;
        }
        let other = format!("{PASSWORD} of today");
        for email in std::mem::take(&mut self.turned_away) {
            let before = self.client.execute(self.client.sign_in_request(&email, PASSWORD)).await.expect("the node lives");
            if !sure && before.status == 201 {
                continue;
            }
            assert_eq!(before.status, 401, "{email}: somebody was made after all");
            assert_eq!(self.sign_up(&email, &other).await, 200, "{email}");
            let after = self.client.execute(self.client.sign_in_request(&email, &other)).await.expect("the node lives");
            self.client.sign_out(&after.is(201).tokens()).await;
        }
        let away = self.heard.iter().filter(|heard| heard.status == 503).count();
        println!("held: {} signed up on a full disk, {away} were turned away and signed up later", self.made.len());
    }
}
