//! A master that dies under load, in a Cluster and behind Sentinel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::conformance::Follow;
use signet::store::ephemeral::{Cursor, Revocation, SignOutScope, Target};

use super::*;
use crate::support::redis::{Cluster, Sentinel};
use crate::support::wait_until;

const SESSIONS: u128 = 60;

/// Clients that refresh continuously, each its own session; after an error they retry with the same token, however long
/// a failover takes.
struct Load {
    done: Arc<AtomicBool>,
    /// The number of successful refreshes of each session.
    refreshed: Arc<Vec<AtomicU64>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    began: Instant,
}

impl Load {
    async fn start(store: &Arc<Redis>) -> Self {
        for number in 0..SESSIONS {
            open(store, &session(number)).await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let refreshed: Arc<Vec<_>> = Arc::new((0..SESSIONS).map(|_| AtomicU64::new(0)).collect());
        let began = Instant::now();
        let clients = (0..SESSIONS).map(|number| {
            let (store, done, refreshed) = (store.clone(), done.clone(), refreshed.clone());
            tokio::spawn(async move {
                let mut counter = 0;
                while !done.load(Ordering::Relaxed) {
                    let request = RotateRequest { grace: HOUR, ..rotate_request(number, counter) };
                    match store.rotate_refresh_token(request, START + began.elapsed()).await {
                        Ok(Rotation::Rotated(session) | Rotation::Replayed(session)) => {
                            assert!(session.counter > counter, "a rotation was undone");
                            counter = session.counter;
                            refreshed[number as usize].fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(other) => panic!("session {number}, token {counter}: {other:?}"),
                        Err(error) => assert_unavailable(&error),
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        });
        let clients = clients.collect();
        let load = Self { done, refreshed, clients, began };
        load.wait_for_all_refreshed().await;
        load
    }

    fn now(&self) -> Timestamp {
        START + self.began.elapsed()
    }

    /// Waits until each session was refreshed once more; returns how long that took.
    async fn wait_for_all_refreshed(&self) -> Duration {
        let count = |refreshed: &AtomicU64| refreshed.load(Ordering::Relaxed);
        let before: Vec<_> = self.refreshed.iter().map(count).collect();
        let began = Instant::now();
        while self.refreshed.iter().map(count).zip(&before).any(|(now, before)| now <= *before) {
            assert!(began.elapsed() < DEADLINE, "not all are refreshed within {DEADLINE:?}");
            assert!(self.clients.iter().all(|client| !client.is_finished()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    async fn stop(self) {
        self.done.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_fails_over_under_load() {
    let mut cluster = Cluster::start();
    let store = Arc::new(Redis::connect(&cluster.config()).await.unwrap());
    for number in SESSIONS..SESSIONS * 2 {
        open(&store, &session(number)).await;
        assert_eq!(
            store.end_sessions(user(number), SignOutScope::All, None, START + HOUR, START).await.unwrap().count,
            1
        );
    }
    let load = Load::start(&store).await;
    let (seen, cursor) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(seen.len(), SESSIONS as usize);
    // Replication is asynchronous: data that must survive the master has to reach the replica first.
    wait_until("the replicas have caught up", DEADLINE, || {
        cluster
            .nodes
            .iter()
            .all(|node| node.cli(&["WAIT", "1", "1000"]).parse::<u32>().map_or(true, |acknowledged| acknowledged == 1))
    });

    // The worst case: the node with the stream of revocations.
    let promoted = cluster.fail_over("signet:{fleet}:revocations");
    let recovered = load.wait_for_all_refreshed().await;
    println!("promoted {promoted:?} after the kill, all sessions refreshed {recovered:?} after that");

    for number in SESSIONS..SESSIONS * 2 {
        assert_eq!(
            store.rotate_refresh_token(rotate_request(number, 0), load.now()).await.unwrap(),
            Rotation::NotFound
        );
    }
    let revocation = Revocation { target: Target::Session(session(0).id), expires_at: START + HOUR };
    store.revoke(&revocation, load.now()).await.unwrap();
    let (seen, _) = store.follow(&cursor, Duration::from_secs(10)).await.unwrap();
    assert_eq!(seen.last(), Some(&revocation));
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_fails_over_after_a_kill_under_load() {
    let mut sentinel = Sentinel::start();
    let store = Arc::new(Redis::connect(&sentinel.config()).await.unwrap());
    let load = Load::start(&store).await;
    sentinel.servers[0].kill();
    sentinel.fail_over_soon();
    sentinel.wait_for_promotion();
    println!("all sessions refreshed {:?} after the promotion", load.wait_for_all_refreshed().await);
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_fails_over_after_a_freeze_under_load() {
    let sentinel = Sentinel::start();
    let store = Arc::new(Redis::connect(&sentinel.config()).await.unwrap());
    let load = Load::start(&store).await;
    sentinel.servers[0].freeze();
    sentinel.fail_over_soon();
    sentinel.wait_for_promotion();
    println!("all sessions refreshed {:?} after the promotion", load.wait_for_all_refreshed().await);
    load.stop().await;
}
