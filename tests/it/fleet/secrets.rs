//! The fleet's secret: a node with another one, and changing it without signing anyone out.

use super::{Client, PASSWORD, TestFleet, TokenPair, kid};
use crate::support::signet::{Plan, SECRET, Signet};

const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_secret_refuses_to_start_and_says_why() {
    let fleet = TestFleet::new();
    let node = fleet.plan.start();
    let kids = Client::of(&node).kids().await;
    let mut other = fleet.plan.another().set("SIGNET_SECRET", NEW).try_start();
    assert!(!other.listening(), "it listens");
    assert!(!other.ended().success());
    let log = other.log();
    assert!(log.contains("the fleet's keyring does not open") && log.contains("the same secret"), "{log}");
    assert!(!log.contains(NEW) && !log.contains(SECRET), "{log}");
    // It has changed nothing, and with the list it is welcome.
    assert_eq!(Client::of(&node).kids().await, kids);
    let other = fleet.plan.another().set("SIGNET_SECRET", &format!("{NEW},{SECRET}")).start();
    assert_eq!(Client::of(&other).kids().await, kids);
}

/// As `config.toml` says it is done: first every node learns to open with the new secret, then every node seals with it, then the
/// old one is taken out. Node by node, with the other in service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_is_changed_over_a_fleet_and_nobody_is_signed_out() {
    let fleet = TestFleet::new();
    let plans = [fleet.plan.clone(), fleet.plan.another()];
    fleet.plan.user("ann@example.org", PASSWORD, &[]);
    let mut nodes = plans.each_ref().map(Plan::start);
    // One session is in use all the time; the others wait for the end.
    let mut used = Client::of(&nodes[0]).sign_in("ann@example.org").await;
    let waiting = Client::of(&nodes[1]).sign_in("ann@example.org").await;
    let first_key = kid(&used.access);
    let [both, reversed] = [format!("{SECRET},{NEW}"), format!("{NEW},{SECRET}")];
    for secrets in [both.as_str(), reversed.as_str()] {
        for at in 0..nodes.len() {
            nodes[at] = anew(&mut nodes[at], &plans[at], secrets);
            used = everywhere(&nodes, used).await;
        }
    }
    // Whoever holds a token of the old secret has it exchanged before that goes.
    let waiting = Client::of(&nodes[0]).refresh(&waiting).await;
    for at in 0..nodes.len() {
        nodes[at] = anew(&mut nodes[at], &plans[at], NEW);
        used = everywhere(&nodes, used).await;
    }
    let waiting = Client::of(&nodes[1]).refresh(&waiting).await;
    assert_eq!(kid(&waiting.access), first_key);
}

/// The node again, with other secrets.
fn anew(node: &mut Signet, plan: &Plan, secrets: &str) -> Signet {
    node.terminate();
    assert!(node.ended().success());
    plan.clone().set("SIGNET_SECRET", secrets).start()
}

/// What each node hands out, each node takes.
async fn everywhere(nodes: &[Signet; 2], mut pair: TokenPair) -> TokenPair {
    let clients = nodes.each_ref().map(Client::of);
    for _ in 0..2 {
        for client in &clients {
            pair = client.refresh(&pair).await;
            for other in &clients {
                assert_eq!(other.verify(&pair.access).await.status, 200);
            }
        }
    }
    pair
}
