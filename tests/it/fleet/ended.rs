//! Redis fails over to a server that had not heard of an ending: the session is there again, and is of no use, since the user's row
//! says that it was ended.

use serde_json::Value;
use signet::clock::Clock;
use signet::id::UserId;
use signet::store::Accounts;
use signet::store::accounts::postgres::Postgres;
use signet::store::accounts::{Changed, Changes};

use super::{Client, PASSWORD, SOON, TestFleet, TokenPair, refused, text, until};
use crate::support::redis::Server;

/// Keeps beside what Redis holds now, as a replica would that hears nothing from now on.
const KEEP: &str = "for _, key in ipairs(redis.call('KEYS', 'signet:*')) do
    redis.call('COPY', key, 'kept:' .. key)
end";

/// Puts that in the place of what there is, in one step, so that no node sees anything between.
const FAIL_OVER: &str = "for _, key in ipairs(redis.call('KEYS', 'signet:*')) do
    redis.call('DEL', key)
end
for _, key in ipairs(redis.call('KEYS', 'kept:*')) do
    redis.call('COPY', key, string.sub(key, 6))
end";

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

fn run(redis: &Server, script: &str) {
    assert_eq!(redis.cli(&["EVAL", script, "0"]), "");
}

/// A user's id, and some sessions.
async fn sessions(fleet: &TestFleet, node: &Client) -> (String, Vec<TokenPair>) {
    let user = text(&fleet.plan.user(ANN, PASSWORD, &[])["id"]);
    let mut pairs = Vec::new();
    for _ in 0..4 {
        pairs.push(node.sign_in(ANN).await);
    }
    (user, pairs)
}

fn is_there(redis: &Server, user: &str, pair: &TokenPair) -> bool {
    redis.cli(&["EXISTS", &format!("signet:{{{user}}}:s:{}", pair.session)]) == "1"
}

/// The token is refused, and its session with it, which the node finds in Redis and ends once more.
async fn is_over(node: &Client, redis: &Server, user: &str, pair: &TokenPair) {
    assert!(is_there(redis, user, pair), "the session had come back");
    assert_eq!(node.verify(&pair.access).await.reason(), Some("revoked"));
    let answer = node.present(&pair.refresh).await;
    assert_eq!((answer.status, text(&answer.body["error"])), (400, "invalid_grant".to_owned()));
    assert!(!is_there(redis, user, pair), "it is ended for good");
    assert_eq!(node.present(&pair.refresh).await.status, 400);
}

async fn listed(node: &Client, pair: &TokenPair) -> Vec<Value> {
    let request = node.http.get(format!("{}/sessions", node.base)).bearer_auth(&pair.access);
    let answer = node.send(request).await.expect("the node lives");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["sessions"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_a_failover_brings_back_is_refused() {
    let fleet = TestFleet::new();
    let mut nodes = fleet.two();
    let [a, b] = nodes.each_ref().map(Client::of);
    let redis = &fleet.redis;
    let (user, pairs) = sessions(&fleet, &a).await;
    fleet.plan.user(BOB, PASSWORD, &[]);
    let bystander = a.sign_in(BOB).await;
    run(redis, KEEP);

    // Enabled again: nothing but the ending refuses her old sessions.
    fleet.plan.json(&["users", "disable", ANN], "");
    fleet.plan.json(&["users", "enable", ANN], "");
    refused(&a, &pairs[0].access).await;
    refused(&b, &pairs[0].access).await;
    run(redis, FAIL_OVER);
    is_over(&a, redis, &user, &pairs[0]).await;
    is_over(&b, redis, &user, &pairs[1]).await;

    // Once more, and for nodes that know only what is in Redis and Postgres.
    run(redis, FAIL_OVER);
    nodes[0].kill();
    let nodes = [fleet.plan.start(), fleet.plan.another().start()];
    let [again, third] = nodes.each_ref().map(Client::of);
    is_over(&again, redis, &user, &pairs[0]).await;
    is_over(&third, redis, &user, &pairs[2]).await;

    // Who signs in anew feels nothing of it, nor does anybody else.
    let fresh = third.sign_in(ANN).await;
    assert!(is_there(redis, &user, &pairs[3]));
    for node in [&again, &b, &third] {
        assert_eq!(node.verify(&fresh.access).await.status, 200);
        let shown = listed(node, &fresh).await;
        assert!(matches!(&shown[..], [one] if one["id"] == *fresh.session), "{shown:?}");
        assert_eq!(node.verify(&bystander.access).await.status, 200);
    }
    let fresh = b.refresh(&again.refresh(&fresh).await).await;
    assert_eq!(third.verify(&fresh.access).await.status, 200);
    again.refresh(&bystander).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_user_who_is_gone_does_not_come_back() {
    let fleet = TestFleet::new();
    let mut node = fleet.plan.start();
    let a = Client::of(&node);
    let (user, pairs) = sessions(&fleet, &a).await;
    fleet.plan.user(BOB, PASSWORD, &[]);
    let bystander = a.sign_in(BOB).await;
    run(&fleet.redis, KEEP);

    fleet.plan.json(&["users", "delete", ANN], "");
    refused(&a, &pairs[0].access).await;
    run(&fleet.redis, FAIL_OVER);
    is_over(&a, &fleet.redis, &user, &pairs[0]).await;

    node.kill();
    let node = fleet.plan.start();
    let a = Client::of(&node);
    is_over(&a, &fleet.redis, &user, &pairs[1]).await;
    assert_eq!(a.verify(&bystander.access).await.status, 200);
    a.refresh(&bystander).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_admin_ended_does_not_come_back() {
    let fleet = TestFleet::new();
    let nodes = fleet.two();
    let [a, b] = nodes.each_ref().map(Client::of);
    let (user, pairs) = sessions(&fleet, &a).await;
    fleet.plan.user("root@example.org", PASSWORD, &["--superuser"]);
    let root = a.sign_in("root@example.org").await;
    run(&fleet.redis, KEEP);

    let request = a.post(&format!("/admin/users/{user}/sign-out")).bearer_auth(&root.access);
    let answer = a.send(request).await.expect("the node lives");
    assert_eq!((answer.status, &answer.body["ended"]), (200, &pairs.len().into()));
    refused(&b, &pairs[0].access).await;
    run(&fleet.redis, FAIL_OVER);
    is_over(&a, &fleet.redis, &user, &pairs[0]).await;
    is_over(&b, &fleet.redis, &user, &pairs[1]).await;
    a.refresh(&a.sign_in(ANN).await).await;
}

/// The server dies with the ending, before any node has heard of it, and comes back without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_heard_of_nothing_read_the_row() {
    let mut fleet = TestFleet::new();
    let nodes = fleet.two();
    let [a, b] = nodes.each_ref().map(Client::of);
    let (user, pairs) = sessions(&fleet, &a).await;
    assert_eq!(fleet.redis.cli(&["SAVE"]), "OK");
    fleet.redis.kill();
    let rows = Postgres::new(&fleet.postgres.settings(), 1).unwrap();
    let id = UserId::parse(&user).unwrap();
    let disabled = Changes { disabled: Some(true), ..Changes::default() };
    let changed = rows.change_user(id, &disabled, Clock::machine().now()).await.unwrap();
    assert!(matches!(changed, Changed::Changed(_)), "she is there");
    for node in [&a, &b] {
        assert_eq!(node.verify(&pairs[0].access).await.status, 200, "nobody has heard of anything");
    }

    fleet.redis.restart();
    for (node, pair) in [(&a, &pairs[0]), (&b, &pairs[1])] {
        let row_is_read = async || node.verify(&pair.access).await.reason() == Some("revoked");
        until("the ending is known", SOON * 3, row_is_read).await;
        until("it has Redis again", SOON * 3, async || node.not_ready().await.is_empty()).await;
        is_over(node, &fleet.redis, &user, pair).await;
    }
}
