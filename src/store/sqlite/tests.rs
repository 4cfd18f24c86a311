//! The engine by itself: what it promises to every caller, whatever is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

use super::Engine;
use crate::clock::Timestamp;
use crate::config::{Durability, Embedded};
use crate::store::{Error, Operation, Result};

/// The engine treats all operations alike.
const ANY: Operation = Operation::CheckAccounts;

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

fn process() -> Embedded {
    Embedded { durability: Durability::Process, ..Embedded::default() }
}

fn engine() -> (Arc<Engine>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), &process(), NOW).unwrap();
    (engine, dir)
}

async fn keep(engine: &Engine, value: i64) -> Result<()> {
    engine.write(ANY, move |tx| tx.execute("INSERT INTO kept (value) VALUES (?1)", [value]).map(drop)).await
}

async fn kept(engine: &Engine) -> Vec<i64> {
    engine
        .read(ANY, |tx| tx.prepare("SELECT value FROM kept ORDER BY value")?.query_map([], |row| row.get(0))?.collect())
        .await
        .unwrap()
}

async fn table(engine: &Engine) {
    engine
        .write(ANY, |tx| tx.execute_batch("CREATE TABLE kept (value INTEGER UNIQUE, filling BLOB) STRICT"))
        .await
        .unwrap();
}

/// Keeps the writer busy until what it gives is dropped, so that what is handed in meanwhile becomes one group.
async fn held(engine: &Arc<Engine>) -> std::sync::mpsc::Sender<()> {
    let (let_go, wait) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    engine.write_in_background(move |_| {
        let _ = begun.send(());
        let _ = wait.recv();
        Ok(())
    });
    has_begun.await.unwrap();
    let_go
}

/// Calls all at once, as one group.
async fn as_one_group<T: Send + 'static, F>(engine: &Arc<Engine>, calls: Vec<F>) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let writer = held(engine).await;
    let before = engine.waiting();
    let expected = before + calls.len();
    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    while engine.waiting() < expected {
        tokio::task::yield_now().await;
    }
    drop(writer);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn a_write_that_fails_spoils_no_other_of_its_group() {
    let (engine, _dir) = engine();
    table(&engine).await;
    // Every value twice: the second fails, after having written something else.
    let calls = (0..20).map(|which| {
        let engine = Arc::clone(&engine);
        async move {
            engine
                .write(ANY, move |tx| {
                    tx.execute("INSERT INTO kept (value) VALUES (?1)", [1000 + which])?;
                    tx.execute("INSERT INTO kept (value) VALUES (?1)", [which / 2]).map(drop)
                })
                .await
        }
    });
    let answers = as_one_group(&engine, calls.collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    let succeeded = (0..20).filter(|which| answers[*which as usize].is_ok()).map(|which| 1000 + which);
    assert_eq!(kept(&engine).await, (0..10).chain(succeeded).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_write_that_panics_costs_nobody_else_anything() {
    let (engine, _dir) = engine();
    table(&engine).await;
    let panics = engine.write(ANY, |tx| -> rusqlite::Result<()> {
        tx.execute("INSERT INTO kept (value) VALUES (7)", [])?;
        panic!("on purpose");
    });
    assert!(matches!(panics.await, Err(Error::Unavailable { .. })));
    keep(&engine, 8).await.unwrap();
    assert_eq!(kept(&engine).await, [8]);
    let panics = engine.read(ANY, |_| -> rusqlite::Result<()> { panic!("on purpose") });
    assert!(matches!(panics.await, Err(Error::Unavailable { .. })));
    assert_eq!(kept(&engine).await, [8]);
}

#[tokio::test]
async fn a_write_whose_caller_went_away_before_its_turn_is_not_done() {
    let (engine, _dir) = engine();
    table(&engine).await;
    let writer = held(&engine).await;
    let waiting = engine.waiting();
    let call = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { keep(&engine, 1).await }
    });
    while engine.waiting() == waiting {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    drop(writer);
    keep(&engine, 2).await.unwrap();
    assert_eq!(kept(&engine).await, [2]);
}

#[tokio::test]
async fn a_lock_that_another_process_keeps_makes_writes_fail_in_time_and_reads_go_on() {
    let (engine, _dir) = engine();
    table(&engine).await;
    keep(&engine, 1).await.unwrap();
    let other = Connection::open(engine.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let begun = Instant::now();
    assert!(matches!(keep(&engine, 2).await, Err(Error::Unavailable { .. })));
    assert!(begun.elapsed() < process().timeout + Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(kept(&engine).await, [1]);

    other.execute_batch("ROLLBACK").unwrap();
    keep(&engine, 3).await.unwrap();
    assert_eq!(kept(&engine).await, [1, 3]);
}

#[tokio::test]
async fn a_lock_that_another_process_gives_back_is_waited_for() {
    let (engine, _dir) = engine();
    table(&engine).await;
    let other = Connection::open(engine.path()).unwrap();
    // Many times: where nobody waited, some would fail.
    for value in 0..20_i64 {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let call = tokio::spawn({
            let engine = Arc::clone(&engine);
            async move { keep(&engine, value).await }
        });
        while engine.waiting() > 0 || call.is_finished() {
            tokio::task::yield_now().await;
        }
        other.execute("INSERT INTO kept (value) VALUES (?1)", [1000 + value]).unwrap();
        other.execute_batch("COMMIT").unwrap();
        call.await.unwrap().unwrap();
    }
    assert_eq!(kept(&engine).await, (0..20).chain(1000..1020).collect::<Vec<i64>>());
}

/// As a full disk does, SQLite refuses another page.
async fn fill_up(engine: &Engine) {
    engine
        .write(ANY, |tx| {
            let pages: i64 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            tx.pragma_update(None, "max_page_count", pages + 3)
        })
        .await
        .unwrap();
}

async fn make_room(engine: &Engine) {
    engine.write(ANY, |tx| tx.pragma_update(None, "max_page_count", 1_000_000)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_fails_writes_whole_and_is_over_when_there_is_room() {
    let (engine, _dir) = engine();
    table(&engine).await;
    fill_up(&engine).await;

    let written = Arc::new(AtomicU32::new(0));
    let calls = (0..40_i64).map(|which| {
        let (engine, written) = (Arc::clone(&engine), Arc::clone(&written));
        async move {
            let answer = engine
                .write(ANY, move |tx| {
                    tx.execute("INSERT INTO kept (value) VALUES (?1)", [which])?;
                    tx.execute("UPDATE kept SET filling = randomblob(3000) WHERE value = ?1", [which]).map(drop)
                })
                .await;
            if answer.is_ok() {
                written.fetch_add(1, Ordering::Relaxed);
            }
            answer
        }
    });
    let answers = as_one_group(&engine, calls.collect()).await;
    assert!(answers.iter().any(Result::is_err), "there was no room for all");
    for answer in &answers {
        assert!(matches!(answer, Ok(()) | Err(Error::Unavailable { .. })), "{answer:?}");
    }
    let half_made: Option<i64> = engine
        .read(ANY, |tx| tx.query_row("SELECT value FROM kept WHERE filling IS NULL", [], |row| row.get(0)).optional())
        .await
        .unwrap();
    assert_eq!(half_made, None);
    assert_eq!(kept(&engine).await.len(), written.load(Ordering::Relaxed) as usize);

    make_room(&engine).await;
    keep(&engine, 100).await.unwrap();
    assert!(kept(&engine).await.contains(&100));
}

#[tokio::test]
async fn a_caller_whose_turn_does_not_come_in_time_is_told_so() {
    let (engine, _dir) = engine();
    table(&engine).await;
    let writer = held(&engine).await;
    let late = engine.write_within(ANY, Duration::from_millis(20), |_| Ok(())).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })));
    drop(writer);
    keep(&engine, 1).await.unwrap();
}

#[tokio::test]
async fn more_callers_than_can_be_served_are_turned_away_at_once() {
    let (engine, _dir) = engine();
    table(&engine).await;
    let writer = held(&engine).await;
    while engine.waiting() < super::QUEUE {
        engine.write_in_background(|_| Ok(()));
    }
    let begun = Instant::now();
    assert!(matches!(keep(&engine, 1).await, Err(Error::Unavailable { .. })));
    assert!(begun.elapsed() < process().timeout / 2);
    drop(writer);
    while engine.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    keep(&engine, 2).await.unwrap();
    assert_eq!(kept(&engine).await, [2]);
}

#[tokio::test]
async fn connections_are_set_as_the_durability_says() {
    for (durability, synchronous) in [(Durability::Power, 2), (Durability::Process, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), &Embedded { durability, ..Embedded::default() }, NOW).unwrap();
        let set = |tx: &Connection, name: &str| tx.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let of_writer = engine.write(ANY, move |tx| Ok((set(tx, "synchronous")?, set(tx, "foreign_keys")?))).await;
        assert_eq!(of_writer.unwrap(), (synchronous, 1));
        let mode: String =
            engine.read(ANY, |tx| tx.pragma_query_value(None, "journal_mode", |row| row.get(0))).await.unwrap();
        assert_eq!(mode, "wal");
        let refused = engine.read(ANY, |tx| tx.execute("DELETE FROM users", [])).await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "a reader writes nothing");
    }
}

/// On a slow disk the lock is free for moments only, which another process would meet by luck.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_never_runs_out_of_work_leaves_others_a_turn() {
    let (engine, dir) = engine();
    table(&engine).await;
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (engine, done) = (Arc::clone(&engine), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let slow = |_: &Connection| {
                        std::thread::sleep(Duration::from_millis(10));
                        Ok(())
                    };
                    engine.write(ANY, slow).await.unwrap();
                }
            })
        })
        .collect();
    let other = Engine::open(dir.path(), &process(), NOW).unwrap();
    for value in 0..8 {
        keep(&other, value).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(kept(&engine).await.len(), 8);
}

/// What is left behind would be found by the next start, which on a full disk could then open the file or not, as it
/// happens.
#[tokio::test]
async fn closing_copies_the_log_into_the_file_and_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let engine = Engine::open(dir.path(), &process(), NOW).unwrap();
        engine.read(ANY, |_| Ok(())).await.unwrap();
        engine.write(ANY, move |tx| tx.pragma_update(None, "user_version", round)).await.unwrap();
        let log = engine.path().with_extension("db-wal");
        assert!(log.exists());
        drop(engine);
        assert!(!log.exists(), "left behind in round {round}");
    }
}
