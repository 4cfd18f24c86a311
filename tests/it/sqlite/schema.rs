//! The schema of the embedded store: refused starts, newer schemas, and what older programs wrote.

use std::fs;
use std::path::Path;

use signet::id::UserId;
use signet::rng::Rng;
use signet::store::ephemeral::{Rotation, Session};
use signet::store::sqlite::{Engine, OpenError, migrate};
use signet::store::{Accounts, Ephemeral};

use super::{DAY, EMBEDDED, NETWORK, NOW, open, rotate_request, session_of};

fn open_error(dir: &Path) -> OpenError {
    Engine::open(dir, &EMBEDDED, NOW).expect_err("the open fails")
}

#[test]
fn refused_start_states_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let blocking_file = dir.path().join("in-the-way");
    fs::write(&blocking_file, "").unwrap();
    let error = open_error(&blocking_file.join("data"));
    assert!(matches!(error, OpenError::Folder { .. }));
    let text = error.to_string();
    assert!(text.contains("in-the-way/data") && text.contains("SIGNET_DATA_DIR"), "{text}");

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("signet.db"), "this is no database, however long it is").unwrap();
    assert!(matches!(open_error(&foreign), OpenError::Unreadable { .. }));

    let newer = dir.path().join("newer");
    let applied: Vec<_> = migrate(&newer, &EMBEDDED, NOW).unwrap().applied.iter().map(|step| step.number).collect();
    assert!(!applied.is_empty() && applied.iter().copied().eq(1..=applied.len() as i32), "{applied:?}");
    let file = rusqlite::Connection::open(newer.join("signet.db")).unwrap();
    file.execute(UNKNOWN_MIGRATION, [100]).unwrap();
    let error = open_error(&newer);
    assert!(matches!(error, OpenError::Schema { .. }));
    let text = error.to_string();
    assert!(text.contains("newer/signet.db") && text.contains("run the newer signet"), "{text}");

    file.execute("DELETE FROM signet_migrations WHERE number = 100", []).unwrap();
    file.execute("UPDATE signet_migrations SET checksum = '' WHERE number = 1", []).unwrap();
    let text = open_error(&newer).to_string();
    assert!(text.contains("migration 1 (accounts)"), "{text}");
}

/// Takes the number of the migration that a program must know.
const UNKNOWN_MIGRATION: &str = "INSERT INTO signet_migrations (number, name, checksum, applied_at, oldest_reader)
                                 VALUES (100, 'of another age', '', 0, ?1)";

#[tokio::test]
async fn running_server_accepts_only_a_newer_schema_that_allows_it() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    stores.accounts.check().await.unwrap();
    stores.ephemeral.check().await.unwrap();
    let file = rusqlite::Connection::open(dir.path().join("signet.db")).unwrap();
    file.execute(UNKNOWN_MIGRATION, [0]).unwrap();
    stores.accounts.check().await.unwrap();
    stores.ephemeral.check().await.unwrap();
    file.execute("UPDATE signet_migrations SET oldest_reader = 100 WHERE number = 100", []).unwrap();
    assert!(matches!(stores.accounts.check().await, Err(signet::store::Error::Corrupt { .. })));
    file.execute("DELETE FROM signet_migrations WHERE number = 100", []).unwrap();
    stores.accounts.check().await.unwrap();
    file.execute("DELETE FROM signet_migrations WHERE number > 1", []).unwrap();
    assert!(matches!(stores.accounts.check().await, Err(signet::store::Error::Corrupt { .. })));
    assert!(matches!(stores.ephemeral.check().await, Err(signet::store::Error::Corrupt { .. })));
}

#[tokio::test]
async fn session_of_an_older_build_authenticated_when_it_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let stores = open(dir.path());
    let opened = Session { auth_time: NOW - DAY, ..session_of(UserId::new(NOW, &Rng::system())) };
    stores.ephemeral.open_session(&opened, NETWORK, NOW, 10, NOW).await.unwrap();
    let file = rusqlite::Connection::open(dir.path().join("signet.db")).unwrap();
    assert_eq!(file.execute("UPDATE sessions SET auth_time = NULL", []).unwrap(), 1);
    let expected = Session { auth_time: NOW, ..opened };
    assert_eq!(stores.ephemeral.session(expected.user, expected.id, NOW).await.unwrap(), Some(expected.clone()));
    let rotated = stores.ephemeral.rotate_refresh_token(rotate_request(&expected, 0), NOW).await.unwrap();
    let Rotation::Rotated(snapshot) = rotated else { panic!("{rotated:?}") };
    assert_eq!(snapshot.auth_time, NOW);
}
