//! Claims about the user in the tokens of open sessions, after the user has changed.

use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, TokenPair, over_both_stores};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

over_both_stores!(|plan| plan;
    changed_address_is_claimed_after_the_next_refresh,
    admin_changes_are_claimed_after_the_next_refresh,
    first_magic_link_verifies_the_address_and_ends_sessions,
);

/// Refreshes, and returns the claims of the new access token.
async fn refresh_and_get_claims(server: &TestServer, tokens: &mut TokenPair) -> Value {
    *tokens = server.refresh(&tokens.refresh).await.is(200).tokens();
    claims(server, tokens).await
}

async fn claims(server: &TestServer, tokens: &TokenPair) -> Value {
    server.verify(&tokens.access).await.is(200).json()["claims"].clone()
}

#[track_caller]
fn assert_email(claims: &Value, email: &str, verified: bool) {
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!(email), &json!(verified)), "{claims}");
}

/// Changes the user's address; returns the token of the link that is mailed to the new one.
async fn change_email(server: &TestServer, user: &TestUser, tokens: &TokenPair, to: &str) -> String {
    let body = json!({"email": to, "original": PASSWORD});
    server
        .request(reqwest::Method::PUT, "/auth/users/me")
        .bearer_auth(&tokens.access)
        .json(&body)
        .send_checked()
        .await
        .is(200);
    assert_ne!(user.email, to);
    outbox::wait_for_mail(server, to, 0).await.token()
}

async fn changed_address_is_claimed_after_the_next_refresh(server: &TestServer) {
    let (user, bystander) =
        (server.create_user(&["--verified", "--role", "editor"]), server.create_user(&["--verified"]));
    let (mut one, mut other) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let mut bystander_tokens = server.sign_in(&bystander).await;
    let to = format!("moved-{}", user.email);
    let token = change_email(server, &user, &one, &to).await;
    assert_email(&claims(server, &one).await, &user.email, true);
    for session in [&mut one, &mut other] {
        let before = session.session.clone();
        let claims = refresh_and_get_claims(server, session).await;
        assert_email(&claims, &to, false);
        assert_eq!((&claims["sid"], &claims["sub"]), (&json!(before), &json!(user.id)), "it is still the same session");
        assert_eq!((&claims["roles"], &claims["preferred_username"]), (&json!(["editor"]), &json!(user.username)));
        let response = server.get("/verify").bearer_auth(&session.access).send_checked().await;
        assert_eq!(response.is(200).header("x-auth-email"), "", "it is not verified yet");
    }
    server.post("/links/confirm").json(&json!({"token": token})).send_checked().await.is(200);
    for session in [&mut one, &mut other] {
        assert_email(&refresh_and_get_claims(server, session).await, &to, true);
        let response = server.get("/verify").bearer_auth(&session.access).send_checked().await;
        assert_eq!(response.is(200).header("x-auth-email"), to);
    }
    assert_email(&refresh_and_get_claims(server, &mut bystander_tokens).await, &bystander.email, true);
}

async fn admin_changes_are_claimed_after_the_next_refresh(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&[]);
    let mut tokens = server.sign_in(&user).await;
    let update = async |body: Value| {
        let request = server.post(&format!("/auth/users/{}", user.id));
        request.bearer_auth(&root).json(&body).send_checked().await.is(200);
    };
    update(json!({"email_validated": true})).await;
    assert_email(&refresh_and_get_claims(server, &mut tokens).await, &user.email, true);
    update(json!({"roles": ["editor"]})).await;
    assert_eq!(refresh_and_get_claims(server, &mut tokens).await["roles"], json!(["editor"]));
    update(json!({"is_superuser": true})).await;
    assert_eq!(refresh_and_get_claims(server, &mut tokens).await["superuser"], true);
    let to = format!("moved-{}", user.email);
    update(json!({"email": to})).await;
    assert_email(&refresh_and_get_claims(server, &mut tokens).await, &to, false);
}

async fn first_magic_link_verifies_the_address_and_ends_sessions(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    assert_email(&claims(server, &tokens).await, &user.email, false);
    let requested = server.post(&format!("/auth/login/magic/{}", user.email)).send_checked().await.is(200).json();
    let token = outbox::wait_for_mail(server, &user.email, 0).await.token();
    let body = json!({"token": token, "claim": requested["claim"]});
    let new_tokens = server.post("/links/magic").json(&body).send_checked().await.is(201).tokens();
    assert_email(&claims(server, &new_tokens).await, &user.email, true);
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn address_is_verified_although_redis_is_down() {
    let (mut redis, postgres) = (redis::Server::options().durable().start(), postgres::Database::create());
    let server = TestServer::start(Plan::on(&redis, &postgres).with_patient_stores());
    let user = server.create_user(&["--verified"]);
    let mut tokens = server.sign_in(&user).await;
    let to = format!("moved-{}", user.email);
    let link = json!({"token": change_email(&server, &user, &tokens, &to).await});
    assert_email(&refresh_and_get_claims(&server, &mut tokens).await, &to, false);
    redis.kill();
    server.post("/links/confirm").json(&link).send_checked().await.is(200);
    server.signet.wait_for_log("cannot update the claims stored in open sessions");
    assert!(!server.signet.log().contains(&to) && !server.signet.log().contains(&user.email));

    // Redeeming the link again updates the sessions that could not be updated before.
    redis.restart();
    crate::support::until("Redis is back", async || server.refresh(&tokens.refresh).await.status == 200).await;
    assert_email(&refresh_and_get_claims(&server, &mut tokens).await, &to, false);
    assert_eq!(server.plan().json(&["users", "show", &to], "")["verified"], true);
    server.post("/links/confirm").json(&link).send_checked().await.is(200);
    assert_email(&refresh_and_get_claims(&server, &mut tokens).await, &to, true);
}
