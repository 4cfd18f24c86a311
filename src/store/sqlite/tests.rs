//! The engine alone: its guarantees to every caller, whatever the work is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

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

/// Waits longer for its writer and for the file than a test can stand still on a busy machine.
fn engine() -> (Arc<Engine>, TempDir) {
    engine_with(&Embedded { timeout: Duration::from_secs(20), ..process() })
}

fn engine_with(settings: &Embedded) -> (Arc<Engine>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), settings, NOW).unwrap();
    (engine, dir)
}

async fn insert(engine: &Engine, value: i64) -> Result<()> {
    engine.write(ANY, move |tx| tx.execute("INSERT INTO numbers (value) VALUES (?1)", [value]).map(drop)).await
}

async fn values(engine: &Engine) -> Vec<i64> {
    engine
        .read(ANY, |tx| {
            tx.prepare("SELECT value FROM numbers ORDER BY value")?.query_map([], |row| row.get(0))?.collect()
        })
        .await
        .unwrap()
}

async fn create_table(engine: &Engine) {
    engine
        .write(ANY, |tx| tx.execute_batch("CREATE TABLE numbers (value INTEGER UNIQUE, filling BLOB) STRICT"))
        .await
        .unwrap();
}

/// Blocks the writer until the returned sender is dropped, so that the jobs queued meanwhile become one group.
async fn block_writer(engine: &Arc<Engine>) -> std::sync::mpsc::Sender<()> {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (started, has_started) = tokio::sync::oneshot::channel();
    engine.write_in_background(move |_| {
        let _ = started.send(());
        let _ = wait.recv();
        Ok(())
    });
    has_started.await.unwrap();
    release
}

/// Runs all calls concurrently, as one group.
async fn run_as_group<T: Send + 'static, F>(engine: &Arc<Engine>, calls: Vec<F>) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let writer = block_writer(engine).await;
    let before = engine.waiting();
    let expected = before + calls.len();
    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    while engine.waiting() < expected {
        tokio::task::yield_now().await;
    }
    drop(writer);
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    results
}

#[tokio::test]
async fn failed_write_does_not_affect_its_group() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    // Every value twice: the second insert violates the unique constraint after another insert succeeded.
    let calls = (0..20).map(|which| {
        let engine = Arc::clone(&engine);
        async move {
            engine
                .write(ANY, move |tx| {
                    tx.execute("INSERT INTO numbers (value) VALUES (?1)", [1000 + which])?;
                    tx.execute("INSERT INTO numbers (value) VALUES (?1)", [which / 2]).map(drop)
                })
                .await
        }
    });
    let results = run_as_group(&engine, calls.collect()).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10);
    let succeeded = (0..20).filter(|which| results[*which as usize].is_ok()).map(|which| 1000 + which);
    assert_eq!(values(&engine).await, (0..10).chain(succeeded).collect::<Vec<i64>>());
}

#[tokio::test]
async fn panicking_write_does_not_affect_others() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    let panics = engine.write(ANY, |tx| -> rusqlite::Result<()> {
        tx.execute("INSERT INTO numbers (value) VALUES (7)", [])?;
        panic!("on purpose");
    });
    assert!(matches!(panics.await, Err(Error::Unavailable { .. })));
    insert(&engine, 8).await.unwrap();
    assert_eq!(values(&engine).await, [8]);
    let panics = engine.read(ANY, |_| -> rusqlite::Result<()> { panic!("on purpose") });
    assert!(matches!(panics.await, Err(Error::Unavailable { .. })));
    assert_eq!(values(&engine).await, [8]);
}

#[tokio::test]
async fn write_of_a_cancelled_caller_is_not_done() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    let writer = block_writer(&engine).await;
    let waiting = engine.waiting();
    let call = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { insert(&engine, 1).await }
    });
    while engine.waiting() == waiting {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    drop(writer);
    insert(&engine, 2).await.unwrap();
    assert_eq!(values(&engine).await, [2]);
}

#[tokio::test]
async fn lock_of_another_process_fails_writes_in_time_not_reads() {
    let (engine, _dir) = engine_with(&process());
    create_table(&engine).await;
    insert(&engine, 1).await.unwrap();
    let other = Connection::open(engine.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    // The lock is held for as long as the write waits.
    let refused = tokio::time::timeout(Duration::from_secs(60), insert(&engine, 2)).await.expect("the write ends");
    assert!(matches!(refused, Err(Error::Unavailable { .. })));
    assert_eq!(values(&engine).await, [1]);

    other.execute_batch("ROLLBACK").unwrap();
    insert(&engine, 3).await.unwrap();
    assert_eq!(values(&engine).await, [1, 3]);
}

#[tokio::test]
async fn write_waits_for_the_lock_of_another_process() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    let other = Connection::open(engine.path()).unwrap();
    // Many times: without waiting, some would fail.
    for value in 0..20_i64 {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let call = tokio::spawn({
            let engine = Arc::clone(&engine);
            async move { insert(&engine, value).await }
        });
        while engine.waiting() > 0 || call.is_finished() {
            tokio::task::yield_now().await;
        }
        other.execute("INSERT INTO numbers (value) VALUES (?1)", [1000 + value]).unwrap();
        other.execute_batch("COMMIT").unwrap();
        call.await.unwrap().unwrap();
    }
    assert_eq!(values(&engine).await, (0..20).chain(1000..1020).collect::<Vec<i64>>());
}

/// Makes SQLite refuse to add pages, as a full disk would.
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
async fn full_disk_fails_whole_writes_until_there_is_space() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    fill_up(&engine).await;

    let written = Arc::new(AtomicU32::new(0));
    let calls = (0..40_i64).map(|which| {
        let (engine, written) = (Arc::clone(&engine), Arc::clone(&written));
        async move {
            let result = engine
                .write(ANY, move |tx| {
                    tx.execute("INSERT INTO numbers (value) VALUES (?1)", [which])?;
                    tx.execute("UPDATE numbers SET filling = randomblob(3000) WHERE value = ?1", [which]).map(drop)
                })
                .await;
            if result.is_ok() {
                written.fetch_add(1, Ordering::Relaxed);
            }
            result
        }
    });
    let results = run_as_group(&engine, calls.collect()).await;
    assert!(results.iter().any(Result::is_err), "not all of them fit");
    for result in &results {
        assert!(matches!(result, Ok(()) | Err(Error::Unavailable { .. })), "{result:?}");
    }
    let half_written: Option<i64> = engine
        .read(ANY, |tx| {
            tx.query_row("SELECT value FROM numbers WHERE filling IS NULL", [], |row| row.get(0)).optional()
        })
        .await
        .unwrap();
    assert_eq!(half_written, None);
    assert_eq!(values(&engine).await.len(), written.load(Ordering::Relaxed) as usize);

    make_room(&engine).await;
    insert(&engine, 100).await.unwrap();
    assert!(values(&engine).await.contains(&100));
}

#[tokio::test]
async fn queued_write_times_out() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    let writer = block_writer(&engine).await;
    let late = engine.write_within(ANY, Duration::from_millis(20), |_| Ok(())).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })));
    drop(writer);
    insert(&engine, 1).await.unwrap();
}

#[tokio::test]
async fn full_queue_refuses_immediately() {
    let (engine, _dir) = engine();
    create_table(&engine).await;
    let writer = block_writer(&engine).await;
    while engine.waiting() < super::QUEUE {
        engine.write_in_background(|_| Ok(()));
    }
    // One that was queued would say that the file did not respond.
    let refused = insert(&engine, 1).await.unwrap_err();
    assert!(refused.to_string().ends_with("too many callers are waiting"), "{refused}");
    drop(writer);
    while engine.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    insert(&engine, 2).await.unwrap();
    assert_eq!(values(&engine).await, [2]);
}

#[tokio::test]
async fn durability_sets_the_pragmas() {
    for (durability, synchronous) in [(Durability::Power, 2), (Durability::Process, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), &Embedded { durability, ..Embedded::default() }, NOW).unwrap();
        let pragma = |tx: &Connection, name: &str| tx.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let writer_pragmas =
            engine.write(ANY, move |tx| Ok((pragma(tx, "synchronous")?, pragma(tx, "foreign_keys")?))).await;
        assert_eq!(writer_pragmas.unwrap(), (synchronous, 1));
        let mode: String =
            engine.read(ANY, |tx| tx.pragma_query_value(None, "journal_mode", |row| row.get(0))).await.unwrap();
        assert_eq!(mode, "wal");
        let refused = engine.read(ANY, |tx| tx.execute("DELETE FROM users", [])).await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "a reader writes nothing");
    }
}

/// On a slow disk the lock is free only for moments, which another process would hit by chance.
#[tokio::test(flavor = "multi_thread")]
async fn busy_writer_lets_other_processes_write() {
    let (engine, dir) = engine();
    create_table(&engine).await;
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
        insert(&other, value).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(values(&engine).await.len(), 8);
}

/// A log that is left behind has to be recovered at the next start, which can fail on a full disk.
#[tokio::test]
async fn closing_checkpoints_and_removes_the_log() {
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
