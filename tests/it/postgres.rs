//! The Postgres store: servers that die, freeze or run out of connections, authentication and TLS.

mod limits;
mod schema;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signet::clock::{Timestamp, request_budget};
use signet::config::{self, SecretUrl};
use signet::store::accounts::postgres::{Postgres, migrate};
use signet::store::accounts::{Changed, Changes, Created, Find, User};
use signet::store::{Accounts, Error, Result};

use crate::conformance::accounts::{key, new_user};
use crate::support::postgres::{Options, PASSWORD, Server};

/// A time-out short enough for tests to wait for it, and long enough for calls that succeed on a busy machine.
const SHORT: Duration = Duration::from_secs(8);

/// The tolerated delay after a time-out on a machine that is busy with other tests. Less than the time of two more
/// time-outs, which callers would take who wait for a connection one after the other.
const SLACK: Duration = Duration::from_secs(12);

/// Time limit of every wait.
const TIMEOUT: Duration = Duration::from_secs(60);

fn with_short_timeout(server: &Server) -> config::Postgres {
    config::Postgres { timeout: SHORT, ..server.settings() }
}

async fn start_migrated() -> (Server, config::Postgres) {
    let server = Server::start();
    migrate(&server.settings()).await.unwrap();
    let settings = with_short_timeout(&server);
    (server, settings)
}

fn store(settings: &config::Postgres, connections: usize) -> Arc<Postgres> {
    Arc::new(Postgres::new(settings, connections).unwrap())
}

fn expect_unavailable<T: std::fmt::Debug>(answer: Result<T>) -> String {
    match answer {
        Err(Error::Unavailable { store: "Postgres", detail, .. }) => detail,
        other => panic!("expected Unavailable: {other:?}"),
    }
}

fn expect_corrupt<T: std::fmt::Debug>(answer: Result<T>) -> String {
    match answer {
        Err(Error::Corrupt { store: "Postgres", detail }) => detail,
        other => panic!("expected Corrupt: {other:?}"),
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < TIMEOUT, "{what}: not within {TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_a_kill() {
    let mut server = Server::start_with(Options { durable: true, ..Options::default() });
    migrate(&server.settings()).await.unwrap();
    let (store, patient) = (store(&with_short_timeout(&server), 4), store(&server.settings(), 1));
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (store, stop, acknowledged) = (store.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let (mut created, mut refusal_count) = (Vec::new(), 0);
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let user = new_user(&format!("user-{caller}-{round}"));
                    let began = Instant::now();
                    let answer = store.create_user(&user).await;
                    assert!(began.elapsed() < SHORT + SLACK, "an answer took {:?}", began.elapsed());
                    match answer {
                        Ok(Created::Created(_)) => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                            created.push(user.id);
                        }
                        Err(Error::Unavailable { .. }) => {
                            refusal_count += 1;
                            // A server that is down refuses immediately; a real caller would wait before its next call
                            // as well.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                (created, refusal_count)
            })
        })
        .collect();

    until("users are created", async || acknowledged.load(Ordering::Relaxed) >= 100).await;
    server.kill_immediate();
    expect_unavailable(store.check().await);
    let before = acknowledged.load(Ordering::Relaxed);
    server.restart();
    until("users are created again", async || acknowledged.load(Ordering::Relaxed) >= before + 100).await;
    stop.store(true, Ordering::Relaxed);
    let mut refusals = 0;
    for caller in callers {
        let (created, refusal_count) = caller.await.unwrap();
        refusals += refusal_count;
        for id in created {
            assert!(patient.user(Find::Id(id)).await.unwrap().is_some(), "an acknowledged user is lost");
        }
    }
    assert!(refusals > 0, "the server was down, but no call failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_server_is_unavailable_in_time_and_recovers() {
    let (mut server, settings) = start_migrated().await;
    let (warm, cold) = (store(&settings, 3), store(&settings, 3));
    let ada = new_user("ada");
    warm.create_user(&ada).await.unwrap();
    server.freeze();
    // More callers than connections: those that wait for a connection fail in time as well.
    let callers: Vec<_> = (0..20)
        .map(|index| {
            let store = if index % 2 == 0 { warm.clone() } else { cold.clone() };
            let id = ada.id;
            tokio::spawn(async move {
                let began = Instant::now();
                let answer = match index % 3 {
                    0 => store.user(Find::Id(id)).await.map(drop),
                    1 => store.import_users(&[new_user("eve")]).await.map(drop),
                    _ => store.end_sign_ins(id, Timestamp::from_millis(1)).await.map(drop),
                };
                (answer, began.elapsed())
            })
        })
        .collect();
    for caller in callers {
        let (answer, took) = caller.await.unwrap();
        expect_unavailable(answer);
        assert!(took < SHORT + SLACK, "it took {took:?}");
    }
    server.thaw();
    let watcher = server.client().await;
    // As text, which needs no date type in Rust.
    let thawed: String = watcher.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
    for store in [&warm, &cold] {
        until("the store works again", async || store.check().await.is_ok()).await;
        assert_eq!(store.user(Find::Id(ada.id)).await.unwrap().unwrap().id, ada.id);
    }
    until("connections that timed out are closed", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = 'signet' AND backend_start < $1::text::timestamptz";
        watcher.query_one(sql, &[&thawed]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_pool_is_unavailable_in_time() {
    let (server, settings) = start_migrated().await;
    let store = store(&settings, 2);
    let ada = new_user("ada");
    store.create_user(&ada).await.unwrap();
    let (lock_holder, watcher) = (server.client().await, server.client().await);
    lock_holder.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();

    // Two calls that wait for the row lock and are not polled from then on, so that they keep their connections.
    let mut holders =
        futures_util::future::join_all((0..2).map(|_| store.end_sign_ins(ada.id, Timestamp::from_millis(1))));
    tokio::select! {
        _ = &mut holders => panic!("the row is not locked"),
        () = until("both connections are in use", async || waiting_statements(&watcher).await == 2) => {}
    }
    let began = Instant::now();
    let results = futures_util::future::join_all((0..10).map(|_| store.user(Find::Id(ada.id)))).await;
    assert!(began.elapsed() < SHORT + SLACK);
    for answer in results {
        let detail = expect_unavailable(answer);
        assert!(detail.contains(&format!("no connection within {SHORT:?}, with 2 of 2 open")), "{detail}");
    }
    drop(holders);
    assert_eq!(
        store.user(Find::Id(ada.id)).await.unwrap().unwrap().id,
        ada.id,
        "a cancelled call returns its connection"
    );
}

/// Owners may repeat it, so it must not leave a dead row each time.
#[tokio::test(flavor = "multi_thread")]
async fn deactivating_an_api_key_again_writes_nothing() {
    let (server, settings) = start_migrated().await;
    let store = store(&settings, 1);
    let ada = new_user("ada");
    store.create_user(&ada).await.unwrap();
    let key = key(&ada, "sk_1", Timestamp::from_millis(1));
    assert!(store.create_api_key(&key, None).await.unwrap());
    let first = store.deactivate_api_key(ada.project, key.id, Timestamp::from_millis(2)).await.unwrap();
    // A statement that writes the row waits until it fails.
    let lock_holder = server.client().await;
    lock_holder.batch_execute("BEGIN; SELECT FROM api_keys FOR UPDATE").await.unwrap();
    let again = store.deactivate_api_key(ada.project, key.id, Timestamp::from_millis(3)).await.unwrap();
    assert!(first.is_some());
    assert_eq!(again, first);
}

/// Two calls in one request, as in creating an API key, share one time-out. Regression test: they used to take two.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_request_share_its_time_budget() {
    let (server, settings) = start_migrated().await;
    let store = store(&settings, 1);
    let ada = new_user("ada");
    store.create_user(&ada).await.unwrap();
    let lock_holder = server.client().await;
    lock_holder.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    let slow_call = || store.end_sign_ins(ada.id, Timestamp::from_millis(1));
    request_budget::with_budget(async {
        expect_unavailable(slow_call().await);
        // With time of its own it would succeed: no lock keeps a row from being read.
        let detail = expect_unavailable(store.user(Find::Id(ada.id)).await);
        assert!(detail.contains(&format!("no response within {SHORT:?}")), "{detail}");
        // A call in another task shares the budget.
        let other_task = request_budget::continue_budget(store.user(Find::Id(ada.id)));
        expect_unavailable(other_task.await);
    })
    .await;
    // The next request has its own budget, and so has each call outside a request.
    request_budget::with_budget(store.user(Find::Id(ada.id))).await.unwrap();
    expect_unavailable(slow_call().await);
    store.user(Find::Id(ada.id)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn timed_out_statement_is_cancelled_on_the_server() {
    let (server, settings) = start_migrated().await;
    let store = store(&settings, 2);
    let ada = new_user("ada");
    let created = store.create_user(&ada).await.unwrap();
    let (lock_holder, watcher) = (server.client().await, server.client().await);
    lock_holder.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    expect_unavailable(store.end_sign_ins(ada.id, Timestamp::from_millis(i64::MAX)).await);
    until("the statement is cancelled", async || waiting_statements(&watcher).await == 0).await;
    lock_holder.batch_execute("COMMIT").await.unwrap();
    let current = store.user(Find::Id(ada.id)).await.unwrap().unwrap();
    assert_eq!(Created::Created(Box::new(current)), created, "the cancelled statement had no effect");
}

/// A user with the same address is inserted by an uncommitted transaction: it is invisible, and the unique index makes
/// the call wait.
#[tokio::test(flavor = "multi_thread")]
async fn create_waits_for_a_conflicting_transaction() {
    let (server, settings) = start_migrated().await;
    // A default isolation level under which the wait would end in an error makes no difference.
    let strict = "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'";
    server.client().await.batch_execute(strict).await.unwrap();
    let store = store(&config::Postgres { timeout: TIMEOUT, ..settings }, 8);
    let (other, watcher) = (server.client().await, server.client().await);
    for (end, is_expected) in [
        ("ROLLBACK", (|answer| matches!(answer, Created::Created(_))) as fn(&Created) -> bool),
        ("COMMIT", |answer| *answer == Created::EmailTaken),
    ] {
        let user = new_user(end);
        other.batch_execute(&begin_insert(&user.email)).await.unwrap();
        let caller = tokio::spawn({
            let store = store.clone();
            async move { store.create_user(&user).await.unwrap() }
        });
        until("the caller waits", async || waiting_statements(&watcher).await == 1).await;
        other.batch_execute(end).await.unwrap();
        let answer = caller.await.unwrap();
        assert!(is_expected(&answer), "{end}: {answer:?}");
    }
}

/// The same for a user that changes its address.
#[tokio::test(flavor = "multi_thread")]
async fn change_waits_for_a_conflicting_transaction() {
    let (server, settings) = start_migrated().await;
    let store = store(&config::Postgres { timeout: TIMEOUT, ..settings }, 8);
    let (other, watcher) = (server.client().await, server.client().await);
    let Created::Created(user) = store.create_user(&new_user("ada")).await.unwrap() else {
        panic!("the address is free")
    };
    for (end, email) in [("COMMIT", "taken@example.org"), ("ROLLBACK", "free@example.org")] {
        other.batch_execute(&begin_insert(email)).await.unwrap();
        let changes = Changes { email: Some(email.to_owned()), superuser: Some(true), ..Changes::default() };
        let caller = tokio::spawn({
            let (store, id, now) = (store.clone(), user.id, user.updated_at);
            async move { store.change_user(id, &changes, now).await.unwrap() }
        });
        until("the caller waits", async || waiting_statements(&watcher).await == 1).await;
        other.batch_execute(end).await.unwrap();
        let expected = match end {
            "COMMIT" => Changed::EmailTaken,
            _ => Changed::Changed(Box::new(User {
                email: email.to_owned(),
                verified: false,
                superuser: true,
                ..(*user).clone()
            })),
        };
        assert_eq!(caller.await.unwrap(), expected, "{end}");
        let current = store.user(Find::Id(user.id)).await.unwrap().unwrap();
        assert_eq!(current.superuser, end == "ROLLBACK", "the whole change or nothing");
    }
}

/// Begins a transaction that inserts a user.
fn begin_insert(email: &str) -> String {
    format!(
        "BEGIN; INSERT INTO users (id, email, verified, disabled, superuser, roles, sessions_valid_after, created_at, updated_at)
         VALUES (gen_random_uuid(), '{email}', true, false, false, '{{}}', 0, 0, 0)"
    )
}

/// The number of the store's statements that wait for a lock.
async fn waiting_statements(watcher: &tokio_postgres::Client) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'signet' AND wait_event_type = 'Lock'";
    watcher.query_one(sql, &[]).await.unwrap().get(0)
}

#[test]
fn pool_belongs_to_the_runtime_of_its_worker() {
    let on_a_worker = |work: fn(config::Postgres)| {
        move |settings: config::Postgres| std::thread::spawn(move || work(settings)).join().unwrap()
    };
    let server = Server::start();
    let settings = server.settings();
    on_a_worker(|settings| current_thread(async move { migrate(&settings).await.map(drop) }).unwrap())(
        settings.clone(),
    );
    // One after the other; each runtime ends before the next begins. No connection may outlive its runtime.
    for _ in 0..3 {
        on_a_worker(|settings| {
            let worker = store(&settings, 2);
            current_thread(async move { worker.check().await }).unwrap();
        })(settings.clone());
    }
}

fn current_thread<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_do_not_show_the_password() {
    let server = Server::start();
    let url = server.url();
    let host = url.rsplit_once('@').unwrap().1;
    for (url, ca) in [
        (format!("postgres://signet:wrong-{0}@{host}", "hunter2"), None),
        (url.replace("/postgres", "/no-such-database"), None),
        (url.replace("signet:", "nobody:"), None),
        (url.replace("127.0.0.1", "no-such-host.invalid"), None),
        (format!("{url}?sslmode=require"), None),
        (format!("{url}?sslmode=hunter2"), None),
        (format!("{url}?password=a&hunter2=b"), None),
        (format!("{url}?password=hunter2&port=hunter2"), None),
        (format!("mysql://signet:hunter2@{host}"), None),
        ("postgres://signet:hunter2@127.0.0.1:1/postgres".to_owned(), None),
        ("postgres://signet:hunter2/%ff@@127.0.0.1:hunter2/%ff".to_owned(), None),
        (url.clone(), Some("no-such-file.pem".into())),
    ] {
        let settings = config::Postgres { url: SecretUrl(url.clone()), ca, ..server.settings() };
        let checked = async { Postgres::new(&settings, 1)?.check().await };
        for error in [checked.await.unwrap_err(), migrate(&settings).await.unwrap_err()] {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2") && !text.contains(PASSWORD), "{text}");
            expect_unavailable(Err::<(), _>(error));
        }
    }
}
