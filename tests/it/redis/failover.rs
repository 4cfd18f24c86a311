//! A master that dies in the middle of a load, in a Cluster and behind Sentinel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use signet::store::ephemeral::{Cursor, Revocation, SignOutScope, Target};

use super::*;
use crate::support::redis::{Cluster, Sentinel};
use crate::support::wait_until;

const SESSIONS: u128 = 60;

/// Clients that refresh without end, each its own session, as a client does: on an error again with the same token.
struct Load {
    done: Arc<AtomicBool>,
    /// How often each has been answered.
    answered: Arc<Vec<AtomicU64>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    began: Instant,
}

impl Load {
    async fn start(store: &Arc<Redis>) -> Self {
        for number in 0..SESSIONS {
            open(store, &session(number)).await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let answered: Arc<Vec<_>> = Arc::new((0..SESSIONS).map(|_| AtomicU64::new(0)).collect());
        let began = Instant::now();
        let clients = (0..SESSIONS).map(|number| {
            let (store, done, answered) = (store.clone(), done.clone(), answered.clone());
            tokio::spawn(async move {
                let mut counter = 0;
                while !done.load(Ordering::Relaxed) {
                    match store.rotate_refresh_token(presented(number, counter), START + began.elapsed()).await {
                        Ok(Rotation::Rotated(session) | Rotation::Replayed(session)) => {
                            assert!(session.counter > counter, "a rotation was undone");
                            counter = session.counter;
                            answered[number as usize].fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(other) => panic!("session {number}, token {counter}: {other:?}"),
                        Err(error) => assert_unavailable(&error),
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        });
        let clients = clients.collect();
        let load = Self { done, answered, clients, began };
        load.all_answered(Duration::from_secs(10)).await;
        load
    }

    fn now(&self) -> Timestamp {
        START + self.began.elapsed()
    }

    /// Waits until each session was refreshed once more; tells how long that took.
    async fn all_answered(&self, patience: Duration) -> Duration {
        let count = |answered: &AtomicU64| answered.load(Ordering::Relaxed);
        let before: Vec<_> = self.answered.iter().map(count).collect();
        let began = Instant::now();
        while self.answered.iter().map(count).zip(&before).any(|(now, before)| now <= *before) {
            assert!(began.elapsed() < patience, "not all are refreshed within {patience:?}");
            assert!(self.clients.iter().all(|client| !client.is_finished()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    async fn end(self) {
        self.done.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_fails_over_in_the_middle_of_a_load() {
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
    let (seen, place) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(seen.len(), SESSIONS as usize);
    // Replication is asynchronous: what is to outlive its master must have reached the replica.
    wait_until("the replicas have caught up", Duration::from_secs(5), || {
        cluster.nodes.iter().all(|node| node.cli(&["WAIT", "1", "1000"]).parse::<u32>().map_or(true, |got| got == 1))
    });

    // The worst one: revocations are published there.
    let promoted = cluster.fail_over("signet:{fleet}:revocations");
    let recovered = load.all_answered(Duration::from_secs(5)).await;
    println!("promoted {promoted:?} after the kill, all sessions refreshed {recovered:?} after that");

    for number in SESSIONS..SESSIONS * 2 {
        assert_eq!(store.rotate_refresh_token(presented(number, 0), load.now()).await.unwrap(), Rotation::NotFound);
    }
    let revocation = Revocation { target: Target::Session(session(0).id), expires_at: START + HOUR };
    store.revoke(&revocation, load.now()).await.unwrap();
    let (seen, _) = store.follow(&place, Duration::from_secs(1)).await.unwrap();
    assert_eq!(seen.last(), Some(&revocation));
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_promotes_the_replica_of_a_killed_master() {
    let mut sentinel = Sentinel::start();
    let store = Arc::new(Redis::connect(&sentinel.config()).await.unwrap());
    let load = Load::start(&store).await;
    sentinel.servers[0].kill();
    sentinel.wait_for_promotion();
    println!("all sessions refreshed {:?} after the promotion", load.all_answered(Duration::from_secs(5)).await);
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_promotes_the_replica_of_a_frozen_master() {
    let sentinel = Sentinel::start();
    let store = Arc::new(Redis::connect(&sentinel.config()).await.unwrap());
    let load = Load::start(&store).await;
    sentinel.servers[0].freeze();
    sentinel.wait_for_promotion();
    println!("all sessions refreshed {:?} after the promotion", load.all_answered(Duration::from_secs(5)).await);
    load.end().await;
}
