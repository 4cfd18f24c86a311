//! Rotations of concurrent callers, which share calls of a script.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use signet::config;
use signet::store::ephemeral::{Cursor, OpenedIn, RequiredText, Revocation, Target};

use super::*;
use crate::conformance::Follow;
use crate::support::redis::{Cluster, Server};
use crate::support::{until, wait_until};

/// More than one batch.
const MANY: u128 = 40;

async fn store_with_sessions(config: &config::Redis, count: u128) -> Redis {
    let store = Redis::connect(config).await.unwrap();
    for number in 0..count {
        open(&store, &Session { claims: format!("{{\"n\":{number}}}"), ..session(number) }).await;
    }
    // The first call reads the server's time and loads the script.
    let unknown = store.rotate_refresh_token(rotate_request(count, 0), START).await.unwrap();
    assert_eq!(unknown, Rotation::NotFound);
    store
}

/// Presents the tokens at once.
async fn present(store: &Redis, requests: impl IntoIterator<Item = RotateRequest>) -> Vec<Result<Rotation>> {
    join_all(requests.into_iter().map(|request| store.rotate_refresh_token(request, START))).await
}

/// The first tokens of that many sessions.
fn first_tokens(count: u128) -> impl Iterator<Item = RotateRequest> {
    (0..count).map(|number| rotate_request(number, 0))
}

#[track_caller]
fn assert_each_rotated(results: Vec<Result<Rotation>>) {
    for (number, result) in (0..).zip(results) {
        let Ok(Rotation::Rotated(snapshot)) = result else { panic!("{number}: {result:?}") };
        assert_eq!((snapshot.user, snapshot.id, snapshot.counter), (user(number), session(number).id, 1));
        assert_eq!(snapshot.claims, format!("{{\"n\":{number}}}"));
    }
}

/// How often a statistic of commands or errors was counted.
fn count(server: &Server, section: &str, name: &str) -> u64 {
    let stats = server.cli(&["INFO", section]);
    let line = stats.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |line| line.split(['=', ',']).nth(1).unwrap().parse().unwrap())
}

fn scripts(server: &Server) -> u64 {
    count(server, "commandstats", "cmdstat_evalsha:") + count(server, "commandstats", "cmdstat_eval:")
}

#[tokio::test]
async fn concurrent_rotations_share_round_trips() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), MANY).await;
    let before = scripts(&server);
    assert_each_rotated(present(&store, first_tokens(MANY)).await);
    assert_eq!(scripts(&server) - before, 2, "32 and 8");
}

#[tokio::test]
async fn rotations_of_a_batch_have_their_own_results() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 5).await;
    for counter in 0..2 {
        rotate(&store, 1, counter).await;
    }
    rotate(&store, 2, 0).await;
    let tokens = [(0, 0), (1, 0), (2, 0), (9, 0), (3, 0)].map(|(number, counter)| rotate_request(number, counter));
    let results = present(&store, tokens).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert!(matches!(&results[0], Rotation::Rotated(snapshot) if snapshot.counter == 1), "{results:?}");
    assert_eq!(results[1], Rotation::Reused);
    assert!(matches!(&results[2], Rotation::Replayed(snapshot) if snapshot.counter == 1), "{results:?}");
    assert_eq!(results[3], Rotation::NotFound);
    assert!(matches!(&results[4], Rotation::Rotated(snapshot) if snapshot.user == user(3)), "{results:?}");
    let revoked = Revocation { target: Target::Session(session(1).id), expires_at: START + HOUR };
    assert_eq!(store.follow(&Cursor::start(), Duration::ZERO).await.unwrap().0, [revoked]);
}

#[tokio::test]
async fn concurrent_rotations_keep_their_own_conditions() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 4).await;
    let mut tokens: Vec<_> = first_tokens(4).collect();
    tokens[1].conditions.opened_in = OpenedIn::OneOf(Default::default());
    tokens[2].conditions.required = Some(RequiredText { text: "verified", of: OpenedIn::Any });
    tokens[3].rotate = false;
    let results: Vec<_> = present(&store, tokens).await.into_iter().map(Result::unwrap).collect();
    assert!(matches!(&results[0], Rotation::Rotated(snapshot) if snapshot.counter == 1), "{results:?}");
    assert_eq!(results[1..3], [Rotation::NotFound, Rotation::RequirementUnmet]);
    assert!(matches!(&results[3], Rotation::Rotated(snapshot) if snapshot.counter == 0), "{results:?}");
}

#[tokio::test]
async fn damaged_record_fails_only_its_own_rotation() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 5).await;
    let key = |number| format!("signet:{{{}}}:s:{}", user(number), session(number).id);
    server.cli(&["SET", &key(0), "odd"]);
    server.cli(&["HDEL", &key(3), "i"]);
    let results = present(&store, first_tokens(5)).await;
    assert!(matches!(results[0], Err(Error::Corrupt { .. })), "{results:?}");
    assert_unavailable(results[3].as_ref().unwrap_err());
    for number in [1, 2, 4] {
        assert!(matches!(&results[number], Ok(Rotation::Rotated(_))), "{results:?}");
    }
}

/// The index is written before the session, so the counter of a rotation that fails is where it was.
#[tokio::test]
async fn damaged_index_leaves_the_token_valid() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 2).await;
    let index = format!("signet:{{{}}}:i", user(0));
    server.cli(&["RENAME", &index, &format!("{index}-intact")]);
    server.cli(&["SET", &index, "odd"]);
    // Late enough for the time to live to be extended, which is when the index is written.
    let late = START + HOUR / 2;
    let strict = |number| RotateRequest { grace: Duration::ZERO, ..rotate_request(number, 0) };
    let present = |number| store.rotate_refresh_token(strict(number), late);
    let (damaged, other) = tokio::join!(present(0), present(1));
    assert!(damaged.is_err(), "{damaged:?}");
    assert!(matches!(other, Ok(Rotation::Rotated(_))), "{other:?}");
    server.cli(&["RENAME", &format!("{index}-intact"), &index]);
    assert!(matches!(present(0).await, Ok(Rotation::Rotated(snapshot)) if snapshot.counter == 1));
}

#[tokio::test]
async fn reuse_is_published_if_its_caller_has_gone() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 1).await;
    for counter in 0..2 {
        rotate(&store, 0, counter).await;
    }
    let before = scripts(&server);
    server.freeze();
    {
        let mut stolen = pin!(store.rotate_refresh_token(rotate_request(0, 0), START));
        assert!(poll_fn(|to| Poll::Ready(stolen.as_mut().poll(to))).await.is_pending());
        // The batch is sent by a task of this thread, before this task goes on.
        tokio::task::yield_now().await;
    }
    server.thaw();
    let revoked = Revocation { target: Target::Session(session(0).id), expires_at: START + HOUR };
    assert_eq!(store.follow(&Cursor::start(), DEADLINE).await.unwrap().0, [revoked]);
    assert!(scripts(&server) > before);
}

#[tokio::test]
async fn caller_that_goes_takes_no_other_along() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 3).await;
    let results = {
        let mut gone = Box::pin(store.rotate_refresh_token(rotate_request(0, 0), START));
        let mut others =
            pin!(join_all((1..3).map(|number| store.rotate_refresh_token(rotate_request(number, 0), START))));
        // The batch of the first has the others, and is not sent before this task waits.
        poll_fn(|to| {
            assert!(gone.as_mut().poll(to).is_pending());
            assert!(others.as_mut().poll(to).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(gone);
        others.await
    };
    assert!(results.iter().all(|result| matches!(result, Ok(Rotation::Rotated(_)))), "{results:?}");
    assert_eq!(counter(&store, 0).await, Some(0), "nothing was sent for the caller that has gone");
}

#[tokio::test]
async fn flushed_scripts_delay_no_rotation_of_a_batch() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), MANY).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_each_rotated(present(&store, first_tokens(MANY)).await);
}

#[tokio::test]
async fn every_caller_learns_that_redis_has_died() {
    let mut server = Server::start();
    let store = store_with_sessions(&server.config(), MANY).await;
    // Redis reads calls that may write, but does not execute them.
    assert_eq!(server.cli(&["CLIENT", "PAUSE", "60000", "WRITE"]), "OK");
    let mut waiting = pin!(present(&store, first_tokens(MANY)));
    assert!(poll_fn(|to| Poll::Ready(waiting.as_mut().poll(to))).await.is_pending());
    until("Redis holds a batch", async || server.cli(&["INFO", "clients"]).contains("blocked_clients:1")).await;
    server.kill();
    waiting.await.iter().for_each(|result| assert_unavailable(result.as_ref().unwrap_err()));
}

#[tokio::test]
async fn full_redis_refuses_a_whole_batch() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 5).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = scripts(&server);
    let refused = present(&store, first_tokens(5)).await;
    assert_eq!(scripts(&server) - before, 1, "no rotation is tried alone");
    for result in refused {
        let error = result.unwrap_err();
        assert_unavailable(&error);
        assert!(error.to_string().contains("OOM"), "{error}");
    }
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_each_rotated(present(&store, first_tokens(5)).await);
}

#[tokio::test]
async fn concurrent_rotations_work_in_a_cluster() {
    let cluster = Cluster::start();
    let store = store_with_sessions(&cluster.config(), MANY).await;
    assert_each_rotated(present(&store, first_tokens(MANY)).await);
    for node in &cluster.nodes {
        assert_eq!(count(node, "errorstats", "errorstat_CROSSSLOT:"), 0);
    }
}

/// As of a service with one address and several servers behind it.
#[tokio::test]
async fn server_that_refuses_a_batch_gets_no_more() {
    let server = Server::options().set("cluster-enabled", "yes").start();
    assert_eq!(server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    wait_until("it serves all slots", DEADLINE, || server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    let store = store_with_sessions(&server.config(), 10).await;
    let refused = || count(&server, "errorstats", "errorstat_CROSSSLOT:");
    assert_each_rotated(present(&store, first_tokens(10)).await);
    assert_eq!(refused(), 1);
    for result in present(&store, (0..10).map(|number| rotate_request(number, 1))).await {
        assert!(matches!(result, Ok(Rotation::Rotated(_))), "{result:?}");
    }
    assert_eq!(refused(), 1);
}
