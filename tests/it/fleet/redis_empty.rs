//! Redis is emptied or replaced under a running fleet: every earlier token is refused, the signing keys survive, and
//! everyone can sign in again.

use std::time::Instant;

use super::{Client, Fleet, PASSWORD, TokenPair, kid, print_timings, text, wait_until_refused};
use crate::support::redis::Server;
use crate::support::signet::Signet;
use crate::support::until;

/// Two nodes with sessions in every state.
struct PopulatedFleet {
    _nodes: [Signet; 2],
    fleet: Fleet,
    clients: [Client; 2],
    /// Open; both nodes have its access token in their caches.
    cached: TokenPair,
    /// Open; no node has seen its access tokens.
    unseen: Vec<TokenPair>,
    /// Signed out.
    ended: TokenPair,
    /// An API key, and a token that was issued to it.
    key: String,
    key_token: String,
    /// An API key that was deactivated.
    deactivated: String,
}

impl PopulatedFleet {
    async fn new() -> Self {
        let fleet = Fleet::new();
        let nodes = fleet.start_two();
        let clients = nodes.each_ref().map(Client::new);
        fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
        let [a, b] = &clients;
        let (cached, ended) = (a.sign_in("ann@example.org").await, a.sign_in("ann@example.org").await);
        let mut unseen = Vec::new();
        for _ in 0..8 {
            unseen.push(b.sign_in("ann@example.org").await);
        }
        a.sign_out(&ended).await;
        let create = ["api-keys", "create", "--user", "ann@example.org", "--name", "k"];
        let [(key, _), (deactivated, prefix)] = [(); 2].map(|()| {
            let created = fleet.plan.json(&create, "");
            (text(&created["full_key"]), text(&created["prefix"]))
        });
        let issued = a.post("/oauth/token").header("x-api-key", &key).form(&[("grant_type", "client_credentials")]);
        let key_token = text(&a.send(issued).await.expect("the node is up").is(200).body["access_token"]);
        for client in &clients {
            for credential in [&cached.access, &key, &key_token, &deactivated] {
                assert_eq!(client.verify(credential).await.status, 200);
            }
        }
        fleet.plan.json(&["api-keys", "deactivate", &prefix], "");
        for client in &clients {
            wait_until_refused(client, &deactivated).await;
        }
        Self { _nodes: nodes, fleet, clients, cached, unseen, ended, key, key_token, deactivated }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptied_redis_invalidates_tokens_and_keeps_keys() {
    let populated = PopulatedFleet::new().await;
    let [a, b] = &populated.clients;
    let key = kid(&populated.cached.access);
    let last = a.sign_in("ann@example.org").await;
    assert_eq!(populated.fleet.redis.cli(&["FLUSHALL"]), "OK");
    let began = Instant::now();
    // A node that starts at this moment finds nothing and creates a keyring of its own.
    let mut third = populated.fleet.plan.another_node().spawn();
    for client in [a, b] {
        assert_eq!(client.refresh_response(&populated.cached.refresh).await.status, 400);
        assert_eq!(client.refresh_response(&last.refresh).await.status, 400);
    }
    let mut durations = Vec::new();
    for client in [a, b] {
        let is_refused = async || client.verify(&populated.cached.access).await.status == 401;
        until("tokens from before are refused", is_refused).await;
        durations.push(began.elapsed());
        for pair in populated.unseen.iter().chain([&last, &populated.ended]) {
            assert_eq!(client.verify(&pair.access).await.rejection_reason(), Some("revoked"));
        }
        // Keys are in Postgres, and those that had ended are not valid again.
        assert_eq!(client.verify(&populated.key_token).await.rejection_reason(), Some("revoked"));
        assert_eq!(client.verify(&populated.key).await.status, 200);
        assert_eq!(client.verify(&populated.deactivated).await.rejection_reason(), Some("unknown_api_key"));
    }
    let restored = async || populated.fleet.redis.cli(&["EXISTS", "signet:{fleet}:ring"]) == "1";
    until("the keyring is in Redis again", restored).await;
    durations.push(began.elapsed());
    print_timings("Redis emptied: until tokens are refused by each node, and the keyring is back", durations);
    assert!(third.wait_until_listening());
    let third = Client::new(&third);
    for client in [a, b, &third] {
        until("the node has the fleet's keyring", async || client.kids().await[0] == key).await;
    }
    everyone_can_sign_in(&populated.clients, &key).await;
    everyone_can_sign_in(&[a.clone(), third], &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_is_replaced_during_a_stop_voids_sessions() {
    let fleet = Fleet::new();
    let plans = [fleet.plan.clone(), fleet.plan.another_node()];
    let mut nodes = plans.each_ref().map(|plan| plan.start());
    fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
    let pair = Client::new(&nodes[0]).sign_in("ann@example.org").await;
    nodes.iter_mut().for_each(Signet::kill);

    let replacement = Server::start();
    let mut nodes = plans.map(|plan| plan.set("REDIS_URL", &replacement.url()).spawn());
    assert!(nodes.iter_mut().all(Signet::wait_until_listening));
    let clients = nodes.each_ref().map(Client::new);
    for client in &clients {
        assert_eq!(client.verify(&pair.access).await.rejection_reason(), Some("revoked"));
        assert_eq!(client.refresh_response(&pair.refresh).await.status, 400);
    }
    everyone_can_sign_in(&clients, &kid(&pair.access)).await;
}

/// Users can sign in again, and the signing key is the same as before.
async fn everyone_can_sign_in(clients: &[Client; 2], key: &str) {
    for (one, other) in [(&clients[0], &clients[1]), (&clients[1], &clients[0])] {
        let kids = one.kids().await;
        assert_eq!((kids[0].as_str(), kids.len()), (key, 2), "the signing key and the standby");
        let mut pair = one.sign_in("ann@example.org").await;
        for client in [other, one] {
            assert_eq!(client.verify(&pair.access).await.status, 200);
            pair = client.refresh(&pair).await;
        }
        one.sign_out(&pair).await;
        wait_until_refused(other, &pair.access).await;
    }
}
