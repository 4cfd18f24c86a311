//! Limits while Redis is down: those that protect secrets refuse, the others are skipped and counted.

use super::*;
use crate::support::postgres::Database;
use crate::support::signet::Plan;
use crate::support::{redis, until};

#[tokio::test]
async fn only_limits_that_protect_no_secret_are_skipped() {
    let (mut redis, postgres) = (redis::Server::options().durable().start(), Database::create());
    let server =
        TestServer::start(Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_LIMITS__ENABLED", "true"));
    let user = server.create_user(&["--verified"]);
    server.sign_in(&user).await;
    let skipped = async || server.metric("signet_rate_limits_skipped_total").await;
    let sign_up = async |number: usize| {
        let email = format!("newcomer-{number}@example.org");
        let body = json!({"email": email, "password": PASSWORD});
        server.post("/auth/login/signup").json(&body).send_checked().await
    };
    sign_up(0).await.is(200);
    assert_eq!(skipped().await, 0);

    redis.kill();
    until("the loss is noticed", async || server.get_management("/readyz").await.status == 503).await;
    for number in 1..4 {
        sign_up(number).await.is(200);
    }
    assert_eq!(skipped().await, 3);
    let warnings = || server.signet.log().matches("limits that protect no secret are skipped").count();
    server.signet.wait_for_log("limits that protect no secret are skipped");
    assert_eq!(warnings(), 1);
    // A right password cannot be told from a wrong one, and nothing is mailed.
    for password in [PASSWORD, "not the password"] {
        server.try_sign_in(&user.email, password).await.is(503);
    }
    server.post("/auth/verification/send-code").json(&json!({"email": user.email})).send_checked().await.is(503);
    server.post(&format!("/auth/login/recover/{}", user.email)).send_checked().await.is(503);
    assert_eq!(skipped().await, 3);

    redis.restart();
    // Not until the node is ready: each worker has a connection of its own, which may come back later.
    until("users sign in again", async || server.try_sign_in(&user.email, PASSWORD).await.status == 201).await;
    sign_up(4).await.is(200);
    assert_eq!(skipped().await, 3);
}
