//! Killed between rotation and reply: the client asks again and gets the same successor, from whichever node; there are never two.

use super::{PATIENCE, lasting};
use crate::faults::relay::Relay;
use crate::support::client::{Client, PASSWORD, TokenPair, until_within};
use crate::support::signet::{Plan, Signet};
use crate::support::{postgres, redis};

const ANN: &str = "ann@example.org";

/// Kills the node as soon as the answer to this rotation stands at the relay, where it stays.
async fn killed_at_its_answer(node: &mut Signet, by: &Client, relay: &Relay, words: &str, old: &TokenPair) {
    relay.keep_back_after(words);
    let asking = tokio::spawn({
        let (by, old) = (by.clone(), old.refresh.clone());
        async move { by.try_refresh(&old).await }
    });
    relay.has_kept_back().await;
    node.kill();
    // A node that waits for Redis in vain gives up after its time-out, and may have come to say so.
    let told = asking.await.unwrap();
    assert!(told.as_ref().is_none_or(|answer| answer.status == 503), "{told:?}");
    relay.open();
}

/// Whoever asks again, however often and wherever, gets one successor; with that it goes on, and what came before is over.
async fn one_successor(nodes: &[Client], old: &TokenPair) {
    let first = nodes[0].refresh(old).await;
    for node in nodes {
        let again = node.refresh(old).await;
        assert_eq!(again.refresh, first.refresh, "there are two successors");
        assert_eq!(node.verify(&again.access).await.status, 200);
    }
    let second = nodes[0].refresh(&first).await;
    assert_ne!(second.refresh, first.refresh);
    // Two behind is nobody whose reply was lost.
    assert_eq!(nodes[0].refresh_response(&old.refresh).await.status, 400);
    for node in nodes {
        assert_eq!(node.refresh_response(&second.refresh).await.status, 400, "a session whose token was reused is live");
        assert_eq!(node.refresh_response(&first.refresh).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_redis_and_the_node() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let relay = Relay::to(format!("127.0.0.1:{}", redis.port())).await;
    let direct = lasting(Plan::on(&redis, &postgres));
    let relayed = direct.another_node().set("REDIS_URL", &format!("redis://127.0.0.1:{}", relay.port));
    direct.create_user(ANN, PASSWORD, &[]);
    let other = direct.start();
    let other = Client::new(&other);
    for _ in 0..5 {
        let mut node = relayed.start();
        let client = Client::new(&node);
        // Not the first rotation: that one would be asked for a second time, since Redis does not know the script yet.
        let old = client.refresh(&client.sign_in(ANN).await).await;
        let session = redis.cli(&["KEYS", &format!("*:s:{}", old.session)]);
        let counter = || redis.cli(&["HGET", &session, "c"]);
        assert_eq!(counter(), "1", "{session}");
        killed_at_its_answer(&mut node, &client, &relay, &old.session, &old).await;
        // What was kept back may have been the answer to what was asked before it on the same line.
        until_within("it is rotated", PATIENCE, async || counter() == "2").await;
        let again = relayed.start();
        one_successor(&[other.clone(), Client::new(&again)], &old).await;
        assert_eq!(redis.cli(&["EXISTS", &session]), "0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_node_and_its_client() {
    let plan = lasting(Plan::embedded());
    plan.create_user(ANN, PASSWORD, &[]);
    for _ in 0..5 {
        let mut node = plan.start();
        let direct = Client::new(&node);
        let relay = Relay::to(direct.base.trim_start_matches("http://").to_owned()).await;
        let old = direct.sign_in(ANN).await;
        let relayed = Client { base: format!("http://127.0.0.1:{}", relay.port), ..direct };
        killed_at_its_answer(&mut node, &relayed, &relay, &old.refresh, &old).await;
        let again = plan.start();
        one_successor(&[Client::new(&again)], &old).await;
    }
}
