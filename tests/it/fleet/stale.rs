//! A node that hears of no revocations: it says so, and answers or refuses as it is set.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, PASSWORD, TestFleet, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hears_nothing_says_so_and_answers_or_refuses_as_it_is_set() {
    let mut fleet = TestFleet::new();
    let refusing =
        fleet.plan.another().set("SIGNET_REVOCATION__STALE_AFTER", "1s").set("SIGNET_REVOCATION__WHEN_STALE", "refuse");
    let answering = refusing.another().set("SIGNET_REVOCATION__WHEN_STALE", "answer");
    let nodes = [refusing.start(), answering.start()];
    let [refusing, answering] = nodes.each_ref().map(Client::of);
    fleet.plan.user("ann@example.org", PASSWORD, &[]);
    let pair = refusing.sign_in("ann@example.org").await;

    // As long as all is well it refuses nothing, however little there is to hear.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(refusing.verify(&pair.access).await.status, 200);
    }

    fleet.redis.kill();
    let behind = async || refusing.verify(&pair.access).await.status == 503;
    until("it refuses", Duration::from_secs(3), behind).await;
    assert_eq!(refusing.verify(&pair.access).await.retry_after, Some(1));
    for node in [&refusing, &answering] {
        let says_so = async || node.not_ready().await.contains(&"revocations".to_owned());
        until("it says that it is behind", Duration::from_secs(3), says_so).await;
    }
    assert_eq!(answering.verify(&pair.access).await.status, 200);
    assert_eq!(refusing.verify(&pair.access).await.status, 503);

    // One valid token makes the whole batch 503, as it would `/verify`; an invalid one alone does not.
    let batch = async |node: &Client, tokens: &[&str]| {
        node.send(node.post("/verify/batch").json(&json!({"tokens": tokens}))).await.expect("the node is up")
    };
    let refused = batch(&refusing, &["garbage", &pair.access]).await;
    assert_eq!((refused.status, refused.retry_after, &refused.body["type"]), (503, Some(1), &json!("stale")));
    let invalid = batch(&refusing, &["garbage"]).await;
    assert_eq!((invalid.status, &invalid.body["results"][0]["reason"]), (200, &json!("malformed")));
    let answered = batch(&answering, &["garbage", &pair.access]).await;
    assert_eq!((answered.status, &answered.body["results"][1]["active"]), (200, &json!(true)));

    // Redis comes back empty: what was good before is good no more, and what is made now is.
    fleet.redis.restart();
    for node in [&refusing, &answering] {
        until("it is ready again", Duration::from_secs(5), async || node.not_ready().await.is_empty()).await;
        assert_eq!(node.verify(&pair.access).await.reason(), Some("revoked"));
        let again = node.sign_in("ann@example.org").await;
        assert_eq!(node.verify(&again.access).await.status, 200);
    }
}
