//! A node that receives no revocations reports it, and answers or refuses according to `revocation.when_stale`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, Fleet, PASSWORD};
use crate::support::until;

/// Longer than a node waits for a processor on a machine that is busy with other tests.
const STALE_AFTER: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_node_reports_it_and_obeys_when_stale() {
    let mut fleet = Fleet::new();
    let refusing = fleet
        .plan
        .another_node()
        .set("SIGNET_REVOCATION__STALE_AFTER", &format!("{}s", STALE_AFTER.as_secs()))
        .set("SIGNET_REVOCATION__WHEN_STALE", "refuse");
    let answering = refusing.another_node().set("SIGNET_REVOCATION__WHEN_STALE", "answer");
    let nodes = [refusing.start(), answering.start()];
    let [refusing, answering] = nodes.each_ref().map(Client::new);
    fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
    let pair = refusing.sign_in("ann@example.org").await;

    // While Redis works, the node refuses nothing, even if no revocations arrive.
    let began = Instant::now();
    until("it would be stale if only a revocation kept it fresh", async || {
        assert_eq!(refusing.verify(&pair.access).await.status, 200);
        began.elapsed() > STALE_AFTER + Duration::from_secs(1)
    })
    .await;

    fleet.redis.kill();
    let is_stale = async || refusing.verify(&pair.access).await.status == 503;
    until("the node refuses", is_stale).await;
    assert_eq!(refusing.verify(&pair.access).await.retry_after(), Some(1));
    for node in [&refusing, &answering] {
        let reports_it = async || node.failing_conditions().await.contains(&"revocations".to_owned());
        until("the node reports that it is stale", reports_it).await;
    }
    assert_eq!(answering.verify(&pair.access).await.status, 200);
    assert_eq!(refusing.verify(&pair.access).await.status, 503);

    // Every verification is answered 503, as `config.toml` says: of a valid token, of an invalid one, and of batches.
    let batch = async |node: &Client, tokens: &[&str]| {
        node.send(node.post("/verify/batch").json(&json!({"tokens": tokens}))).await.expect("the node is up")
    };
    let refused = batch(&refusing, &["garbage", &pair.access]).await;
    assert_eq!((refused.status, refused.retry_after(), &refused.body["type"]), (503, Some(1), &json!("stale")));
    assert_eq!(refusing.verify("garbage").await.status, 503);
    let invalid = batch(&refusing, &["garbage"]).await;
    assert_eq!((invalid.status, invalid.retry_after(), &invalid.body["type"]), (503, Some(1), &json!("stale")));
    let answered = batch(&answering, &["garbage", &pair.access]).await;
    assert_eq!((answered.status, &answered.body["results"][1]["active"]), (200, &json!(true)));

    // Redis comes back empty: tokens from before are refused, new ones are valid.
    fleet.redis.restart();
    for node in [&refusing, &answering] {
        until("the node is ready again", async || node.failing_conditions().await.is_empty()).await;
        assert_eq!(node.verify(&pair.access).await.rejection_reason(), Some("revoked"));
        // The worker has a connection of its own, which may come back later.
        let mut again = None;
        until("users sign in again", async || {
            again = node.try_sign_in("ann@example.org").await.filter(|answer| answer.status == 201);
            again.is_some()
        })
        .await;
        assert_eq!(node.verify(&again.unwrap().tokens().access).await.status, 200);
    }
}
