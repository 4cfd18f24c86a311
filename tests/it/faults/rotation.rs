//! A node is killed between the rotation of a refresh token and its response: the client retries and gets the same
//! successor from any node. There are never two successors.

use super::{TIMEOUT, with_long_lifetimes};
use crate::faults::relay::Relay;
use crate::support::client::{Client, PASSWORD, TokenPair, until_within};
use crate::support::signet::{Plan, Signet};
use crate::support::{postgres, redis};

const USER: &str = "ann@example.org";

/// Kills the node as soon as the response to this rotation has reached the relay, which withholds it.
async fn kill_before_response(
    node: &mut Signet,
    client: &Client,
    relay: &Relay,
    request_part: &str,
    tokens: &TokenPair,
) {
    relay.withhold_responses_after(request_part);
    let refresh = tokio::spawn({
        let (client, tokens) = (client.clone(), tokens.refresh.clone());
        async move { client.try_refresh(&tokens).await }
    });
    relay.wait_until_withheld().await;
    node.kill();
    // A node that waits for Redis responds with 503 after its time-out, which may be before it is killed.
    let response = refresh.await.unwrap();
    assert!(response.as_ref().is_none_or(|response| response.status == 503), "{response:?}");
    relay.stop_withholding();
}

/// Asserts that every retry on every node gets the same successor, which can be refreshed, and that the old token is
/// then reuse.
async fn assert_one_successor(nodes: &[Client], tokens: &TokenPair) {
    let first = nodes[0].refresh(tokens).await;
    for node in nodes {
        let retry = node.refresh(tokens).await;
        assert_eq!(retry.refresh, first.refresh, "there are two successors");
        assert_eq!(node.verify(&retry.access).await.status, 200);
    }
    let second = nodes[0].refresh(&first).await;
    assert_ne!(second.refresh, first.refresh);
    // A token from two rotations ago is not a retry of a lost response, but reuse.
    assert_eq!(nodes[0].refresh_response(&tokens.refresh).await.status, 400);
    for node in nodes {
        assert_eq!(
            node.refresh_response(&second.refresh).await.status,
            400,
            "a session whose token was reused is open"
        );
        assert_eq!(node.refresh_response(&first.refresh).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_between_redis_and_node_leaves_one_successor() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let relay = Relay::to(format!("127.0.0.1:{}", redis.port())).await;
    let direct = with_long_lifetimes(Plan::on(&redis, &postgres).with_patient_stores());
    let relayed = direct.another_node().set("REDIS_URL", &format!("redis://127.0.0.1:{}", relay.port));
    direct.create_user(USER, PASSWORD, &[]);
    let other = direct.start();
    let other = Client::new(&other);
    for _ in 0..5 {
        let mut node = relayed.start();
        let client = Client::new(&node);
        // Not the first rotation, which would be sent twice, because Redis does not know the script yet.
        let tokens = client.refresh(&client.sign_in(USER).await).await;
        let session = redis.cli(&["KEYS", &format!("*:s:{}", tokens.session)]);
        let rotation_count = || redis.cli(&["HGET", &session, "c"]);
        assert_eq!(rotation_count(), "1", "{session}");
        // Not by the id of the session, which is also in the security event of the sign-in. That event may be stored
        // later than the sign-in's response.
        kill_before_response(&mut node, &client, &relay, &session, &tokens).await;
        // The withheld response may belong to an earlier command on the same connection.
        until_within("the token is rotated", TIMEOUT, async || rotation_count() == "2").await;
        let restarted = relayed.start();
        assert_one_successor(&[other.clone(), Client::new(&restarted)], &tokens).await;
        assert_eq!(redis.cli(&["EXISTS", &session]), "0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_between_node_and_client_leaves_one_successor() {
    let plan = with_long_lifetimes(Plan::embedded());
    plan.create_user(USER, PASSWORD, &[]);
    for _ in 0..5 {
        let mut node = plan.start();
        let direct = Client::new(&node);
        let relay = Relay::to(direct.base.trim_start_matches("http://").to_owned()).await;
        let tokens = direct.sign_in(USER).await;
        let relayed = Client { base: format!("http://127.0.0.1:{}", relay.port), ..direct };
        kill_before_response(&mut node, &relayed, &relay, &tokens.refresh, &tokens).await;
        let restarted = plan.start();
        assert_one_successor(&[Client::new(&restarted)], &tokens).await;
    }
}
