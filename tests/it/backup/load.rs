//! A backup under load: what was acknowledged before it began is in it, and what began after it had ended is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;

use super::stop;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TokenPair};
use crate::support::signet::Plan;
use crate::support::until;

/// People who work at the same time.
const PEOPLE: usize = 4;

/// Rounds that each does after the backup: few, because one is enough to be found.
const ROUNDS_AFTER: usize = 2;

/// The most rounds that each does in all.
const MAX_ROUNDS: usize = 500;

/// A change, and when its request was sent and acknowledged.
struct Entry {
    change: Change,
    sent: Instant,
    acknowledged: Instant,
}

enum Change {
    SignUp {
        email: String,
    },
    /// The session's counter is this or higher.
    Refresh {
        session: String,
        counter: u64,
    },
    SignOut {
        session: String,
    },
}

/// Signs up, in, refreshes, and out of every other session, and records it.
async fn work(server: &TestServer, person: usize, ledger: &Mutex<Vec<Entry>>, backed_up: &AtomicBool) {
    let record = |change, sent| {
        ledger.lock().unwrap().push(Entry { change, sent, acknowledged: Instant::now() });
    };
    let mut after = 0;
    for round in 0..MAX_ROUNDS {
        if backed_up.load(Ordering::SeqCst) {
            after += 1;
        }
        let email = format!("load-{person}-{round}@example.org");
        let sent = Instant::now();
        let body = json!({"email": email, "password": PASSWORD});
        server.post("/users").json(&body).send_checked().await.is(201);
        record(Change::SignUp { email: email.clone() }, sent);
        let mut pair: TokenPair = server.try_sign_in(&email, PASSWORD).await.is(201).tokens();
        let session = pair.session.clone();
        for counter in 1..=2 {
            let sent = Instant::now();
            pair = server.refresh(&pair.refresh).await.is(200).tokens();
            record(Change::Refresh { session: session.clone(), counter }, sent);
        }
        if round % 2 == 0 {
            let sent = Instant::now();
            let sign_out = server.delete(&format!("/sessions/{session}")).bearer_auth(&pair.access);
            sign_out.send_checked().await.is(204);
            record(Change::SignOut { session }, sent);
        }
        if after == ROUNDS_AFTER {
            return;
        }
    }
    panic!("the backup took longer than {MAX_ROUNDS} rounds");
}

#[tokio::test]
async fn a_backup_under_load_has_everything_from_before_it() {
    let server = TestServer::embedded(|plan| plan);
    let (ledger, backed_up) = (Mutex::new(Vec::<Entry>::new()), AtomicBool::new(false));
    let plan: Plan = server.plan().clone();
    let file = plan.dir().join("saved").to_str().unwrap().to_owned();
    let backup = async {
        until("every kind of change was acknowledged", async || ledger.lock().unwrap().len() >= 8 * PEOPLE).await;
        let began = Instant::now();
        let (plan, name) = (plan.clone(), file.clone());
        tokio::task::spawn_blocking(move || plan.json(&["backup", &name], "")).await.unwrap();
        let ended = Instant::now();
        backed_up.store(true, Ordering::SeqCst);
        (began, ended)
    };
    let people = join_all((0..PEOPLE).map(|person| work(&server, person, &ledger, &backed_up)));
    let ((began, ended), _) = tokio::join!(backup, people);
    stop(&server);

    let elsewhere = plan.another_node();
    elsewhere.json(&["restore", &file, "--keep-sessions", "--keep-api-keys"], "");
    let restored = read(&elsewhere.dir().join("data"));
    let ledger = ledger.into_inner().unwrap();
    let (before, after): (Vec<_>, Vec<_>) = ledger
        .iter()
        .filter(|entry| entry.acknowledged < began || entry.sent > ended)
        .partition(|entry| entry.sent < ended);
    assert!(before.len() >= 8 * PEOPLE && after.len() >= 3 * PEOPLE, "{} before, {} after", before.len(), after.len());
    let signed_out_until_then = |wanted: &str| {
        let is_it = |entry: &Entry| matches!(&entry.change, Change::SignOut { session } if session == wanted);
        ledger.iter().any(|entry| is_it(entry) && entry.sent < ended)
    };
    for entry in &before {
        match &entry.change {
            Change::SignUp { email } => assert!(restored.emails.contains(email), "{email} is lost"),
            Change::SignOut { session } => assert!(!restored.counters.contains_key(session), "{session} is back"),
            Change::Refresh { session, counter } => match restored.counters.get(session) {
                Some(restored) => assert!(restored >= counter, "{session} was at {counter}, is at {restored}"),
                None => assert!(signed_out_until_then(session), "{session} is lost"),
            },
        }
    }
    for entry in &after {
        match &entry.change {
            Change::SignUp { email } => assert!(!restored.emails.contains(email), "{email} is too early"),
            Change::Refresh { session, counter } => {
                let is_at = restored.counters.get(session);
                assert!(is_at.is_none_or(|restored| restored < counter), "{session} is at {is_at:?}");
            }
            Change::SignOut { .. } => {}
        }
    }
}

/// The content of a store.
struct Restored {
    emails: Vec<String>,
    /// The counter of each session.
    counters: BTreeMap<String, u64>,
}

fn read(data_dir: &Path) -> Restored {
    let database = super::open(data_dir);
    let mut emails = database.prepare("SELECT email FROM users").unwrap();
    let emails = emails.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut counters = database.prepare("SELECT id, counter FROM sessions").unwrap();
    let session = |bytes: [u8; 16]| uuid::Uuid::from_bytes(bytes).to_string();
    let counters = counters.query_map([], |row| Ok((session(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs())));
    let counters = counters.unwrap().map(Result::unwrap).collect();
    Restored { emails, counters }
}
