//! The embedded store as other processes and the system see it: what survives `kill -9`, many processes on one file, who
//! may read it, and what is refused at the start.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signet::clock::Timestamp;
use signet::config::{Durability, Embedded};
use signet::id::{ProjectId, SessionId, TokenId, UserId};
use signet::rng::Rng;
use signet::store::accounts::sqlite::SqliteAccounts;
use signet::store::accounts::{Created, Find, NewUser};
use signet::store::ephemeral::sqlite::SqliteEphemeral;
use signet::store::ephemeral::{Cursor, Opened, Revocation, RotateRequest, Rotation, Session, Target};
use signet::store::sqlite::{Engine, OpenError, migrate};
use signet::store::{Accounts, Ephemeral};

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
const EMBEDDED: Embedded = Embedded { durability: Durability::Process, timeout: Duration::from_secs(2) };
const DAY: Duration = Duration::from_secs(86_400);

struct Stores {
    accounts: SqliteAccounts,
    ephemeral: SqliteEphemeral,
}

fn open(dir: &Path) -> Arc<Stores> {
    let engine = Engine::open(dir, &EMBEDDED, NOW).unwrap();
    let (accounts, ephemeral) = (SqliteAccounts::new(engine.clone()), SqliteEphemeral::new(engine));
    Arc::new(Stores { accounts, ephemeral })
}

fn somebody(name: &str) -> NewUser {
    let rng = Rng::system();
    let (id, project) = (UserId::new(NOW, &rng), ProjectId::new(NOW, &rng));
    NewUser { verified: true, ..NewUser::new(id, format!("{name}@example.org"), project, NOW) }
}

fn session_of(user: UserId) -> Session {
    Session {
        id: SessionId::new(NOW, &Rng::system()),
        user,
        counter: 0,
        opened_at: NOW,
        used_at: NOW,
        rotated_at: NOW,
        idle_timeout: DAY,
        ends_at: NOW + DAY,
        dialect: "native".to_owned(),
        client_ip: "127.0.0.1".to_owned(),
        user_agent: "a test".to_owned(),
        profile: "{}".to_owned(),
    }
}

fn presented(session: &Session, counter: u64) -> RotateRequest {
    RotateRequest {
        user: session.user,
        session: session.id,
        counter,
        rotate: true,
        grace: Duration::ZERO,
        not_before: NOW,
        revocation_expires_at: NOW + DAY,
    }
}

/// Another process on the same file: this very binary, told by its standard input what to do. Ends with its handle.
struct Other {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(dir: &Path, order: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::the_other_process", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut orders = process.stdin.take().unwrap();
        writeln!(orders, "{}\n{order}", dir.display()).unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, orders, answers }
    }

    /// What it says next, without what the test harness says around it.
    fn answer(&mut self) -> Option<String> {
        self.answers.by_ref().map(Result::unwrap).find_map(|line| line.strip_prefix("> ").map(str::to_owned))
    }

    fn go(&mut self) {
        writeln!(self.orders, "go").unwrap();
    }

    /// Whether it ended well by itself.
    fn ended_well(mut self) -> bool {
        while self.answer().is_some() {}
        self.process.wait().unwrap().success()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // SIGKILL; an error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn say(what: &str) {
    writeln!(std::io::stdout().lock(), "> {what}").unwrap();
}

fn order() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the other tests start; by itself it has no orders"]
async fn the_other_process() {
    let dir = order();
    assert!(!dir.is_empty(), "this is started by the other tests");
    let dir = Path::new(&dir);
    match order().split(' ').collect::<Vec<_>>()[..] {
        ["write-until-killed", round] => write_until_killed(&open(dir), round).await,
        ["start-and-make-users", count, name] => {
            say("ready");
            assert_eq!(order(), "go");
            let stores = open(dir);
            for which in 0..count.parse::<u32>().unwrap() {
                let made = stores.accounts.create_user(&somebody(&format!("{name}-{which}"))).await.unwrap();
                assert!(matches!(made, Created::Created(_)));
            }
        }
        ["revoke"] => {
            let stores = open(dir);
            say("ready");
            assert_eq!(order(), "go");
            let target = Target::Token(TokenId(uuid::Uuid::from_u128(7)));
            stores.ephemeral.revoke(&Revocation { target, expires_at: NOW + DAY }, NOW).await.unwrap();
        }
        ref unknown => panic!("no such order: {unknown:?}"),
    }
}

/// Thirty-two callers at once, each saying what it was promised as soon as it was.
async fn write_until_killed(stores: &Arc<Stores>, round: &str) {
    let callers: Vec<_> = (0..32)
        .map(|caller| {
            let (stores, round) = (Arc::clone(stores), round.to_owned());
            tokio::spawn(async move {
                // More than any test waits for: a process that nobody kills ends.
                for turn in 0..10_000 {
                    let user = somebody(&format!("{round}-{caller}-{turn}"));
                    assert!(matches!(stores.accounts.create_user(&user).await.unwrap(), Created::Created(_)));
                    say(&format!("user {}", user.email));
                    let session = session_of(user.id);
                    let opened = stores.ephemeral.open_session(&session, NOW, 100, NOW + DAY).await.unwrap();
                    assert_eq!(opened, Opened::Opened { ended: vec![] });
                    for counter in 0..3 {
                        let rotation =
                            stores.ephemeral.rotate_refresh_token(presented(&session, counter), NOW).await.unwrap();
                        assert!(matches!(rotation, Rotation::Rotated(_)));
                        say(&format!("session {} {} {}", user.id, session.id, counter + 1));
                    }
                    let target = Target::Session(session.id);
                    stores.ephemeral.revoke(&Revocation { target, expires_at: NOW + DAY }, NOW).await.unwrap();
                    say(&format!("revoked {}", session.id));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let mut other = Other::start(dir.path(), &format!("write-until-killed {round}"));
        // Each time at another point: in the middle of the first group, of a checkpoint, of the thousandth write.
        for _ in 0..(37 << round) {
            acknowledged.push(other.answer().expect("it writes until it is killed"));
        }
        other.process.kill().unwrap();
        // What it said between the last line that was read and its end was promised as well.
        while let Some(line) = other.answer() {
            acknowledged.push(line);
        }
    }

    let stores = open(dir.path());
    let mut revoked = Vec::new();
    let mut place = Cursor::start();
    loop {
        let (found, next) = stores.ephemeral.follow(&place, Duration::ZERO).await.unwrap();
        if found.is_empty() {
            break;
        }
        revoked.extend(found.into_iter().map(|revocation| revocation.target));
        place = next;
    }
    let id = |text: &str| SessionId::parse(text).unwrap();
    let mut counters = std::collections::HashMap::new();
    for line in &acknowledged {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["user", email] => {
                let user = stores.accounts.user(Find::Email(email)).await.unwrap().expect(line);
                assert_eq!(stores.accounts.projects(user.id).await.unwrap().len(), 1, "{line}: half made");
            }
            ["session", user, session, counter] => {
                let counter: u64 = counter.parse().unwrap();
                counters.insert((UserId::parse(user).unwrap(), id(session)), counter);
            }
            ["revoked", session] => assert!(revoked.contains(&Target::Session(id(session))), "{line}"),
            _ => panic!("not of this test: {line}"),
        }
    }
    for ((user, session), counter) in counters {
        let found = stores.ephemeral.session(user, session, NOW).await.unwrap().expect("the session is there");
        assert!(found.counter >= counter, "{session}: {} where {counter} was acknowledged", found.counter);
    }
    assert!(acknowledged.len() > 37 * 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_start_at_once_on_an_empty_folder_and_write() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not/yet/there");
    let order = |which: usize| format!("start-and-make-users 20 user-{which}");
    let mut others: Vec<_> = (0..10).map(|which| Other::start(&folder, &order(which))).collect();
    for other in &mut others {
        assert_eq!(other.answer().as_deref(), Some("ready"));
    }
    others.iter_mut().for_each(Other::go);
    for other in others {
        assert!(other.ended_well());
    }
    let users = open(&folder).accounts.users(0, 1000).await.unwrap();
    let numbers: Vec<_> = users.iter().map(|user| user.number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    assert!(migrate(&folder, &EMBEDDED, NOW).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_gets_its_turn_beside_a_busy_one() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    let mut other = Other::start(dir.path(), "start-and-make-users 20 beside");
    assert_eq!(other.answer().as_deref(), Some("ready"));
    let done = Arc::new(AtomicBool::new(false));
    // Enough callers that the writer always finds somebody waiting.
    let callers: Vec<_> = (0..256)
        .map(|which| {
            let (stores, done) = (Arc::clone(&stores), Arc::clone(&done));
            tokio::spawn(async move {
                let session = session_of(somebody(&which.to_string()).id);
                stores.ephemeral.open_session(&session, NOW, 100, NOW + DAY).await.unwrap();
                let mut counter = 0;
                while !done.load(Ordering::Relaxed) {
                    let rotation =
                        stores.ephemeral.rotate_refresh_token(presented(&session, counter), NOW).await.unwrap();
                    assert!(matches!(rotation, Rotation::Rotated(_)));
                    counter += 1;
                }
            })
        })
        .collect();
    other.go();
    let ended_well = tokio::task::spawn_blocking(move || other.ended_well()).await.unwrap();
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(ended_well);
    assert_eq!(stores.accounts.users(0, 100).await.unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_what_another_process_revokes() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    let mut other = Other::start(dir.path(), "revoke");
    assert_eq!(other.answer().as_deref(), Some("ready"));
    let follower = tokio::spawn({
        let stores = Arc::clone(&stores);
        async move { stores.ephemeral.follow(&Cursor::start(), Duration::from_secs(30)).await.unwrap() }
    });
    other.go();
    let (heard, _) = follower.await.unwrap();
    let target = Target::Token(TokenId(uuid::Uuid::from_u128(7)));
    assert_eq!(heard, [Revocation { target, expires_at: NOW + DAY }]);
    assert!(other.ended_well());
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_read_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("data");
    let stores = open(&folder);
    stores.accounts.create_user(&somebody("ada")).await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the file, its log and its index: {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    drop(stores);

    // A copy that was restored carelessly is closed again.
    fs::set_permissions(folder.join("signet.db"), Permissions::from_mode(0o644)).unwrap();
    let stores = open(&folder);
    assert_eq!(mode(&folder.join("signet.db")), 0o600);
    assert!(stores.accounts.user(Find::Email("ada@example.org")).await.unwrap().is_some());
}

fn refusal(dir: &Path) -> OpenError {
    Engine::open(dir, &EMBEDDED, NOW).expect_err("this can't be opened")
}

#[test]
fn a_start_that_is_refused_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("in-the-way");
    fs::write(&in_the_way, "").unwrap();
    let error = refusal(&in_the_way.join("data"));
    assert!(matches!(error, OpenError::Folder { .. }));
    let text = error.to_string();
    assert!(text.contains("in-the-way/data") && text.contains("SIGNET_DATA_DIR"), "{text}");

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("signet.db"), "this is no database, however long it is").unwrap();
    assert!(matches!(refusal(&foreign), OpenError::Unreadable { .. }));

    let newer = dir.path().join("newer");
    let applied: Vec<_> = migrate(&newer, &EMBEDDED, NOW).unwrap().iter().map(|step| step.name).collect();
    assert_eq!(applied, ["accounts", "ephemeral", "endings"]);
    let file = rusqlite::Connection::open(newer.join("signet.db")).unwrap();
    file.execute(ANOTHER_AGE, []).unwrap();
    let error = refusal(&newer);
    assert!(matches!(error, OpenError::Schema { .. }));
    let text = error.to_string();
    assert!(text.contains("newer/signet.db") && text.contains("run the newer signet"), "{text}");

    file.execute("DELETE FROM signet_migrations WHERE number = 4", []).unwrap();
    file.execute("UPDATE signet_migrations SET checksum = '' WHERE number = 1", []).unwrap();
    let text = refusal(&newer).to_string();
    assert!(text.contains("migration 1 (accounts)"), "{text}");
}

const ANOTHER_AGE: &str = "INSERT INTO signet_migrations VALUES (4, 'of another age', '', 0)";

#[tokio::test]
async fn a_running_server_bears_a_newer_schema_and_none_with_a_step_gone() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    stores.accounts.check().await.unwrap();
    stores.ephemeral.check().await.unwrap();
    let file = rusqlite::Connection::open(dir.path().join("signet.db")).unwrap();
    file.execute(ANOTHER_AGE, []).unwrap();
    stores.accounts.check().await.unwrap();
    stores.ephemeral.check().await.unwrap();
    file.execute("DELETE FROM signet_migrations WHERE number > 1", []).unwrap();
    assert!(matches!(stores.accounts.check().await, Err(signet::store::Error::Corrupt { .. })));
    assert!(matches!(stores.ephemeral.check().await, Err(signet::store::Error::Corrupt { .. })));
}
