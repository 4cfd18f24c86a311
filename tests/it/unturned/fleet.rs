//! Two nodes on one Redis and one Postgres: what one was told is felt by the other.

use reqwest::Method;
use serde_json::json;

use super::{Enveloped, KEYS, code_for, key, keys, member, text, verify};
use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;
use crate::support::{postgres, redis, until};

#[tokio::test]
async fn what_one_node_is_told_the_other_knows() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let plan = Plan::on(&redis, &postgres);
    let (one, other) = (TestServer::start(plan.clone()), TestServer::start(plan.another_node()));
    // A code that one mailed is good at the other, and then no more at either.
    let code = code_for(&one, "fleet@example.org").await;
    verify(&other, "fleet@example.org", &code).await.is(200).pair();
    verify(&one, "fleet@example.org", &code).await.fails(401, "invalid_code");

    let member = member(&one, "fleet").await;
    let made = key(&one, &member, &json!({"name": "a key"})).await;
    let whole = text(&made, "full_key");
    // It remembers the key, and would for a minute.
    other.verify(&whole).await.is(200);
    other.verify(&whole).await.is(200);
    let end = keys(&one, Method::DELETE, &format!("{KEYS}{}", text(&made, "id")), &member.project);
    end.bearer_auth(&member.access).send_checked().await.is(200).data();
    until("the other node refuses the key", async || other.rejection_reason(&whole).await == "unknown_api_key").await;
    let listing = keys(&other, Method::GET, KEYS, &member.project).header("x-api-key", &whole);
    listing.send_checked().await.fails(401, "invalid_token");
}
