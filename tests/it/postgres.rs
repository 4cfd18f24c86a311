//! What is Postgres's alone: migrations, servers that die, freeze or are full, and who is let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use signet::clock::{Timestamp, request_budget};
use signet::config::{self, SecretUrl};
use signet::store::accounts::postgres::{Postgres, migrate};
use signet::store::accounts::{Changed, Changes, Created, Find, User};
use signet::store::{Accounts, Error, Result};

use crate::conformance::accounts::new_user;
use crate::support::postgres::{PASSWORD, Server, Unusual};

/// A time-out that tests wait for.
const SHORT: Duration = Duration::from_secs(1);

/// By how much an answer may come after its time-out, on a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(2);

/// In what time what must come about has come about.
const PATIENCE: Duration = Duration::from_secs(30);

fn short(server: &Server) -> config::Postgres {
    config::Postgres { timeout: SHORT, ..server.settings() }
}

async fn migrated() -> (Server, config::Postgres) {
    let server = Server::start();
    migrate(&server.settings()).await.unwrap();
    let settings = short(&server);
    (server, settings)
}

fn store(settings: &config::Postgres, connections: usize) -> Arc<Postgres> {
    Arc::new(Postgres::new(settings, connections).unwrap())
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T>) -> String {
    match answer {
        Err(Error::Unavailable { store: "Postgres", detail, .. }) => detail,
        other => panic!("it should be unavailable: {other:?}"),
    }
}

fn corrupt<T: std::fmt::Debug>(answer: Result<T>) -> String {
    match answer {
        Err(Error::Corrupt { store: "Postgres", detail }) => detail,
        other => panic!("it should be corrupt: {other:?}"),
    }
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "it never came about that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_nodes_migrate_at_once_and_one_does_the_work() {
    let server = Server::start();
    let nodes: Vec<_> = (0..10)
        .map(|_| {
            let settings = server.settings();
            tokio::spawn(async move { migrate(&settings).await.map(<[_]>::len) })
        })
        .collect();
    let mut applied = Vec::new();
    for node in nodes {
        applied.push(node.await.unwrap().unwrap());
    }
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert!(migrate(&server.settings()).await.unwrap().is_empty());
    store(&server.settings(), 1).check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_up_to_date_is_only_read() {
    let (server, settings) = migrated().await;
    let setup = "CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON signet_migrations TO reader";
    server.client().await.batch_execute(setup).await.unwrap();
    let url = server.url();
    let url = SecretUrl(format!("postgres://reader:reader@{}", url.rsplit_once('@').unwrap().1));
    assert!(migrate(&config::Postgres { url, ..settings }).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_is_told_apart_from_one_that_is_down() {
    let server = Server::start();
    let store = store(&server.settings(), 2);
    assert!(corrupt(store.check().await).contains("signet migrate"));
    assert!(corrupt(store.create_user(&new_user("ada")).await).contains("signet migrate"));
    migrate(&server.settings()).await.unwrap();
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_newer_or_changed_is_refused() {
    let (server, settings) = migrated().await;
    let client = server.client().await;
    let store = store(&settings, 1);

    let newer = "INSERT INTO signet_migrations (number, name, checksum) VALUES (3, 'to come', '')";
    client.batch_execute(newer).await.unwrap();
    let refusal = corrupt(migrate(&settings).await);
    assert!(refusal.contains("migration 3 (to come)") && refusal.contains("newer signet"), "{refusal}");
    store.check().await.expect("a node that runs already is the old half of a rolling upgrade");

    let changed = "DELETE FROM signet_migrations WHERE number = 3; UPDATE signet_migrations SET checksum = 'another'";
    client.batch_execute(changed).await.unwrap();
    for refusal in [corrupt(migrate(&settings).await), corrupt(store.check().await)] {
        assert!(refusal.contains("migration 1 (accounts)"), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_leaves_nothing_behind() {
    let server = Server::start();
    let client = server.client().await;
    // What comes last in the first step is there already.
    client.batch_execute("CREATE TABLE api_keys ()").await.unwrap();
    let refusal = unavailable(migrate(&server.settings()).await);
    assert!(refusal.contains("migration 1 (accounts)") && refusal.contains("api_keys"), "{refusal}");
    client.batch_execute("DROP TABLE api_keys").await.unwrap();
    assert_eq!(migrate(&server.settings()).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_the_store_recovers_by_itself() {
    let mut server = Server::unusual(Unusual { durable: true, ..Unusual::default() });
    migrate(&server.settings()).await.unwrap();
    let store = store(&short(&server), 4);
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (store, stop, acknowledged) = (store.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let (mut made, mut refused) = (Vec::new(), 0);
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let user = new_user(&format!("user-{caller}-{round}"));
                    let begun = Instant::now();
                    let answer = store.create_user(&user).await;
                    assert!(begun.elapsed() < SHORT + SLACK, "an answer took {:?}", begun.elapsed());
                    match answer {
                        Ok(Created::Created(_)) => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                            made.push(user.id);
                        }
                        Err(Error::Unavailable { .. }) => {
                            refused += 1;
                            // A server that is down refuses at once; a caller would not come back before long either.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                (made, refused)
            })
        })
        .collect();

    eventually("users are made", async || acknowledged.load(Ordering::Relaxed) >= 100).await;
    server.kill_immediate();
    unavailable(store.check().await);
    let before = acknowledged.load(Ordering::Relaxed);
    server.restart();
    eventually("users are made again", async || acknowledged.load(Ordering::Relaxed) >= before + 100).await;
    stop.store(true, Ordering::Relaxed);
    let mut refusals = 0;
    for caller in callers {
        let (made, refused) = caller.await.unwrap();
        refusals += refused;
        for id in made {
            assert!(store.user(Find::Id(id)).await.unwrap().is_some(), "an acknowledged user is lost");
        }
    }
    assert!(refusals > 0, "the server was down, and nobody noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_as_good_as_a_dead_one() {
    let (mut server, settings) = migrated().await;
    let (warm, cold) = (store(&settings, 3), store(&settings, 3));
    let ada = new_user("ada");
    warm.create_user(&ada).await.unwrap();
    server.freeze();
    // More callers than connections: those that wait for one are answered in time too.
    let callers: Vec<_> = (0..20)
        .map(|which| {
            let store = if which % 2 == 0 { warm.clone() } else { cold.clone() };
            let id = ada.id;
            tokio::spawn(async move {
                let begun = Instant::now();
                let answer = match which % 3 {
                    0 => store.user(Find::Id(id)).await.map(drop),
                    1 => store.import_users(&[new_user("eve")]).await.map(drop),
                    _ => store.end_sign_ins(id, Timestamp::from_millis(1)).await.map(drop),
                };
                (answer, begun.elapsed())
            })
        })
        .collect();
    for caller in callers {
        let (answer, took) = caller.await.unwrap();
        unavailable(answer);
        assert!(took < SHORT + SLACK, "it took {took:?}");
    }
    server.thaw();
    let watcher = server.client().await;
    // As text, which needs no type of time on this side.
    let thawed: String = watcher.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
    for store in [&warm, &cold] {
        eventually("the store answers again", async || store.check().await.is_ok()).await;
        assert_eq!(store.user(Find::Id(ada.id)).await.unwrap().unwrap().id, ada.id);
    }
    eventually("no connection that was late is kept", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = 'signet' AND backend_start < $1::text::timestamptz";
        watcher.query_one(sql, &[&thawed]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_get_no_connection_are_told_in_time() {
    let (server, settings) = migrated().await;
    let store = store(&settings, 2);
    let ada = new_user("ada");
    store.create_user(&ada).await.unwrap();
    let (in_the_way, watcher) = (server.client().await, server.client().await);
    in_the_way.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();

    // Two callers that have got as far as waiting for the row, and are not polled from then on: so they keep their
    // connections for as long as this test wants.
    let mut holders =
        futures_util::future::join_all((0..2).map(|_| store.end_sign_ins(ada.id, Timestamp::from_millis(1))));
    tokio::select! {
        _ = &mut holders => panic!("nothing is in their way"),
        () = eventually("both connections are taken", async || waiting(&watcher).await == 2) => {}
    }
    let begun = Instant::now();
    let refused = futures_util::future::join_all((0..10).map(|_| store.user(Find::Id(ada.id)))).await;
    assert!(begun.elapsed() < SHORT + SLACK);
    for answer in refused {
        let detail = unavailable(answer);
        assert!(detail.contains("no connection within 1s, with 2 of 2 open"), "{detail}");
    }
    drop(holders);
    assert_eq!(store.user(Find::Id(ada.id)).await.unwrap().unwrap().id, ada.id, "who goes away gives back what he had");
}

/// As a request that makes an API key does: it was to be told within the time-out, and could be told after two.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_twice_has_the_time_of_who_asks_once() {
    let (server, settings) = migrated().await;
    let store = store(&settings, 1);
    let ada = new_user("ada");
    store.create_user(&ada).await.unwrap();
    let in_the_way = server.client().await;
    in_the_way.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    let late = || store.end_sign_ins(ada.id, Timestamp::from_millis(1));
    let waits_again = request_budget::with_budget(async {
        unavailable(late().await);
        let begun = Instant::now();
        let detail = unavailable(store.user(Find::Id(ada.id)).await);
        assert!(detail.contains("no response within 1s"), "{detail}");
        // What is handed to another task is part of it.
        let elsewhere = request_budget::continue_budget(store.user(Find::Id(ada.id)));
        unavailable(elsewhere.await);
        begun.elapsed()
    });
    assert!(waits_again.await < SHORT / 2);
    // The next request has its own, and so has each call of who is no request.
    request_budget::with_budget(store.user(Find::Id(ada.id))).await.unwrap();
    unavailable(late().await);
    store.user(Find::Id(ada.id)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_go_on_with_what_nobody_waits_for() {
    let (server, settings) = migrated().await;
    let store = store(&settings, 2);
    let ada = new_user("ada");
    let made = store.create_user(&ada).await.unwrap();
    let (in_the_way, watcher) = (server.client().await, server.client().await);
    in_the_way.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    unavailable(store.end_sign_ins(ada.id, Timestamp::from_millis(i64::MAX)).await);
    eventually("the statement is given up", async || waiting(&watcher).await == 0).await;
    in_the_way.batch_execute("COMMIT").await.unwrap();
    let there = store.user(Find::Id(ada.id)).await.unwrap().unwrap();
    assert_eq!(Created::Created(Box::new(there)), made, "what was late was not done after all");
}

/// Somebody else's row, not yet committed when the address is asked for: no statement can see it, and the index makes it wait.
#[tokio::test(flavor = "multi_thread")]
async fn who_loses_to_an_unfinished_transaction_is_told_why() {
    let (server, settings) = migrated().await;
    // The database's own isolation, under which the wait would end in an error, changes nothing.
    let strict = "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'";
    server.client().await.batch_execute(strict).await.unwrap();
    let store = store(&config::Postgres { timeout: PATIENCE, ..settings }, 8);
    let (other, watcher) = (server.client().await, server.client().await);
    for (end, is_expected) in [
        ("ROLLBACK", (|answer| matches!(answer, Created::Created(_))) as fn(&Created) -> bool),
        ("COMMIT", |answer| *answer == Created::EmailTaken),
    ] {
        let user = new_user(end);
        other.batch_execute(&unfinished(&user.email)).await.unwrap();
        let caller = tokio::spawn({
            let store = store.clone();
            async move { store.create_user(&user).await.unwrap() }
        });
        eventually("the caller waits", async || waiting(&watcher).await == 1).await;
        other.batch_execute(end).await.unwrap();
        let answer = caller.await.unwrap();
        assert!(is_expected(&answer), "{end}: {answer:?}");
    }
}

/// The same for who has an address already and wants that one.
#[tokio::test(flavor = "multi_thread")]
async fn who_changes_to_what_an_unfinished_transaction_takes_is_told_why() {
    let (server, settings) = migrated().await;
    let store = store(&config::Postgres { timeout: PATIENCE, ..settings }, 8);
    let (other, watcher) = (server.client().await, server.client().await);
    let Created::Created(user) = store.create_user(&new_user("ada")).await.unwrap() else { panic!("nobody is there") };
    for (end, email) in [("COMMIT", "taken@example.org"), ("ROLLBACK", "free@example.org")] {
        other.batch_execute(&unfinished(email)).await.unwrap();
        let changes = Changes { email: Some(email.to_owned()), superuser: Some(true), ..Changes::default() };
        let caller = tokio::spawn({
            let (store, id, now) = (store.clone(), user.id, user.updated_at);
            async move { store.change_user(id, &changes, now).await.unwrap() }
        });
        eventually("the caller waits", async || waiting(&watcher).await == 1).await;
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
        let there = store.user(Find::Id(user.id)).await.unwrap().unwrap();
        assert_eq!(there.superuser, end == "ROLLBACK", "all of it or nothing");
    }
}

/// A transaction that makes a user and does not end.
fn unfinished(email: &str) -> String {
    format!(
        "BEGIN; INSERT INTO users (id, email, verified, disabled, superuser, roles, sessions_valid_after, created_at, updated_at)
         VALUES (gen_random_uuid(), '{email}', true, false, false, '{{}}', 0, 0, 0)"
    )
}

/// How many of the store's statements wait for a lock.
async fn waiting(watcher: &tokio_postgres::Client) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'signet' AND wait_event_type = 'Lock'";
    watcher.query_one(sql, &[]).await.unwrap().get(0)
}

#[test]
fn each_worker_has_a_pool_on_its_own_runtime() {
    let on_a_worker = |work: fn(config::Postgres)| {
        move |settings: config::Postgres| std::thread::spawn(move || work(settings)).join().unwrap()
    };
    let server = Server::start();
    let settings = server.settings();
    on_a_worker(|settings| current_thread(async move { migrate(&settings).await.map(drop) }).unwrap())(
        settings.clone(),
    );
    // One after the other, each runtime gone before the next begins: no connection outlives the runtime it was opened on.
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
async fn no_error_names_the_password() {
    let server = Server::start();
    let url = server.url();
    let place = url.rsplit_once('@').unwrap().1;
    for (url, ca) in [
        (format!("postgres://signet:wrong-{0}@{place}", "hunter2"), None),
        (url.replace("/postgres", "/no-such-database"), None),
        (url.replace("signet:", "nobody:"), None),
        (url.replace("127.0.0.1", "no-such-host.invalid"), None),
        (format!("{url}?sslmode=require"), None),
        (format!("{url}?sslmode=hunter2"), None),
        (format!("{url}?password=a&hunter2=b"), None),
        (format!("{url}?password=hunter2&port=hunter2"), None),
        (format!("mysql://signet:hunter2@{place}"), None),
        ("postgres://signet:hunter2@127.0.0.1:1/postgres".to_owned(), None),
        ("postgres://signet:hunter2/%ff@@127.0.0.1:hunter2/%ff".to_owned(), None),
        (url.clone(), Some("no-such-file.pem".into())),
    ] {
        let settings = config::Postgres { url: SecretUrl(url.clone()), ca, ..server.settings() };
        let reached = async { Postgres::new(&settings, 1)?.check().await };
        for error in [reached.await.unwrap_err(), migrate(&settings).await.unwrap_err()] {
            let said = format!("{error} {error:?}");
            assert!(!said.contains("hunter2") && !said.contains(PASSWORD), "{said}");
            unavailable(Err::<(), _>(error));
        }
    }
}

/// An authority, and what it says of that name: its certificate, and a chain and key.
fn certified(name: &str) -> (String, (String, String)) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = KeyPair::generate().unwrap();
    let root = params.self_signed(&authority).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, authority)).unwrap();
    (root, (leaf.pem(), key.serialize_pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_means_what_it_means_to_libpq() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, another, none] = ["ours", "another", "none"].map(|name| folder.path().join(name));
    let (here, here_tls) = certified("127.0.0.1");
    let (elsewhere, elsewhere_tls) = certified("elsewhere.example");
    std::fs::write(&another, certified("127.0.0.1").0).unwrap();
    std::fs::write(&none, "").unwrap();

    // What is said, with which authorities, and whether a server is believed that bears our name, or another's.
    let table = [
        ("", None, true, true),
        ("", Some(&ours), true, false),
        ("", Some(&another), false, false),
        ("?sslmode=disable", Some(&ours), false, false),
        ("?sslmode=prefer", Some(&another), true, true),
        ("?sslmode=require", None, true, true),
        ("?sslmode=require", Some(&ours), true, true),
        ("?sslmode=require", Some(&another), false, false),
        ("?sslmode=verify-ca", None, false, false),
        ("?sslmode=verify-ca", Some(&ours), true, true),
        ("?sslmode=verify-full", None, false, false),
        ("?sslmode=verify-full", Some(&ours), true, false),
        ("?sslmode=verify-full", Some(&another), false, false),
        ("?sslmode=verify-full", Some(&none), false, false),
    ];
    for (root, tls, bears_our_name) in [(here, here_tls, true), (elsewhere, elsewhere_tls, false)] {
        let server = Server::unusual(Unusual { tls: Some(tls), ..Unusual::default() });
        std::fs::write(&ours, root).unwrap();
        let first =
            config::Postgres { url: SecretUrl(format!("{}?sslmode=require", server.url())), ..server.settings() };
        assert_eq!(migrate(&first).await.unwrap().len(), 2);
        for (mode, ca, here, elsewhere) in table {
            let url = SecretUrl(format!("{}{mode}", server.url()));
            let settings = config::Postgres { url, ca: ca.cloned(), ..server.settings() };
            let answer = async { Postgres::new(&settings, 1)?.check().await }.await;
            let believed = if bears_our_name { here } else { elsewhere };
            assert_eq!(answer.is_ok(), believed, "{mode:?}, {ca:?}, our name: {bears_our_name}: {answer:?}");
            if !believed {
                unavailable(answer);
            }
        }
    }
}
