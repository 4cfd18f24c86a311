//! The log of a node that loses Redis.

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::redis::Server;
use crate::support::server::TestServer;
use crate::support::signet::Plan;
use crate::support::{postgres, until};

/// Level and message of every line at info or above.
fn lines(server: &TestServer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    server.signet.log_lines().iter().map(|line| (text(&line["level"]), text(&line["message"]))).collect()
}

/// Waits until exactly these conditions do not hold.
async fn wait_for_not_ready(server: &TestServer, conditions: &[&str]) {
    until(&format!("not ready: {conditions:?}"), async || {
        let body = server.get_management("/readyz").await.json();
        let not_ready = body["not_ready"].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        not_ready.unwrap_or_default() == conditions
    })
    .await;
}

#[tokio::test]
async fn lost_redis_is_one_log_line_and_its_return_another() {
    let (mut redis, postgres) = (Server::options().durable().start(), postgres::Database::create());
    // A busy machine must not make the node stale, nor a call time out.
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    let server = TestServer::start(plan.set("SIGNET_REVOCATION__STALE_AFTER", "8s"));
    wait_for_not_ready(&server, &[]).await;
    // The last line of a start, which comes after `listening`.
    server.signet.wait_for_log("schema is up to date");
    let before = lines(&server).len();
    redis.kill();
    wait_for_not_ready(&server, &["revocations", "store.ephemeral"]).await;
    redis.restart();
    wait_for_not_ready(&server, &[]).await;
    server.signet.wait_for_log("Redis available again");

    let new = lines(&server).split_off(before);
    let expected = [("WARN", "Redis unavailable; reconnecting"), ("INFO", "Redis available again")];
    assert_eq!(new.iter().map(|(level, message)| (level.as_str(), message.as_str())).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn failures_beyond_ten_a_second_are_logged_as_a_number() {
    let (mut redis, postgres) = (Server::options().durable().start(), postgres::Database::create());
    let server = TestServer::start(Plan::on(&redis, &postgres).with_patient_stores());
    let tokens = server.sign_in(&server.create_user(&[])).await;
    redis.kill();
    for response in join_all((0..50).map(|_| server.refresh(&tokens.refresh))).await {
        response.is(503);
    }
    server.signet.wait_for_log("more requests failed");
    let lines = server.signet.log_lines();
    let about = |message: &'static str| lines.iter().filter(move |line| line["message"] == message);
    let failures = about("request failed").count();
    let counted: u64 = about("more requests failed").map(|line| line["count"].as_u64().expect("a number")).sum();
    assert!(failures >= 10 && failures as u64 + counted <= 50, "{failures} lines, and {counted} more");
}
