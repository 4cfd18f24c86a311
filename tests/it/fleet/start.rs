//! How a fleet begins: many nodes at once on nothing, and a node that brings something along.

use super::{Client, PASSWORD, SOON, TestFleet, kid, until};
use crate::support::redis;
use crate::support::signet::Plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_at_once_on_empty_stores_agree_on_one_keyring() {
    let fleet = TestFleet::new();
    let mut nodes = (0..10).map(|_| fleet.plan.another().launch()).collect::<Vec<_>>();
    for node in &mut nodes {
        if !node.listening() {
            node.ended();
            panic!("a node did not start:\n{}", node.log());
        }
    }
    let clients = nodes.iter().map(Client::of).collect::<Vec<_>>();
    let kids = clients[0].kids().await;
    assert_eq!(kids.len(), 1, "{kids:?}");
    fleet.plan.user("ann@example.org", PASSWORD, &[]);
    for node in &clients {
        assert_eq!(node.kids().await, kids);
        let pair = node.sign_in("ann@example.org").await;
        for other in &clients {
            assert_eq!(other.verify(&pair.access).await.status, 200);
        }
        until("the node is ready", SOON * 2, async || node.not_ready().await.is_empty()).await;
    }
}

/// A folder that was used with another fleet of the same secret holds that fleet's keyring, as new as this one's or newer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_brings_another_keyring_along_takes_up_the_fleets() {
    let fleet = TestFleet::new();
    let elsewhere = redis::Server::start();
    let as_new = Plan::on(&elsewhere, &fleet.postgres);
    assert!(as_new.start().data().join("keyring.sealed").exists());
    // The command line writes the mirror of its own folder.
    let newer = as_new.another();
    newer.json(&["keys", "rotate"], "");
    assert!(newer.dir().join("data/keyring.sealed").exists());

    let node = fleet.plan.start();
    let a = Client::of(&node);
    fleet.plan.user("ann@example.org", PASSWORD, &[]);
    let pair = a.sign_in("ann@example.org").await;
    for stranger in [as_new, newer] {
        let joining = stranger.set("REDIS_URL", &fleet.redis.url()).start();
        let b = Client::of(&joining);
        for node in [&a, &b] {
            assert_eq!(node.kids().await, [kid(&pair.access)]);
            assert_eq!(node.verify(&pair.access).await.status, 200);
        }
    }
}
