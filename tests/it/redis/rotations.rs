//! Rotations of concurrent callers, which share calls of a script.

use std::future::poll_fn;
use std::pin::{Pin, pin};
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

/// Polls a rotation that must not be done yet.
async fn poll_once<T: std::fmt::Debug>(mut rotation: Pin<&mut impl Future<Output = T>>) {
    let polled = poll_fn(|to| Poll::Ready(rotation.as_mut().poll(to))).await;
    assert!(polled.is_pending(), "{polled:?}");
}

/// Lets Redis read calls that may write without executing them.
fn hold_writes(server: &Server) {
    assert_eq!(server.cli(&["CLIENT", "PAUSE", "60000", "WRITE"]), "OK");
}

async fn wait_until_held(server: &Server) {
    until("Redis holds a call", async || server.cli(&["INFO", "clients"]).contains("blocked_clients:1")).await;
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
    assert_eq!(scripts(&server) - before, 3, "1, 32 and 7");
}

#[tokio::test]
async fn single_rotation_is_one_call_and_no_task() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 1).await;
    let before = scripts(&server);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let tasks_before = tasks();
    let mut rotation = pin!(store.rotate_refresh_token(rotate_request(0, 0), START));
    poll_once(rotation.as_mut()).await;
    assert_eq!(tasks(), tasks_before);
    assert!(matches!(rotation.await, Ok(Rotation::Rotated(snapshot)) if snapshot.counter == 1));
    assert_eq!(tasks(), tasks_before);
    assert_eq!(scripts(&server) - before, 1);
}

#[tokio::test]
async fn rotations_one_after_the_other_share_nothing() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 1).await;
    let before = scripts(&server);
    for counter in 0..3 {
        rotate(&store, 0, counter).await;
    }
    assert_eq!(scripts(&server) - before, 3);
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
    let store = store_with_sessions(&server.config(), 6).await;
    let key = |number| format!("signet:{{{}}}:s:{}", user(number), session(number).id);
    // The first is sent alone, and the others in one call.
    server.cli(&["SET", &key(0), "odd"]);
    server.cli(&["SET", &key(1), "odd"]);
    server.cli(&["HDEL", &key(3), "i"]);
    let results = present(&store, first_tokens(6)).await;
    for number in [0, 1] {
        assert!(matches!(results[number], Err(Error::Corrupt { .. })), "{results:?}");
    }
    assert_unavailable(results[3].as_ref().unwrap_err());
    for number in [2, 4, 5] {
        assert!(matches!(&results[number], Ok(Rotation::Rotated(_))), "{results:?}");
    }
}

/// The index is written before the session, so the counter of a rotation that fails is where it was.
#[tokio::test]
async fn damaged_index_leaves_the_token_valid() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 3).await;
    let index = format!("signet:{{{}}}:i", user(0));
    server.cli(&["RENAME", &index, &format!("{index}-intact")]);
    server.cli(&["SET", &index, "odd"]);
    // Late enough for the time to live to be extended, which is when the index is written.
    let late = START + HOUR / 2;
    let strict = |number| RotateRequest { grace: Duration::ZERO, ..rotate_request(number, 0) };
    let present = |number| store.rotate_refresh_token(strict(number), late);
    // The first is sent alone, and the others in one call.
    let (first, damaged, other) = tokio::join!(present(1), present(0), present(2));
    assert!(damaged.is_err(), "{damaged:?}");
    for result in [first, other] {
        assert!(matches!(result, Ok(Rotation::Rotated(_))), "{result:?}");
    }
    server.cli(&["RENAME", &format!("{index}-intact"), &index]);
    assert!(matches!(present(0).await, Ok(Rotation::Rotated(snapshot)) if snapshot.counter == 1));
}

async fn open_with_counter_two(server: &Server, count: u128) -> Redis {
    let store = store_with_sessions(&server.config(), count).await;
    for counter in 0..2 {
        rotate(&store, count - 1, counter).await;
    }
    store
}

async fn assert_published(store: &Redis, number: u128) {
    let revoked = Revocation { target: Target::Session(session(number).id), expires_at: START + HOUR };
    assert_eq!(store.follow(&Cursor::start(), DEADLINE).await.unwrap().0, [revoked]);
}

#[tokio::test]
async fn reuse_is_published_if_its_caller_has_gone() {
    let server = Server::start();
    let store = open_with_counter_two(&server, 1).await;
    {
        let mut stolen = pin!(store.rotate_refresh_token(rotate_request(0, 0), START));
        poll_once(stolen.as_mut()).await;
    }
    assert_published(&store, 0).await;
}

#[tokio::test]
async fn reuse_in_a_batch_is_published_if_its_caller_has_gone() {
    let server = Server::start();
    let store = open_with_counter_two(&server, 3).await;
    {
        let mut first = pin!(store.rotate_refresh_token(rotate_request(0, 0), START));
        poll_once(first.as_mut()).await;
        let mut other = pin!(store.rotate_refresh_token(rotate_request(1, 0), START));
        poll_once(other.as_mut()).await;
        let mut stolen = pin!(store.rotate_refresh_token(rotate_request(2, 0), START));
        poll_once(stolen.as_mut()).await;
        assert!(matches!(first.await, Ok(Rotation::Rotated(_))));
        // The end of the first call has spawned the task of the batch, which runs before this one goes on.
        hold_writes(&server);
        wait_until_held(&server).await;
    }
    assert_eq!(server.cli(&["CLIENT", "UNPAUSE"]), "OK");
    assert_published(&store, 2).await;
}

#[tokio::test]
async fn caller_that_goes_takes_no_other_along() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 4).await;
    let results = {
        let mut first = pin!(store.rotate_refresh_token(rotate_request(3, 0), START));
        poll_once(first.as_mut()).await;
        let mut gone = Box::pin(store.rotate_refresh_token(rotate_request(0, 0), START));
        poll_once(gone.as_mut()).await;
        let mut others =
            pin!(join_all((1..3).map(|number| store.rotate_refresh_token(rotate_request(number, 0), START))));
        poll_once(others.as_mut()).await;
        drop(gone);
        assert!(matches!(first.await, Ok(Rotation::Rotated(_))));
        others.await
    };
    assert!(results.iter().all(|result| matches!(result, Ok(Rotation::Rotated(_)))), "{results:?}");
    assert_eq!(counter(&store, 0).await, Some(0), "nothing was sent for the caller that has gone");
}

#[tokio::test]
async fn caller_that_goes_before_its_call_is_written_strands_none() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 3).await;
    // The driver writes the call once this task waits.
    let mut gone = Box::pin(store.rotate_refresh_token(rotate_request(0, 0), START));
    poll_once(gone.as_mut()).await;
    let mut others = pin!(join_all((1..3).map(|number| store.rotate_refresh_token(rotate_request(number, 0), START))));
    poll_once(others.as_mut()).await;
    drop(gone);
    let results = others.await;
    assert!(results.iter().all(|result| matches!(result, Ok(Rotation::Rotated(_)))), "{results:?}");
    assert_eq!(counter(&store, 0).await, Some(1), "the call goes on without its caller");
}

#[tokio::test]
async fn caller_that_goes_during_its_call_strands_none() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 3).await;
    hold_writes(&server);
    let mut gone = Box::pin(store.rotate_refresh_token(rotate_request(0, 0), START));
    poll_once(gone.as_mut()).await;
    let mut others = pin!(join_all((1..3).map(|number| store.rotate_refresh_token(rotate_request(number, 0), START))));
    poll_once(others.as_mut()).await;
    wait_until_held(&server).await;
    drop(gone);
    assert_eq!(server.cli(&["CLIENT", "UNPAUSE"]), "OK");
    let results = others.await;
    assert!(results.iter().all(|result| matches!(result, Ok(Rotation::Rotated(_)))), "{results:?}");
    assert_eq!(counter(&store, 0).await, Some(1), "the call goes on without its caller");
}

#[tokio::test]
async fn call_that_nobody_polls_does_not_block_the_others() {
    let server = Server::start();
    let store = store_with_sessions(&config::Redis { timeout: SHORT, ..server.config() }, 3).await;
    let mut first = pin!(store.rotate_refresh_token(rotate_request(0, 0), START));
    poll_once(first.as_mut()).await;
    let mut other = pin!(store.rotate_refresh_token(rotate_request(1, 0), START));
    poll_once(other.as_mut()).await;
    until("a rotation is sent nevertheless", async || {
        let rotation = store.rotate_refresh_token(rotate_request(2, 0), START);
        matches!(tokio::time::timeout(SHORT, rotation).await, Ok(Ok(Rotation::Rotated(_))))
    })
    .await;
    assert_unavailable(&other.await.unwrap_err());
    assert_eq!(counter(&store, 1).await, Some(0), "it was sent after its time");
    assert!(matches!(first.await, Ok(Rotation::Rotated(_))));
}

#[tokio::test]
async fn all_callers_that_go_leave_the_store_idle() {
    let server = Server::start();
    let store = store_with_sessions(&server.config(), 3).await;
    let mut gone = Box::pin(present(&store, first_tokens(2)));
    poll_once(gone.as_mut()).await;
    drop(gone);
    until("the call has gone on", async || counter(&store, 0).await == Some(1)).await;
    rotate(&store, 2, 0).await;
    assert_eq!(counter(&store, 1).await, Some(0), "nothing was sent for the caller that has gone");
    // Alone again.
    let before = scripts(&server);
    rotate(&store, 2, 1).await;
    assert_eq!(scripts(&server) - before, 1);
}

#[tokio::test]
async fn rotations_that_wait_fail_with_a_call_that_gets_no_reply() {
    let server = Server::start();
    let store = store_with_sessions(&config::Redis { timeout: SHORT, ..server.config() }, 5).await;
    server.freeze();
    let results = present(&store, first_tokens(5)).await;
    results.iter().for_each(|result| assert_unavailable(result.as_ref().unwrap_err()));
    server.thaw();
    until_available(async || store.session(user(1), session(1).id, START).await).await;
    for number in 1..5 {
        assert_eq!(counter(&store, number).await, Some(0), "{number} was sent on a connection without replies");
        rotate(&store, number, 0).await;
    }
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
    hold_writes(&server);
    let mut waiting = pin!(present(&store, first_tokens(MANY)));
    poll_once(waiting.as_mut()).await;
    wait_until_held(&server).await;
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
    assert_eq!(scripts(&server) - before, 2, "1 and 4: no rotation of the batch is tried alone");
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
