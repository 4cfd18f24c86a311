//! Two nodes on one Redis and one Postgres: a change on one node applies on the other.

use reqwest::Method;
use serde_json::json;

use super::{KEYS, UnturnedResponse, code_for, create_key, keys_request, member, text, verify};
use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;
use crate::support::{postgres, redis, until};

#[tokio::test]
async fn changes_on_one_node_apply_on_the_other() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    let (one, other) = (TestServer::start(plan.clone()), TestServer::start(plan.another_node()));
    // A code that one node mailed works on the other, and then on neither.
    let code = code_for(&one, "fleet@example.org").await;
    verify(&other, "fleet@example.org", &code).await.is(200).token_pair();
    verify(&one, "fleet@example.org", &code).await.is_error(401, "invalid_code");

    let member = member(&one, "fleet").await;
    let created = create_key(&one, &member, &json!({"name": "a key"})).await;
    let full_key = text(&created, "full_key");
    // The other node caches the key for a minute.
    other.verify(&full_key).await.is(200);
    other.verify(&full_key).await.is(200);
    let deactivate = keys_request(&one, Method::DELETE, &format!("{KEYS}{}", text(&created, "id")), &member.project);
    deactivate.bearer_auth(&member.access).send_checked().await.is(200).data();
    until("the other node refuses the key", async || other.rejection_reason(&full_key).await == "unknown_api_key")
        .await;
    let listing = keys_request(&other, Method::GET, KEYS, &member.project).header("x-api-key", &full_key);
    listing.send_checked().await.is_error(401, "invalid_token");
}
