//! What the embedded store bears: durable refreshes a second by how many callers wait at once, for both durabilities, and
//! what it costs to read on a reader's thread instead of in place. `cargo bench --bench embedded [FOLDER]`: the folder
//! decides which disk is measured (by default the system's temporary one).
//!
//! Not criterion: what counts is how much many callers get done together, not how long one call takes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on panics")]

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
use signet::store::ephemeral::{Cursor, Revocation, RotateRequest, Rotation, Session, Target};
use signet::store::sqlite::Engine;
use signet::store::{Accounts, Ephemeral};

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
const SPAN: Duration = Duration::from_secs(3);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::main]
async fn main() {
    // `cargo bench` puts `--bench` before what it is given.
    let folder = std::env::args().skip(1).find(|word| !word.starts_with('-')).map(PathBuf::from);
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    for durability in [Durability::Power, Durability::Process] {
        for callers in [1, 16, 64, 256] {
            let dir = tempfile::tempdir_in(&folder).unwrap();
            let engine = Engine::open(dir.path(), &Embedded { durability, ..Embedded::default() }, NOW).unwrap();
            let (done, mut spans) = refreshes(Arc::new(SqliteEphemeral::new(engine)), callers).await;
            spans.sort_unstable();
            let at = |share: f64| spans[((spans.len() - 1) as f64 * share) as usize];
            println!(
                "{durability:?}: {callers:>3} callers {:>6.0} refreshes/s, median {:>7.2?}, 99 % {:>7.2?}, slowest {:.2?}",
                done,
                at(0.5),
                at(0.99),
                at(1.0),
            );
        }
    }
    let dir = tempfile::tempdir_in(&folder).unwrap();
    let engine =
        Engine::open(dir.path(), &Embedded { durability: Durability::Process, ..Embedded::default() }, NOW).unwrap();
    reads(&engine).await;
    let here = Arc::new(SqliteEphemeral::new(Arc::clone(&engine)));
    revocations("this process", &here, &here).await;
    // A second engine stands for another process: nothing but the file connects the two.
    let there =
        Engine::open(dir.path(), &Embedded { durability: Durability::Process, ..Embedded::default() }, NOW).unwrap();
    revocations("another process", &here, &Arc::new(SqliteEphemeral::new(there))).await;
}

/// How long from the call that revokes until a follower has heard of it.
async fn revocations(whose: &str, revoking: &SqliteEphemeral, following: &Arc<SqliteEphemeral>) {
    let mut place = Cursor::start();
    let mut spans = Vec::new();
    for which in 0..50 {
        while let (found, next) = following.follow(&place, Duration::ZERO).await.unwrap()
            && !found.is_empty()
        {
            place = next;
        }
        let follower = tokio::spawn({
            let (following, place) = (Arc::clone(following), place.clone());
            async move { following.follow(&place, Duration::from_secs(5)).await.unwrap() }
        });
        // At another point of the follower's round each time.
        tokio::time::sleep(Duration::from_millis(10 + which)).await;
        let begun = Instant::now();
        revoking.revoke(&Revocation { target: Target::Keyring, expires_at: NOW + DAY }, NOW).await.unwrap();
        assert!(!follower.await.unwrap().0.is_empty());
        spans.push(begun.elapsed());
    }
    spans.sort_unstable();
    println!("a revocation is heard in {whose} after {:.2?} (median), {:.2?} (slowest)", spans[25], spans[49]);
}

/// Refreshes a second, and how long each took.
async fn refreshes(store: Arc<SqliteEphemeral>, callers: usize) -> (f64, Vec<Duration>) {
    let done = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tokio::spawn(async move {
                let session = session();
                store.open_session(&session, NOW, 100, NOW + DAY).await.unwrap();
                let mut spans = Vec::new();
                for counter in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    let presented = RotateRequest {
                        user: session.user,
                        session: session.id,
                        counter,
                        rotate: true,
                        grace: Duration::ZERO,
                        not_before: NOW,
                        revocation_expires_at: NOW + DAY,
                    };
                    assert!(matches!(store.rotate_refresh_token(presented, NOW).await.unwrap(), Rotation::Rotated(_)));
                    spans.push(begun.elapsed());
                }
                spans
            })
        })
        .collect();
    tokio::time::sleep(SPAN).await;
    done.store(true, Ordering::Relaxed);
    let mut spans = Vec::new();
    for caller in callers {
        spans.extend(caller.await.unwrap());
    }
    (spans.len() as f64 / begun.elapsed().as_secs_f64(), spans)
}

fn session() -> Session {
    let rng = Rng::system();
    Session {
        id: SessionId::new(NOW, &rng),
        user: UserId::new(NOW, &rng),
        counter: 0,
        opened_at: NOW,
        used_at: NOW,
        rotated_at: NOW,
        idle_timeout: DAY,
        ends_at: NOW + DAY * 30,
        dialect: "native".to_owned(),
        client_ip: "192.0.2.1".to_owned(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        profile: r#"{"email":"somebody@example.org","scope":"","roles":["user"]}"#.to_owned(),
    }
}

/// One caller, one look at a user after the other: through a reader's thread, and in place.
async fn reads(engine: &Arc<Engine>) {
    const TIMES: u32 = 20_000;
    let accounts = SqliteAccounts::new(Arc::clone(engine));
    let rng = Rng::system();
    let (id, project) = (UserId::new(NOW, &rng), ProjectId::new(NOW, &rng));
    let user = NewUser {
        verified: true,
        roles: vec!["user".to_owned()],
        ..NewUser::new(id, "somebody@example.org".to_owned(), project, NOW)
    };
    accounts.create_user(&user).await.unwrap();
    let begun = Instant::now();
    for _ in 0..TIMES {
        assert!(accounts.user(Find::Id(user.id)).await.unwrap().is_some());
    }
    println!("reading a user: {:.1?} through a reader's thread", begun.elapsed() / TIMES);

    let inline = rusqlite::Connection::open(engine.path()).unwrap();
    let begun = Instant::now();
    for _ in 0..TIMES {
        let mut statement = inline.prepare_cached("SELECT * FROM users WHERE id = ?1").unwrap();
        let email: String = statement.query_row([user.id.as_bytes().as_slice()], |row| row.get("email")).unwrap();
        assert_eq!(email, user.email);
    }
    println!("reading a user: {:.1?} in place", begun.elapsed() / TIMES);
}
