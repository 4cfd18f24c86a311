//! Measures the embedded store: durable refreshes a second by number of concurrent callers and for both durabilities,
//! the delay of revocations, and the cost of reading on a reader thread instead of in place.
//!
//! `cargo bench --bench embedded [FOLDER]`: the folder selects the disk (by default the temporary folder of the
//! system). It does not use criterion, because it measures the throughput of many callers and not the time of one call.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signet::clock::Timestamp;
use signet::config::{Durability, Embedded};
use signet::id::{ProjectId, SessionId, UserId};
use signet::rng::Rng;
use signet::store::accounts::sqlite::SqliteAccounts;
use signet::store::accounts::{Find, NewUser};
use signet::store::ephemeral::sqlite::SqliteEphemeral;
use signet::store::ephemeral::{Cursor, Revocation, RotateRequest, Rotation, Session, SessionConditions, Target};
use signet::store::sqlite::Engine;
use signet::store::{Accounts, Ephemeral};

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
const MEASURED_TIME: Duration = Duration::from_secs(3);
const DAY: Duration = Duration::from_secs(86_400);
const NETWORK: &str = "192.0.2.1";

#[tokio::main]
async fn main() {
    // `cargo bench` adds `--bench` before the arguments.
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    for durability in [Durability::Power, Durability::Process] {
        for callers in [1, 16, 64, 256] {
            let dir = tempfile::tempdir_in(&folder).unwrap();
            let engine = Engine::open(dir.path(), &Embedded { durability, ..Embedded::default() }, NOW).unwrap();
            let (per_second, mut durations) = measure_refreshes(Arc::new(SqliteEphemeral::new(engine)), callers).await;
            durations.sort_unstable();
            let at = |fraction: f64| durations[((durations.len() - 1) as f64 * fraction) as usize];
            println!(
                "{durability:?}: {callers:>3} callers {:>6.0} refreshes/s, median {:>7.2?}, 99 % {:>7.2?}, slowest {:.2?}",
                per_second,
                at(0.5),
                at(0.99),
                at(1.0),
            );
        }
    }
    let dir = tempfile::tempdir_in(&folder).unwrap();
    let engine =
        Engine::open(dir.path(), &Embedded { durability: Durability::Process, ..Embedded::default() }, NOW).unwrap();
    measure_reads(&engine).await;
    let here = Arc::new(SqliteEphemeral::new(Arc::clone(&engine)));
    measure_revocations("this process", &here, &here).await;
    // A second engine represents another process: the two share only the file.
    let there =
        Engine::open(dir.path(), &Embedded { durability: Durability::Process, ..Embedded::default() }, NOW).unwrap();
    measure_revocations("another process", &here, &Arc::new(SqliteEphemeral::new(there))).await;
}

/// Measures the time from a call that revokes until a follower receives the revocation.
async fn measure_revocations(follower_name: &str, publisher: &SqliteEphemeral, subscriber: &Arc<SqliteEphemeral>) {
    let mut cursor = Cursor::start();
    let mut durations = Vec::new();
    for round in 0..50 {
        while let page = subscriber.read_stream(&cursor, Duration::ZERO).await.unwrap()
            && !page.entries.is_empty()
        {
            cursor = page.cursor;
        }
        let follower = tokio::spawn({
            let (subscriber, cursor) = (Arc::clone(subscriber), cursor.clone());
            async move { subscriber.read_stream(&cursor, Duration::from_secs(5)).await.unwrap() }
        });
        // Each time at a different point of the follower's polling interval.
        tokio::time::sleep(Duration::from_millis(10 + round)).await;
        let started = Instant::now();
        publisher.revoke(&Revocation { target: Target::Keyring, expires_at: NOW + DAY }, NOW).await.unwrap();
        assert!(!follower.await.unwrap().entries.is_empty());
        durations.push(started.elapsed());
    }
    durations.sort_unstable();
    println!(
        "a revocation reaches {follower_name} after {:.2?} (median), {:.2?} (slowest)",
        durations[25], durations[49]
    );
}

/// Returns refreshes a second, and the duration of each.
async fn measure_refreshes(store: Arc<SqliteEphemeral>, callers: usize) -> (f64, Vec<Duration>) {
    let stopped = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (store, stopped) = (Arc::clone(&store), Arc::clone(&stopped));
            tokio::spawn(async move {
                let session = new_session();
                store.open_session(&session, NETWORK, NOW, 100, NOW + DAY).await.unwrap();
                let mut durations = Vec::new();
                for counter in 0.. {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let started = Instant::now();
                    let request = RotateRequest {
                        user: session.user,
                        session: session.id,
                        counter,
                        rotate: true,
                        grace: Duration::ZERO,
                        not_before: NOW,
                        revocation_expires_at: NOW + DAY,
                        conditions: SessionConditions::default(),
                    };
                    assert!(matches!(store.rotate_refresh_token(request, NOW).await.unwrap(), Rotation::Rotated(_)));
                    durations.push(started.elapsed());
                }
                durations
            })
        })
        .collect();
    tokio::time::sleep(MEASURED_TIME).await;
    stopped.store(true, Ordering::Relaxed);
    let mut durations = Vec::new();
    for caller in callers {
        durations.extend(caller.await.unwrap());
    }
    (durations.len() as f64 / started.elapsed().as_secs_f64(), durations)
}

fn new_session() -> Session {
    let rng = Rng::system();
    Session {
        id: SessionId::new(NOW, &rng),
        user: UserId::new(NOW, &rng),
        counter: 0,
        opened_at: NOW,
        auth_time: NOW,
        used_at: NOW,
        rotated_at: NOW,
        idle_timeout: DAY,
        ends_at: NOW + DAY * 30,
        dialect: "native".to_owned(),
        client_ip: "192.0.2.1".to_owned(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        claims: r#"{"email":"someone@example.org","scope":"","roles":["user"]}"#.to_owned(),
        custom_claims: String::new(),
    }
}

/// Measures one caller that reads a user repeatedly: on a reader thread, and in place.
async fn measure_reads(engine: &Arc<Engine>) {
    const TIMES: u32 = 20_000;
    let accounts = SqliteAccounts::new(Arc::clone(engine));
    let rng = Rng::system();
    let (id, project) = (UserId::new(NOW, &rng), ProjectId::new(NOW, &rng));
    let user = NewUser {
        verified: true,
        roles: vec!["user".to_owned()],
        ..NewUser::new(id, "someone@example.org".to_owned(), project, NOW)
    };
    accounts.create_user(&user).await.unwrap();
    let started = Instant::now();
    for _ in 0..TIMES {
        assert!(accounts.user(Find::Id(user.id)).await.unwrap().is_some());
    }
    println!("reading a user: {:.1?} on a reader thread", started.elapsed() / TIMES);

    let inline = rusqlite::Connection::open(engine.path()).unwrap();
    let started = Instant::now();
    for _ in 0..TIMES {
        let mut statement = inline.prepare_cached("SELECT * FROM users WHERE id = ?1").unwrap();
        let email: String = statement.query_row([user.id.as_bytes().as_slice()], |row| row.get("email")).unwrap();
        assert_eq!(email, user.email);
    }
    println!("reading a user: {:.1?} in place", started.elapsed() / TIMES);
}
