//! The embedded store from outside: durability under `kill -9`, many processes on one file, file permissions, and
//! the schema.

mod schema;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::conformance::Follow;
use crate::conformance::accounts::key;
use signet::clock::Timestamp;
use signet::config::{Durability, Embedded};
use signet::id::{ProjectId, SessionId, TokenId, UserId};
use signet::rng::Rng;
use signet::store::accounts::sqlite::SqliteAccounts;
use signet::store::accounts::{Created, Find, NewUser};
use signet::store::ephemeral::sqlite::SqliteEphemeral;
use signet::store::ephemeral::{
    Cursor, Opened, Revocation, RotateRequest, Rotation, Session, SessionConditions, Target,
};
use signet::store::sqlite::{Engine, migrate};
use signet::store::{Accounts, Ephemeral};

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
const EMBEDDED: Embedded = Embedded { durability: Durability::Process, timeout: Duration::from_secs(2) };
/// For tests that are not about waiting: beside other tests, a process can wait for seconds for the file.
const PATIENT: Embedded = Embedded { durability: Durability::Process, timeout: Duration::from_secs(20) };
const DAY: Duration = Duration::from_secs(86_400);
const NETWORK: &str = "192.0.2.1";

struct Stores {
    accounts: SqliteAccounts,
    ephemeral: SqliteEphemeral,
}

fn open(dir: &Path) -> Arc<Stores> {
    open_with(dir, &PATIENT)
}

fn open_with(dir: &Path, embedded: &Embedded) -> Arc<Stores> {
    let engine = Engine::open(dir, embedded, NOW).unwrap();
    let (accounts, ephemeral) = (SqliteAccounts::new(engine.clone()), SqliteEphemeral::new(engine));
    Arc::new(Stores { accounts, ephemeral })
}

fn new_user(name: &str) -> NewUser {
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
        auth_time: NOW,
        used_at: NOW,
        rotated_at: NOW,
        idle_timeout: DAY,
        ends_at: NOW + DAY,
        dialect: "native".to_owned(),
        client_ip: "127.0.0.1".to_owned(),
        user_agent: "a test".to_owned(),
        claims: "{}".to_owned(),
        custom_claims: String::new(),
    }
}

fn rotate_request(session: &Session, counter: u64) -> RotateRequest {
    RotateRequest {
        user: session.user,
        session: session.id,
        counter,
        rotate: true,
        grace: Duration::ZERO,
        not_before: NOW,
        revocation_expires_at: NOW + DAY,
        conditions: SessionConditions::default(),
    }
}

/// Another process on the same file: this test binary, which reads its commands from stdin. Killed when dropped.
struct ChildProcess {
    process: Child,
    commands: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl ChildProcess {
    fn start(dir: &Path, command: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::child_process", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut commands = process.stdin.take().unwrap();
        writeln!(commands, "{}\n{command}", dir.display()).unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, commands, output }
    }

    /// The next line that it printed, without the output of the test harness.
    fn next_line(&mut self) -> Option<String> {
        self.output.by_ref().map(Result::unwrap).find_map(|line| line.strip_prefix("> ").map(str::to_owned))
    }

    fn proceed(&mut self) {
        writeln!(self.commands, "proceed").unwrap();
    }

    /// Waits for the process to exit. True if it succeeded.
    fn wait_for_success(mut self) -> bool {
        while self.next_line().is_some() {}
        self.process.wait().unwrap().success()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // SIGKILL; an error means that it has exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn print_line(text: &str) {
    writeln!(std::io::stdout().lock(), "> {text}").unwrap();
}

fn read_command() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the other tests as a child process"]
async fn child_process() {
    let dir = read_command();
    assert!(!dir.is_empty(), "this test is started by the other tests");
    let dir = Path::new(&dir);
    match read_command().split(' ').collect::<Vec<_>>()[..] {
        ["write-until-killed", round] => write_until_killed(&open(dir), round).await,
        [start @ ("start-and-make-users" | "start-in-time-and-make-users"), count, name] => {
            print_line("ready");
            assert_eq!(read_command(), "proceed");
            let stores = open_with(dir, if start == "start-and-make-users" { &PATIENT } else { &EMBEDDED });
            for index in 0..count.parse::<u32>().unwrap() {
                let created = stores.accounts.create_user(&new_user(&format!("{name}-{index}"))).await.unwrap();
                assert!(matches!(created, Created::Created(_)));
            }
        }
        ["revoke"] => {
            let stores = open(dir);
            print_line("ready");
            assert_eq!(read_command(), "proceed");
            let target = Target::Token(TokenId(uuid::Uuid::from_u128(7)));
            stores.ephemeral.revoke(&Revocation { target, expires_at: NOW + DAY }, NOW).await.unwrap();
        }
        ref unknown => panic!("no such command: {unknown:?}"),
    }
}

/// Thirty-two concurrent callers; each prints every write as soon as it is acknowledged.
async fn write_until_killed(stores: &Arc<Stores>, round: &str) {
    let callers: Vec<_> = (0..32)
        .map(|caller| {
            let (stores, round) = (Arc::clone(stores), round.to_owned());
            tokio::spawn(async move {
                // More than any test waits for, so that the process ends even if it is not killed.
                for turn in 0..10_000 {
                    let user = new_user(&format!("{round}-{caller}-{turn}"));
                    assert!(matches!(stores.accounts.create_user(&user).await.unwrap(), Created::Created(_)));
                    print_line(&format!("user {}", user.email));
                    let session = session_of(user.id);
                    let opened = stores.ephemeral.open_session(&session, NETWORK, NOW, 100, NOW + DAY).await.unwrap();
                    assert_eq!(opened, Opened::Opened { ended: vec![], from_new_network: false });
                    for counter in 0..3 {
                        let rotation = stores
                            .ephemeral
                            .rotate_refresh_token(rotate_request(&session, counter), NOW)
                            .await
                            .unwrap();
                        assert!(matches!(rotation, Rotation::Rotated(_)));
                        print_line(&format!("session {} {} {}", user.id, session.id, counter + 1));
                    }
                    let target = Target::Session(session.id);
                    stores.ephemeral.revoke(&Revocation { target, expires_at: NOW + DAY }, NOW).await.unwrap();
                    print_line(&format!("revoked {}", session.id));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let mut other = ChildProcess::start(dir.path(), &format!("write-until-killed {round}"));
        // Each time at another point: during the first group commit, a checkpoint, the thousandth write.
        for _ in 0..(37 << round) {
            acknowledged.push(other.next_line().expect("it writes until it is killed"));
        }
        other.process.kill().unwrap();
        // Lines printed between the last line read and the kill were acknowledged as well.
        while let Some(line) = other.next_line() {
            acknowledged.push(line);
        }
    }

    let stores = open(dir.path());
    let mut revoked = Vec::new();
    let mut cursor = Cursor::start();
    loop {
        let (revocations, next) = stores.ephemeral.follow(&cursor, Duration::ZERO).await.unwrap();
        if revocations.is_empty() {
            break;
        }
        revoked.extend(revocations.into_iter().map(|revocation| revocation.target));
        cursor = next;
    }
    let id = |text: &str| SessionId::parse(text).unwrap();
    let mut counters = std::collections::HashMap::new();
    for line in &acknowledged {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["user", email] => {
                let user = stores.accounts.user(Find::Email(email)).await.unwrap().expect(line);
                assert_eq!(stores.accounts.projects(user.id).await.unwrap().len(), 1, "{line}: created in part");
            }
            ["session", user, session, counter] => {
                let counter: u64 = counter.parse().unwrap();
                counters.insert((UserId::parse(user).unwrap(), id(session)), counter);
            }
            ["revoked", session] => assert!(revoked.contains(&Target::Session(id(session))), "{line}"),
            _ => panic!("unknown line: {line}"),
        }
    }
    for ((user, session), counter) in counters {
        let stored = stores.ephemeral.session(user, session, NOW).await.unwrap().expect("the session exists");
        assert!(stored.counter >= counter, "{session}: {} where {counter} was acknowledged", stored.counter);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_start_on_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not/yet/there");
    let command = |index: usize| format!("start-and-make-users 20 user-{index}");
    let mut others: Vec<_> = (0..10).map(|index| ChildProcess::start(&folder, &command(index))).collect();
    for other in &mut others {
        assert_eq!(other.next_line().as_deref(), Some("ready"));
    }
    others.iter_mut().for_each(ChildProcess::proceed);
    for other in others {
        assert!(other.wait_for_success());
    }
    let users = open(&folder).accounts.users(0, 1000).await.unwrap();
    let numbers: Vec<_> = users.iter().map(|user| user.number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    assert!(migrate(&folder, &EMBEDDED, NOW).unwrap().applied.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_process_can_write_beside_a_busy_one() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    let mut other = ChildProcess::start(dir.path(), "start-in-time-and-make-users 20 beside");
    assert_eq!(other.next_line().as_deref(), Some("ready"));
    let done = Arc::new(AtomicBool::new(false));
    // Enough callers that the writer always has waiting calls.
    let callers: Vec<_> = (0..256)
        .map(|index| {
            let (stores, done) = (Arc::clone(&stores), Arc::clone(&done));
            tokio::spawn(async move {
                let session = session_of(new_user(&index.to_string()).id);
                stores.ephemeral.open_session(&session, NETWORK, NOW, 100, NOW + DAY).await.unwrap();
                let mut counter = 0;
                while !done.load(Ordering::Relaxed) {
                    let rotation =
                        stores.ephemeral.rotate_refresh_token(rotate_request(&session, counter), NOW).await.unwrap();
                    assert!(matches!(rotation, Rotation::Rotated(_)));
                    counter += 1;
                }
            })
        })
        .collect();
    other.proceed();
    let wait_for_success = tokio::task::spawn_blocking(move || other.wait_for_success()).await.unwrap();
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(wait_for_success);
    assert_eq!(stores.accounts.users(0, 100).await.unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_sees_revocations_of_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    let mut other = ChildProcess::start(dir.path(), "revoke");
    assert_eq!(other.next_line().as_deref(), Some("ready"));
    let follower = tokio::spawn({
        let stores = Arc::clone(&stores);
        async move { stores.ephemeral.follow(&Cursor::start(), Duration::from_secs(30)).await.unwrap() }
    });
    other.proceed();
    let (revocations, _) = follower.await.unwrap();
    let target = Target::Token(TokenId(uuid::Uuid::from_u128(7)));
    assert_eq!(revocations, [Revocation { target, expires_at: NOW + DAY }]);
    assert!(other.wait_for_success());
}

/// Owners may repeat it, so it must not take the lock that all writes need.
#[tokio::test]
async fn deactivating_an_api_key_again_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    let ada = new_user("ada");
    stores.accounts.create_user(&ada).await.unwrap();
    let key = key(&ada, "sk_1", NOW);
    assert!(stores.accounts.create_api_key(&key, None).await.unwrap());
    let first = stores.accounts.deactivate_api_key(ada.project, key.id, NOW).await.unwrap();
    // A write waits until it fails.
    let other = rusqlite::Connection::open(dir.path().join("signet.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let again = stores.accounts.deactivate_api_key(ada.project, key.id, NOW + DAY).await.unwrap();
    assert!(first.is_some());
    assert_eq!(again, first);
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn files_are_readable_by_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("data");
    let stores = open(&folder);
    stores.accounts.create_user(&new_user("ada")).await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the database, the WAL and its index: {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    drop(stores);

    // Permissions of a carelessly restored copy are restricted again.
    fs::set_permissions(folder.join("signet.db"), Permissions::from_mode(0o644)).unwrap();
    let stores = open(&folder);
    assert_eq!(mode(&folder.join("signet.db")), 0o600);
    assert!(stores.accounts.user(Find::Email("ada@example.org")).await.unwrap().is_some());
}
