//! The fleet's secret: a node with another secret, and rotating the secret without signing anyone out.

use serde_json::json;

use super::{Client, Fleet, PASSWORD, TokenPair, kid};
use crate::support::outbox::mails_in;
use crate::support::signet::{Plan, SECRET, Signet};
use crate::support::until;

const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_another_secret_refuses_to_start() {
    let fleet = Fleet::new();
    let node = fleet.plan.start();
    let kids = Client::new(&node).kids().await;
    let mut other = fleet.plan.another_node().set("SIGNET_SECRET", NEW).try_start();
    assert!(!other.wait_until_listening(), "the node started");
    assert!(!other.wait_for_exit().success());
    let log = other.log();
    assert!(log.contains("the fleet's keyring does not open") && log.contains("the same secret"), "{log}");
    assert!(!log.contains(NEW) && !log.contains(SECRET), "{log}");
    // The failed start has changed nothing, and with both secrets the node starts.
    assert_eq!(Client::new(&node).kids().await, kids);
    let other = fleet.plan.another_node().set("SIGNET_SECRET", &format!("{NEW},{SECRET}")).start();
    assert_eq!(Client::new(&other).kids().await, kids);
}

/// The procedure in `config.toml`: first every node accepts the new secret, then every node seals with it, then the old
/// secret is removed. One node is restarted at a time while the other serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_rotation_signs_nobody_out() {
    let fleet = Fleet::new();
    let plans = [fleet.plan.clone(), fleet.plan.another_node()];
    fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
    let mut nodes = plans.each_ref().map(Plan::start);
    // One session is used throughout; the other is refreshed only where a comment says so.
    let mut used = Client::new(&nodes[0]).sign_in("ann@example.org").await;
    let idle = Client::new(&nodes[1]).sign_in("ann@example.org").await;
    let first_key = kid(&used.access);
    let [new_second, new_first] = [format!("{SECRET},{NEW}"), format!("{NEW},{SECRET}")];
    for secrets in [new_second.as_str(), new_first.as_str()] {
        for index in 0..nodes.len() {
            nodes[index] = restart_with(&mut nodes[index], &plans[index], secrets);
            used = refresh_on_every_node(&nodes, used).await;
        }
    }
    // A refresh token made with the old secret must be exchanged before that secret is removed.
    let idle = Client::new(&nodes[0]).refresh(&idle).await;
    for index in 0..nodes.len() {
        nodes[index] = restart_with(&mut nodes[index], &plans[index], NEW);
        used = refresh_on_every_node(&nodes, used).await;
    }
    let idle = Client::new(&nodes[1]).refresh(&idle).await;
    assert_eq!(kid(&idle.access), first_key);
}

/// A mailed link works on every node as long as the secret that signed it is in the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_works_until_its_secret_is_removed() {
    let fleet = Fleet::new();
    let plans = [fleet.plan.clone(), fleet.plan.another_node()];
    let mut nodes = plans.each_ref().map(Plan::start);
    let (client, email) = (Client::new(&nodes[0]), "bob@example.org");
    let body = json!({"email": email, "username": "bob", "password": PASSWORD});
    client.execute(client.post("/api/auth/register").json(&body)).await.unwrap().is(201);
    let data = nodes[0].data_dir();
    until("the link arrives", async || !mails_in(&data, email).is_empty()).await;
    let link = format!("/api/auth/confirmed_email/{}", mails_in(&data, email)[0].token());
    let [new_second, new_first] = [format!("{SECRET},{NEW}"), format!("{NEW},{SECRET}")];
    for (secrets, status) in [(new_second.as_str(), 200), (&new_first, 200), (NEW, 422)] {
        for index in 0..nodes.len() {
            nodes[index] = restart_with(&mut nodes[index], &plans[index], secrets);
        }
        for client in nodes.each_ref().map(Client::new) {
            client.execute(client.get(&link)).await.unwrap().is(status);
        }
    }
}

/// Restarts a node with other secrets.
fn restart_with(node: &mut Signet, plan: &Plan, secrets: &str) -> Signet {
    node.terminate();
    assert!(node.wait_for_exit().success());
    plan.clone().set("SIGNET_SECRET", secrets).start()
}

/// Asserts that every node accepts the tokens of every node.
async fn refresh_on_every_node(nodes: &[Signet; 2], mut pair: TokenPair) -> TokenPair {
    let clients = nodes.each_ref().map(Client::new);
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
