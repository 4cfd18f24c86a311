//! A follower of two nodes whose Redis is replaced by its replica, which lacks the last sign-out.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use signet_verify::follow::VerifyError;

use super::fleet::{Balancer, Watch, address_of, follower, sign_in_again};
use super::{result, sign_out};
use crate::support::client::Client;
use crate::support::ports::free_port;
use crate::support::postgres::Database;
use crate::support::redis::Sentinel;
use crate::support::server::{TestServer, TokenPair};
use crate::support::signet::Plan;
use crate::support::until;

/// The epoch of the feed; empty while a node does not know.
async fn epoch(node: &Client) -> String {
    let response = node.send(node.get("/.well-known/signet-revocations")).await.expect("the node is up");
    let payload = response.text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let frame = payload.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    frame.and_then(|frame| frame["epoch"].as_str().map(str::to_owned)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follower_outlives_a_failover_of_redis() {
    let address = format!("127.0.0.1:{}", free_port());
    let issuer = format!("http://{address}");
    let (mut sentinel, postgres) = (Sentinel::start(), Database::create());
    let plan = Plan::at(&sentinel.url(), &postgres).with_patient_stores().set("SIGNET_SERVER__PUBLIC_URL", &issuer);
    let (server, other) = (TestServer::start(plan.clone()), plan.another_node().start());
    let balancer = Balancer::start(&address, address_of(&server.signet)).await;
    let nodes = [Client::new(&server.signet), Client::new(&other)];
    let user = server.create_user(&[]);
    let (ended, lost) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let kept = server.sign_in(&user).await;
    let verifier = follower(&issuer, Duration::from_secs(10)).await;
    // A follower that counts itself as stale soon.
    let impatient = follower(&issuer, Duration::from_secs(2)).await;
    let watches = [Watch::start(&verifier), Watch::start(&impatient)];
    let before = epoch(&nodes[0]).await;

    sign_out(&server, &ended).await;
    watches[0].until_refused(&verifier, &ended).await;
    watches[1].until_refused(&impatient, &ended).await;
    // The master has the next sign-out alone: the replica is disconnected, and may not return.
    let [master, replica] = &sentinel.servers[..] else { panic!("a master and a replica") };
    let session = |pair: &TokenPair| format!("signet:{{{}}}:s:{}", user.id, pair.session);
    until("the first sign-out is at the replica", async || replica.cli(&["EXISTS", &session(&ended)]) == "0").await;
    assert_eq!(master.cli(&["ACL", "SETUSER", "default", "-psync", "-sync"]), "OK");
    assert_eq!(master.cli(&["CLIENT", "KILL", "TYPE", "replica"]), "1");
    sign_out(&server, &lost).await;
    watches[0].until_refused(&verifier, &lost).await;
    watches[1].until_refused(&impatient, &lost).await;
    // Both nodes: what the other one has not read by now is gone with the master.
    for node in &nodes {
        let knows_it = async || node.verify(&lost.access).await.rejection_reason() == Some("revoked");
        until("the node knows of the sign-out", knows_it).await;
    }
    assert_eq!(replica.cli(&["EXISTS", &session(&lost)]), "1", "the replica has missed the sign-out");

    // Sentinel has no replica to promote yet, so the followers get no frame and become stale.
    replica.freeze();
    sentinel.fail_over_soon();
    sentinel.servers[0].kill();
    until("the limit has passed", async || result(&impatient, &kept.access) == Err(VerifyError::Stale)).await;
    sentinel.servers[1].thaw();
    sentinel.wait_for_promotion();
    for node in &nodes {
        until("the new epoch is published", async || !["", &before].contains(&&*epoch(node).await)).await;
    }
    let is_restored = async || sentinel.servers[1].cli(&["EXISTS", &session(&lost)]) == "0";
    until("the node that ended the session has ended it again", is_restored).await;
    for node in &nodes {
        assert_eq!(node.verify(&lost.access).await.rejection_reason(), Some("revoked"));
    }
    until("the staleness is over", async || result(&impatient, &kept.access) == Ok(())).await;

    // The positions of the new epoch are followed, at both nodes, and a follower that starts now knows the lost sign-out.
    let last = sign_in_again(&server, &verifier, &user).await;
    balancer.switch(address_of(&other));
    sign_out(&server, &last).await;
    for (watch, verifier) in watches.iter().zip([&verifier, &impatient]) {
        watch.until_refused(verifier, &last).await;
    }
    let later = follower(&issuer, Duration::from_secs(10)).await;
    for pair in [&ended, &lost, &last] {
        assert_eq!(result(&later, &pair.access), Err(VerifyError::Revoked));
    }
    assert_eq!(result(&later, &kept.access), Ok(()));
    for watch in watches {
        watch.finish();
    }
}
