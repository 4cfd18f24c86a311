//! A full disk, of the embedded store or of Postgres: requests that write get 503, no user is created partially, reads
//! continue, and with free space everything works again without intervention.

use serde_json::json;

use super::*;
use crate::support::client::TokenPair;
use crate::support::disk::Disk;
use crate::support::{postgres, redis};

const MAX_RECOVERY: Duration = Duration::from_secs(2);

/// Calls that write to the disk and get 503, and calls that are not affected.
type CallGroups = (&'static [Call], &'static [Call]);

const EMBEDDED: CallGroups = (
    &[Call::Refresh, Call::SignIn, Call::RequestCode, Call::CreateKey],
    &[Call::Verify, Call::VerifyEnded, Call::Jwks, Call::Admin],
);
const ON_SERVERS: CallGroups = (
    &[Call::CreateKey],
    &[
        Call::Verify,
        Call::VerifyEnded,
        Call::Jwks,
        Call::Admin,
        Call::Refresh,
        Call::SignIn,
        Call::SignOut,
        Call::RequestCode,
    ],
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_reports_a_full_disk() {
    let disk = Disk::with_mebibytes(32);
    let plan = Plan::embedded().on_disk(&disk);
    // The outbox is on another disk: a client that waits for a mail sends nothing else.
    std::fs::create_dir(plan.dir().join("outbox")).unwrap();
    std::fs::create_dir(disk.outside().join("data")).unwrap();
    std::os::unix::fs::symlink(plan.dir().join("outbox"), disk.outside().join("data/outbox")).unwrap();
    let fleet = ServerFleet::start(&[plan]);
    run_full_disk("disk full, embedded", &disk, fleet, EMBEDDED, Some("store.ephemeral"))
        .await
        .assert_memory_calls_are_fast();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_reports_a_full_disk() {
    let (redis, disk) = (redis::Server::start(), Disk::with_mebibytes(96));
    let postgres = postgres::Server::start_with(postgres::Options { disk: Some(disk.clone()), ..Default::default() });
    // A full disk is reported at once. A new connection, which follows each error, can take longer than the default.
    let fleet = ServerFleet::two_nodes(&Plan::on(&redis, &postgres).with_patient_stores());
    // The times of other calls are not checked: a Postgres that fails again and again uses a part of the machine.
    run_full_disk("disk full, Postgres", &disk, fleet, ON_SERVERS, None).await;
}

/// Without space for its write-ahead log, Postgres closes all connections and restarts, for which there is no space
/// either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_recovers_after_stopping_on_a_full_disk() {
    let (redis, disk) = (redis::Server::start(), Disk::with_mebibytes(96));
    let options = postgres::Options { disk: Some(disk.clone()), ..Default::default() };
    let mut postgres = postgres::Server::start_with(options);
    // Redis does not fail, and a Postgres that has stopped or cannot write says so at once.
    let fleet = ServerFleet::two_nodes(&Plan::on(&redis, &postgres).with_patient_stores());
    let mut sign_ups = SignUps::new(fleet.endpoints[0].client.clone());
    let traffic = fleet.start_traffic().await;
    let connection = postgres.client().await;
    let began = Instant::now();
    disk.fill();
    sign_ups.sign_up_until_refused(&disk, 3).await;
    // Another client writes large amounts.
    let large_write = "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))";
    while connection.batch_execute(large_write).await.is_ok() {
        disk.fill();
    }
    fleet.wait_until_not_ready("store.accounts").await;
    traffic.wait_for_503(began, &POSTGRES_CALLS, short_or_long(3, 30)).await;
    sign_ups.sign_up_until_refused(&disk, 3).await;
    traffic.wait_for_success(&[Call::Verify, Call::Jwks, Call::Refresh], 3, TIMEOUT).await;
    let panics = postgres.log().matches("PANIC").count();
    assert!(panics > 0, "{}", postgres.log());
    disk.remove_ballast();
    let mut restarted = false;
    let connects = async || {
        restarted |= postgres.restart_if_ended();
        tokio_postgres::connect(&postgres.url(), tokio_postgres::NoTls).await.is_ok()
    };
    until_within("Postgres accepts connections", TIMEOUT * 2, connects).await;
    let ended = Instant::now();
    println!(
        "Postgres panicked {panics} times, and {}",
        if restarted { "had to be started again" } else { "recovered by itself" }
    );
    traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    fleet.wait_until_ready().await;
    sign_ups.check(false).await;
    let mut outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&[Call::Verify, Call::VerifyEnded, Call::Jwks, Call::Refresh, Call::SignOut], &outcomes);
    outcomes.append(&mut sign_ups.outcomes);
    Fault { name: "disk full, Postgres stops", began, ended, max_recovery: MAX_RECOVERY, other_store_calls: &[] }
        .report(&outcomes);
}

/// The disk is too small for the write-ahead log alone; a checkpoint truncates it within the available space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_log_that_fills_the_disk_is_truncated() {
    let plan = Plan::embedded().on_disk(&Disk::with_mebibytes(2));
    plan.create_user(ROOT, PASSWORD, &[]);
    let node = plan.start();
    let client = Client::new(&node);
    let mut tokens = client.sign_in(ROOT).await;
    let began = Instant::now();
    for _ in 0..3 {
        for full in [true, false] {
            // Until the disk is full, or until it has space again.
            loop {
                let response = client.refresh_response(&tokens.refresh).await;
                if response.status == 200 {
                    tokens = response.is(200).tokens();
                }
                if (response.status == 503) == full {
                    break;
                }
                assert!(
                    began.elapsed() < TIMEOUT * 4,
                    "the disk does not become full or free, full: {full}: {response:?}"
                );
            }
        }
    }
}

/// The node notices a full disk without a write. After it has stopped, it refuses to start and logs why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_a_full_disk_is_not_ready() {
    let disk = Disk::with_mebibytes(32);
    let plan = Plan::embedded().on_disk(&disk);
    plan.create_user(ROOT, PASSWORD, &[]);
    let node = plan.start();
    let client = Client::new(&node);
    let tokens = client.sign_in(ROOT).await;
    disk.fill();
    until_within("the node is not ready", TIMEOUT, async || client.failing_conditions().await == ["store.ephemeral"])
        .await;
    assert_eq!(client.verify(&tokens.access).await.status, 200);
    disk.remove_ballast();
    until_within("the node is ready", TIMEOUT, async || client.failing_conditions().await.is_empty()).await;
    let tokens = client.refresh(&tokens).await;

    // After a clean stop the write-ahead log does not exist and cannot be created. After a kill it exists and can be
    // read, but not extended.
    node.terminate();
    assert!(node.wait_for_exit().success());
    let (mut node, tokens) =
        start_fails_until_there_is_space(&plan, &disk, &tokens, "since its disk is full: make room").await;
    node.kill();
    start_fails_until_there_is_space(&plan, &disk, &tokens, "disk is full").await;
}

async fn start_fails_until_there_is_space(
    plan: &Plan,
    disk: &Disk,
    tokens: &TokenPair,
    message: &str,
) -> (Signet, TokenPair) {
    disk.fill();
    let node = plan.try_start();
    assert!(!node.wait_for_exit().success());
    assert!(node.log().contains(message), "{}", node.log());
    disk.remove_ballast();
    let node = plan.start();
    let tokens = Client::new(&node).refresh(tokens).await;
    (node, tokens)
}

/// Fills the disk repeatedly under load. `failing_condition`: the condition that `/readyz` must report; none: it stays
/// ready.
async fn run_full_disk(
    name: &'static str,
    disk: &Disk,
    fleet: ServerFleet,
    (unavailable, unaffected): CallGroups,
    failing_condition: Option<&str>,
) -> Report {
    let client = fleet.endpoints[0].client.clone();
    let traffic = fleet.start_traffic().await;
    let mut sign_ups = SignUps::new(client);
    let began = Instant::now();
    let mut ended = began;
    for _ in 0..short_or_long(1, 5) {
        let filled = Instant::now();
        disk.fill();
        sign_ups.sign_up_until_refused(disk, short_or_long(3, 30)).await;
        traffic.wait_for_503(filled, unavailable, short_or_long(3, 10)).await;
        match failing_condition {
            Some(what) => fleet.wait_until_not_ready(what).await,
            None => fleet.wait_until_ready().await,
        }
        traffic.wait_for_success(unaffected, 3, TIMEOUT).await;
        disk.remove_ballast();
        ended = Instant::now();
        traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
        fleet.wait_until_ready().await;
    }
    sign_ups.check(true).await;
    let mut outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(unaffected, &outcomes);
    outcomes.append(&mut sign_ups.outcomes);
    Fault { name, began, ended, max_recovery: MAX_RECOVERY, other_store_calls: &[] }.report(&outcomes)
}

/// Sign-ups on a full disk, one after the other.
struct SignUps {
    client: Client,
    count: usize,
    signed_up: Vec<String>,
    refused: Vec<String>,
    outcomes: Vec<Outcome>,
}

impl SignUps {
    fn new(client: Client) -> Self {
        Self { client, count: 0, signed_up: Vec::new(), refused: Vec::new(), outcomes: Vec::new() }
    }

    async fn sign_up(&mut self, email: &str, password: &str) -> u16 {
        let sent_at = Instant::now();
        let request = self.client.post("/auth/login/signup").json(&json!({"email": email, "password": password}));
        let response = self.client.execute(request).await.expect("the node is up");
        let status = response.status;
        self.outcomes.push(Outcome { call: Call::SignUp, sent_at, duration: sent_at.elapsed(), status });
        assert!(matches!(status, 200 | 503), "{email}: {response:?}");
        assert!(status == 200 || response.retry_after().is_some_and(|seconds| seconds > 0), "{email}: {response:?}");
        status
    }

    /// Signs up until so many consecutive sign-ups were refused. Fills the disk before each, because space may become
    /// free.
    async fn sign_up_until_refused(&mut self, disk: &Disk, required: usize) {
        let (began, mut consecutive) = (Instant::now(), 0);
        while consecutive < required {
            assert!(began.elapsed() < TIMEOUT * 2, "there is space for {} users", self.signed_up.len());
            tokio::time::sleep(PAUSE).await;
            disk.fill();
            let email = format!("sign-up{}@example.org", self.count);
            self.count += 1;
            if self.sign_up(&email, PASSWORD).await == 200 {
                self.signed_up.push(email);
                consecutive = 0;
            } else {
                self.refused.push(email);
                consecutive += 1;
            }
        }
    }

    /// Checks that acknowledged sign-ups exist, and that refused ones do not: their addresses are free. If `certain` is
    /// false, because the connection to the store was lost, a refused user may exist completely.
    async fn check(&mut self, certain: bool) {
        for email in &self.signed_up {
            self.client.sign_out(&self.client.sign_in(email).await).await;
        }
        let new_password = format!("{PASSWORD} of today");
        for email in std::mem::take(&mut self.refused) {
            let old_sign_in =
                self.client.execute(self.client.sign_in_request(&email, PASSWORD)).await.expect("the node is up");
            if !certain && old_sign_in.status == 201 {
                continue;
            }
            assert_eq!(old_sign_in.status, 401, "{email}: a refused user exists");
            assert_eq!(self.sign_up(&email, &new_password).await, 200, "{email}");
            let new_sign_in =
                self.client.execute(self.client.sign_in_request(&email, &new_password)).await.expect("the node is up");
            self.client.sign_out(&new_sign_in.is(201).tokens()).await;
        }
        let unavailable = self.outcomes.iter().filter(|outcome| outcome.status == 503).count();
        let signed_up = self.signed_up.len();
        println!("audited: {signed_up} signed up on a full disk, {unavailable} were refused and signed up later");
    }
}
