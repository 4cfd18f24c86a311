//! Redis forgets everything or is replaced under a fleet: nothing that was open or ended is good any more, the keys are, and all begin
//! anew.

use std::time::{Duration, Instant};

use super::{Client, PASSWORD, SOON, TestFleet, TokenPair, kid, print_figures, until};
use crate::support::redis::Server;
use crate::support::signet::Signet;

/// In what time everything must work again.
const BACK: Duration = Duration::from_secs(2);

/// Two nodes with sessions in every state.
struct Fleet {
    fleet: TestFleet,
    _nodes: [Signet; 2],
    clients: [Client; 2],
    /// Open; its access token is known to both nodes.
    cached: TokenPair,
    /// Open; no node has seen its access token.
    unseen: Vec<TokenPair>,
    /// Signed out.
    ended: TokenPair,
}

impl Fleet {
    async fn new() -> Self {
        let fleet = TestFleet::new();
        let nodes = fleet.two();
        let clients = nodes.each_ref().map(Client::of);
        fleet.plan.user("ann@example.org", PASSWORD, &[]);
        let [a, b] = &clients;
        let (cached, ended) = (a.sign_in("ann@example.org").await, a.sign_in("ann@example.org").await);
        let mut unseen = Vec::new();
        for _ in 0..8 {
            unseen.push(b.sign_in("ann@example.org").await);
        }
        a.sign_out(&ended).await;
        for client in &clients {
            assert_eq!(client.verify(&cached.access).await.status, 200);
        }
        Self { fleet, _nodes: nodes, clients, cached, unseen, ended }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_forgets_everything() {
    let fleet = Fleet::new().await;
    let [a, b] = &fleet.clients;
    let key = kid(&fleet.cached.access);
    let last = a.sign_in("ann@example.org").await;
    assert_eq!(fleet.fleet.redis.cli(&["FLUSHALL"]), "OK");
    let began = Instant::now();
    // A node that comes up at this very moment finds nothing, and begins with a keyring of its own.
    let mut third = fleet.fleet.plan.another().launch();
    for client in [a, b] {
        assert_eq!(client.present(&fleet.cached.refresh).await.status, 400);
        assert_eq!(client.present(&last.refresh).await.status, 400);
    }
    let mut spans = Vec::new();
    for client in [a, b] {
        let refused = async || client.verify(&fleet.cached.access).await.status == 401;
        until("tokens from before are refused", BACK, refused).await;
        spans.push(began.elapsed());
        for pair in fleet.unseen.iter().chain([&last, &fleet.ended]) {
            assert_eq!(client.verify(&pair.access).await.reason(), Some("revoked"));
        }
    }
    let restored = async || fleet.fleet.redis.cli(&["EXISTS", "signet:{fleet}:ring"]) == "1";
    until("the keyring is in Redis again", BACK, restored).await;
    spans.push(began.elapsed());
    print_figures("Redis emptied: until tokens are refused by each node, and the keyring is back", spans);
    assert!(third.listening());
    let third = Client::of(&third);
    for client in [a, b, &third] {
        until("it has the fleet's keyring", BACK, async || client.kids().await == [key.as_str()]).await;
    }
    begins_anew(&fleet.clients, &key).await;
    begins_anew(&[a.clone(), third], &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_replaced_while_every_node_is_down() {
    let fleet = TestFleet::new();
    let plans = [fleet.plan.clone(), fleet.plan.another()];
    let mut nodes = plans.each_ref().map(|plan| plan.start());
    fleet.plan.user("ann@example.org", PASSWORD, &[]);
    let pair = Client::of(&nodes[0]).sign_in("ann@example.org").await;
    nodes.iter_mut().for_each(Signet::kill);

    let replacement = Server::start();
    let mut nodes = plans.map(|plan| plan.set("REDIS_URL", &replacement.url()).launch());
    assert!(nodes.iter_mut().all(Signet::listening));
    let clients = nodes.each_ref().map(Client::of);
    for client in &clients {
        assert_eq!(client.verify(&pair.access).await.reason(), Some("revoked"));
        assert_eq!(client.present(&pair.refresh).await.status, 400);
    }
    begins_anew(&clients, &kid(&pair.access)).await;
}

/// Everyone signs in again, under the same key as before.
async fn begins_anew(clients: &[Client; 2], key: &str) {
    for (one, other) in [(&clients[0], &clients[1]), (&clients[1], &clients[0])] {
        assert_eq!(one.kids().await, [key]);
        let mut pair = one.sign_in("ann@example.org").await;
        for client in [other, one] {
            assert_eq!(client.verify(&pair.access).await.status, 200);
            pair = client.refresh(&pair).await;
        }
        one.sign_out(&pair).await;
        until("the other node hears", SOON, async || other.verify(&pair.access).await.status == 401).await;
    }
}
