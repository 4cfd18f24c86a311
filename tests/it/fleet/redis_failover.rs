//! Redis fails over to a replica that missed a revocation: the session is back in Redis but is refused, because the
//! user's row records when sessions were ended. A global sign-out is in no row: nodes that know of it restore it. The
//! end of a single session, or of all by their user, is in no row either: the node that stored it restores it.

use serde_json::Value;
use signet::clock::Clock;
use signet::id::UserId;
use signet::store::Accounts;
use signet::store::accounts::postgres::Postgres;
use signet::store::accounts::{Changed, Changes};

use super::{Client, Fleet, PASSWORD, TokenPair, text, wait_until_refused};
use crate::support::redis::Server;
use crate::support::until;

/// Copies the present content of Redis, like a replica that receives nothing from now on.
const SNAPSHOT: &str = "for _, key in ipairs(redis.call('KEYS', 'signet:*')) do
    redis.call('COPY', key, 'copy:' .. key)
end";

/// Replaces the content by the copy in one step, so that no node sees an intermediate state.
const RESTORE_SNAPSHOT: &str = "for _, key in ipairs(redis.call('KEYS', 'signet:*')) do
    redis.call('DEL', key)
end
for _, key in ipairs(redis.call('KEYS', 'copy:*')) do
    redis.call('COPY', key, string.sub(key, 6))
end";

/// Puts the copied keys back beside the present ones, so that a session opened since stays. With an argument, only keys
/// that match it: those of one server of a Cluster.
const RESTORE_BESIDE: &str = "for _, key in ipairs(redis.call('KEYS', 'copy:' .. (ARGV[1] or '*'))) do
    local original = string.sub(key, 6)
    if redis.call('TYPE', key).ok == 'zset' then
        redis.call('ZUNIONSTORE', original, 2, original, key, 'AGGREGATE', 'MAX')
    else
        redis.call('COPY', key, original, 'REPLACE')
    end
end";

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

fn run(redis: &Server, script: &str) {
    assert_eq!(redis.cli(&["EVAL", script, "0"]), "");
}

/// Restores the copied keys with this hash tag.
fn restore_tag(redis: &Server, tag: &str) {
    assert_eq!(redis.cli(&["EVAL", RESTORE_BESIDE, "0", &format!("signet:{{{tag}}}:*")]), "");
}

/// Creates a user with four sessions; returns the user's id and the tokens.
async fn create_sessions(fleet: &Fleet, node: &Client) -> (String, Vec<TokenPair>) {
    let user = text(&fleet.plan.create_user(ANN, PASSWORD, &[])["id"]);
    let mut pairs = Vec::new();
    for _ in 0..4 {
        pairs.push(node.sign_in(ANN).await);
    }
    (user, pairs)
}

fn session_exists(redis: &Server, user: &str, pair: &TokenPair) -> bool {
    redis.cli(&["EXISTS", &format!("signet:{{{user}}}:s:{}", pair.session)]) == "1"
}

/// Asserts that the token is refused, and that the node ends the session that it finds in Redis once more.
async fn assert_ended(node: &Client, redis: &Server, user: &str, pair: &TokenPair) {
    assert!(session_exists(redis, user, pair), "the session is back in Redis");
    assert_eq!(node.verify(&pair.access).await.rejection_reason(), Some("revoked"));
    let answer = node.refresh_response(&pair.refresh).await;
    assert_eq!((answer.status, text(&answer.body["error"])), (400, "invalid_grant".to_owned()));
    assert!(!session_exists(redis, user, pair), "the session is deleted");
    assert_eq!(node.refresh_response(&pair.refresh).await.status, 400);
}

async fn list_sessions(node: &Client, pair: &TokenPair) -> Vec<Value> {
    let request = node.http.get(format!("{}/sessions", node.base)).bearer_auth(&pair.access);
    let answer = node.send(request).await.expect("the node lives");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["sessions"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_restored_by_a_failover_is_refused() {
    let fleet = Fleet::new();
    let mut nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let redis = &fleet.redis;
    let (user, pairs) = create_sessions(&fleet, &a).await;
    fleet.plan.create_user(BOB, PASSWORD, &[]);
    let bystander = a.sign_in(BOB).await;
    run(redis, SNAPSHOT);

    // Enabled again, so that only the revocation refuses the old sessions.
    fleet.plan.json(&["users", "disable", ANN], "");
    fleet.plan.json(&["users", "enable", ANN], "");
    wait_until_refused(&a, &pairs[0].access).await;
    wait_until_refused(&b, &pairs[0].access).await;
    run(redis, RESTORE_SNAPSHOT);
    assert_ended(&a, redis, &user, &pairs[0]).await;
    assert_ended(&b, redis, &user, &pairs[1]).await;

    // Once more, with nodes that know only the content of Redis and Postgres.
    run(redis, RESTORE_SNAPSHOT);
    nodes[0].kill();
    let nodes = [fleet.plan.start(), fleet.plan.another_node().start()];
    let [restarted, third] = nodes.each_ref().map(Client::new);
    assert_ended(&restarted, redis, &user, &pairs[0]).await;
    assert_ended(&third, redis, &user, &pairs[2]).await;

    // New sessions and other users are unaffected.
    let fresh = third.sign_in(ANN).await;
    assert!(session_exists(redis, &user, &pairs[3]));
    for node in [&restarted, &b, &third] {
        assert_eq!(node.verify(&fresh.access).await.status, 200);
        let sessions = list_sessions(node, &fresh).await;
        assert!(matches!(&sessions[..], [one] if one["id"] == *fresh.session), "{sessions:?}");
        assert_eq!(node.verify(&bystander.access).await.status, 200);
    }
    let fresh = b.refresh(&restarted.refresh(&fresh).await).await;
    assert_eq!(third.verify(&fresh.access).await.status, 200);
    restarted.refresh(&bystander).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_session_of_a_deleted_user_is_refused() {
    let fleet = Fleet::new();
    let mut node = fleet.plan.start();
    let a = Client::new(&node);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    fleet.plan.create_user(BOB, PASSWORD, &[]);
    let bystander = a.sign_in(BOB).await;
    run(&fleet.redis, SNAPSHOT);

    fleet.plan.json(&["users", "delete", ANN], "");
    wait_until_refused(&a, &pairs[0].access).await;
    run(&fleet.redis, RESTORE_SNAPSHOT);
    assert_ended(&a, &fleet.redis, &user, &pairs[0]).await;

    node.kill();
    let node = fleet.plan.start();
    let a = Client::new(&node);
    assert_ended(&a, &fleet.redis, &user, &pairs[1]).await;
    assert_eq!(a.verify(&bystander.access).await.status, 200);
    a.refresh(&bystander).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_session_ended_by_an_admin_is_refused() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    fleet.plan.create_user("root@example.org", PASSWORD, &["--superuser"]);
    let root = a.sign_in("root@example.org").await;
    run(&fleet.redis, SNAPSHOT);

    let request = a.post(&format!("/admin/users/{user}/sign-out")).bearer_auth(&root.access);
    let answer = a.send(request).await.expect("the node lives");
    assert_eq!((answer.status, &answer.body["ended"]), (200, &pairs.len().into()));
    wait_until_refused(&b, &pairs[0].access).await;
    run(&fleet.redis, RESTORE_SNAPSHOT);
    assert_ended(&a, &fleet.redis, &user, &pairs[0]).await;
    assert_ended(&b, &fleet.redis, &user, &pairs[1]).await;
    a.refresh(&a.sign_in(ANN).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_sign_out_lost_by_a_failover_is_restored() {
    let fleet = Fleet::new();
    let node = fleet.plan.start();
    let a = Client::new(&node);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    run(&fleet.redis, SNAPSHOT);

    fleet.plan.json(&["sessions", "end", "--all"], "");
    wait_until_refused(&a, &pairs[0].access).await;
    let not_before = || fleet.redis.cli(&["GET", "signet:{fleet}:floor"]);
    let ended_before = not_before();
    run(&fleet.redis, RESTORE_SNAPSHOT);
    until("the node has restored it", async || not_before() == ended_before).await;

    for pair in &pairs {
        assert!(session_exists(&fleet.redis, &user, pair), "the session is back in Redis");
    }
    assert_refused_by_a_new_node(&fleet, &pairs).await;
}

/// Waits until Redis does not have the session, although a failover has brought it back.
async fn wait_until_ended_again(redis: &Server, user: &str, pair: &TokenPair) {
    until("the session is ended again", async || !session_exists(redis, user, pair)).await;
}

/// Starts a node that knows only the content of Redis and Postgres, and asserts that it refuses the sessions.
async fn assert_refused_by_a_new_node(fleet: &Fleet, pairs: &[TokenPair]) {
    let node = fleet.plan.another_node().start();
    let client = Client::new(&node);
    for pair in pairs {
        assert_eq!(client.verify(&pair.access).await.rejection_reason(), Some("revoked"));
        assert_eq!(client.refresh_response(&pair.refresh).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_a_session_lost_by_a_failover_is_restored() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    let rotated_twice = a.refresh(&a.refresh(&pairs[1]).await).await;
    run(&fleet.redis, SNAPSHOT);

    a.sign_out(&pairs[0]).await;
    assert_eq!(a.refresh_response(&pairs[1].refresh).await.status, 400, "the token is reused");
    wait_until_refused(&b, &rotated_twice.access).await;
    run(&fleet.redis, RESTORE_SNAPSHOT);
    for pair in &pairs[..2] {
        wait_until_ended_again(&fleet.redis, &user, pair).await;
    }
    assert_refused_by_a_new_node(&fleet, &pairs[..2]).await;
    assert_refused_by_a_new_node(&fleet, &[rotated_twice]).await;
    for pair in &pairs[2..] {
        a.refresh(pair).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_end_of_all_sessions_spares_later_ones() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    run(&fleet.redis, SNAPSHOT);

    let answer = a.send(a.delete("/sessions", &pairs[0].access)).await.expect("the node lives");
    assert_eq!((answer.status, &answer.body["ended"]), (200, &pairs.len().into()));
    wait_until_refused(&b, &pairs[0].access).await;
    let later = a.sign_in(ANN).await;
    run(&fleet.redis, RESTORE_BESIDE);
    for pair in &pairs {
        wait_until_ended_again(&fleet.redis, &user, pair).await;
    }
    assert_refused_by_a_new_node(&fleet, &pairs).await;
    for node in [&a, &b] {
        assert_eq!(node.verify(&later.access).await.status, 200);
    }
    b.refresh(&a.refresh(&later).await).await;
}

/// Of a Cluster, the server with the stream fails over alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_that_the_stream_has_lost_is_published_again() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    run(&fleet.redis, SNAPSHOT);

    a.sign_out(&pairs[0]).await;
    wait_until_refused(&b, &pairs[0].access).await;
    restore_tag(&fleet.redis, "fleet");
    let stream = || fleet.redis.cli(&["XRANGE", "signet:{fleet}:revocations", "-", "+"]);
    until("the revocation is published again", async || stream().contains(&*pairs[0].session)).await;
    assert!(!session_exists(&fleet.redis, &user, &pairs[0]));
    assert_refused_by_a_new_node(&fleet, &pairs[..1]).await;
}

/// Of a Cluster, the server with the user's sessions fails over alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_is_back_after_an_interruption_is_ended() {
    let mut fleet = Fleet::new();
    let node = fleet.plan.start();
    let a = Client::new(&node);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    run(&fleet.redis, SNAPSHOT);

    a.sign_out(&pairs[0]).await;
    restore_tag(&fleet.redis, &user);
    assert!(session_exists(&fleet.redis, &user, &pairs[0]), "the session is back in Redis");
    // The driver loses its connections to a Cluster with one of its servers. The stream loses nothing.
    assert_eq!(fleet.redis.cli(&["SAVE"]), "OK");
    fleet.redis.kill();
    fleet.redis.restart();
    wait_until_ended_again(&fleet.redis, &user, &pairs[0]).await;
    assert_refused_by_a_new_node(&fleet, &pairs[..1]).await;
    assert!(session_exists(&fleet.redis, &user, &pairs[1]));
}

/// Redis is killed, the user is disabled before any node learns of it, and Redis comes back without the revocation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_learn_of_a_missed_revocation_from_the_row() {
    let mut fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let (user, pairs) = create_sessions(&fleet, &a).await;
    fleet.plan.create_user(BOB, PASSWORD, &[]);
    assert_eq!(fleet.redis.cli(&["SAVE"]), "OK");
    fleet.redis.kill();
    let rows = Postgres::new(&fleet.postgres.settings(), 1).unwrap();
    let id = UserId::parse(&user).unwrap();
    let disabled = Changes { disabled: Some(true), ..Changes::default() };
    let changed = rows.change_user(id, &disabled, Clock::system().now()).await.unwrap();
    assert!(matches!(changed, Changed::Changed(_)), "the user exists");
    for node in [&a, &b] {
        assert_eq!(node.verify(&pairs[0].access).await.status, 200, "no node knows of it yet");
    }

    fleet.redis.restart();
    for (node, pair) in [(&a, &pairs[0]), (&b, &pairs[1])] {
        let is_revoked = async || node.verify(&pair.access).await.rejection_reason() == Some("revoked");
        until("the revocation is known", is_revoked).await;
        // Not until it is ready: its worker has a connection of its own, which may come back later.
        let signs_in = async || node.try_sign_in(BOB).await.is_some_and(|answer| answer.status == 201);
        until("the worker of the node has Redis again", signs_in).await;
        assert_ended(node, &fleet.redis, &user, pair).await;
    }
}
