//! Postgres dies or freezes under a fleet: who is signed in feels nothing, who wants to sign in is told to come back soon.

use std::time::Duration;

use super::{Client, Ground, PASSWORD, Pair, SOON, print_figures, until};

/// In what time who needs what is gone must have been told so.
const TOLD: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_dies_and_comes_back_and_no_node_is_restarted() {
    let mut ground = Ground::new();
    let nodes = ground.two();
    let clients = nodes.each_ref().map(Client::of);
    ground.plan.user("ann@example.org", PASSWORD, &[]);
    let pair = clients[0].sign_in("ann@example.org").await;

    ground.postgres.kill_immediate();
    let pair = unaffected(&clients, pair, "dead").await;
    ground.postgres.restart();
    back(&clients, pair, "after its death").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_freezes_and_goes_on_and_no_node_is_restarted() {
    let mut ground = Ground::new();
    let nodes = ground.two();
    let clients = nodes.each_ref().map(Client::of);
    ground.plan.user("ann@example.org", PASSWORD, &[]);
    let pair = clients[0].sign_in("ann@example.org").await;

    ground.postgres.freeze();
    let pair = unaffected(&clients, pair, "frozen").await;
    ground.postgres.thaw();
    back(&clients, pair, "after its freeze").await;
}

async fn unaffected(clients: &[Client; 2], mut pair: Pair, how: &str) -> Pair {
    let mut spans = Vec::new();
    for _ in 0..5 {
        for (client, other) in [(&clients[0], &clients[1]), (&clients[1], &clients[0])] {
            let answer = client.try_sign_in("ann@example.org").await.unwrap();
            assert_eq!((answer.status, answer.retry_after), (503, Some(1)), "{answer:?}");
            spans.push(answer.took);
            pair = client.refresh(&pair).await;
            assert_eq!(other.verify(&pair.access).await.status, 200);
        }
    }
    // The median, since the machine may be busy with other tests.
    let median = print_figures(&format!("Postgres {how}: a sign-in is told 503"), spans);
    assert!(median < TOLD, "it takes {median:?} to be told");
    for client in clients {
        let says_so = async || client.not_ready().await == ["store.accounts"];
        until("it says what is not ready", SOON * 3, says_so).await;
    }
    pair
}

async fn back(clients: &[Client; 2], mut pair: Pair, when: &str) {
    let mut spans = Vec::new();
    for client in clients {
        let signs_in = async || client.try_sign_in("ann@example.org").await.unwrap().status == 201;
        spans.push(until("a sign-in succeeds", SOON * 5, signs_in).await);
        until("it is ready", SOON * 3, async || client.not_ready().await.is_empty()).await;
        pair = client.refresh(&pair).await;
    }
    print_figures(&format!("Postgres back {when}: until a sign-in succeeds"), spans);
}
