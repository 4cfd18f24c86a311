//! What the tokens of a session say of its user after something else has become true of that user.

use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{PASSWORD, Person, SendRequest, TestServer, Tokens, over_both_stores};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

over_both_stores!(|plan| plan;
    a_changed_address_is_told_from_the_next_refresh_on,
    what_an_administrator_changes_is_told_from_the_next_refresh_on,
    an_address_confirmed_by_a_link_that_signs_in_is_told_in_the_other_sessions,
);

/// Refreshes, and says what the new token claims.
async fn refreshed(server: &TestServer, tokens: &mut Tokens) -> Value {
    *tokens = server.refresh(&tokens.refresh).await.is(200).tokens();
    claims(server, tokens).await
}

async fn claims(server: &TestServer, tokens: &Tokens) -> Value {
    server.verify(&tokens.access).await.is(200).json()["claims"].clone()
}

#[track_caller]
fn name(claims: &Value, email: &str, verified: bool) {
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!(email), &json!(verified)), "{claims}");
}

/// Gives the person another address, and the token of the link that is mailed to it.
async fn moves(server: &TestServer, person: &Person, tokens: &Tokens, to: &str) -> String {
    let body = json!({"email": to, "original": PASSWORD});
    server
        .request(reqwest::Method::PUT, "/auth/users/me")
        .bearer_auth(&tokens.access)
        .json(&body)
        .send_checked()
        .await
        .is(200);
    assert_ne!(person.email, to);
    outbox::next(server, to, 0).await.token()
}

async fn a_changed_address_is_told_from_the_next_refresh_on(server: &TestServer) {
    let (person, bystander) = (server.person(&["--verified", "--role", "editor"]), server.person(&["--verified"]));
    let (mut one, mut other) = (server.sign_in(&person).await, server.sign_in(&person).await);
    let mut beside = server.sign_in(&bystander).await;
    let to = format!("moved-{}", person.email);
    let token = moves(server, &person, &one, &to).await;
    name(&claims(server, &one).await, &person.email, true);
    for session in [&mut one, &mut other] {
        let before = session.session.clone();
        let claims = refreshed(server, session).await;
        name(&claims, &to, false);
        assert_eq!((&claims["sid"], &claims["sub"]), (&json!(before), &json!(person.id)), "the session went on");
        assert_eq!((&claims["roles"], &claims["preferred_username"]), (&json!(["editor"]), &json!(person.username)));
        let answer = server.get("/verify").bearer_auth(&session.access).send_checked().await;
        assert_eq!(answer.is(200).header("x-auth-email"), to);
    }
    server.post("/links/confirm").json(&json!({"token": token})).send_checked().await.is(200);
    for session in [&mut one, &mut other] {
        name(&refreshed(server, session).await, &to, true);
    }
    name(&refreshed(server, &mut beside).await, &bystander.email, true);
}

async fn what_an_administrator_changes_is_told_from_the_next_refresh_on(server: &TestServer) {
    let root = server.sign_in(&server.person(&["--superuser"])).await.access;
    let person = server.person(&[]);
    let mut tokens = server.sign_in(&person).await;
    let changes = async |body: Value| {
        let request = server.post(&format!("/auth/users/{}", person.id));
        request.bearer_auth(&root).json(&body).send_checked().await.is(200);
    };
    changes(json!({"email_validated": true})).await;
    name(&refreshed(server, &mut tokens).await, &person.email, true);
    changes(json!({"roles": ["editor"]})).await;
    assert_eq!(refreshed(server, &mut tokens).await["roles"], json!(["editor"]));
    changes(json!({"is_superuser": true})).await;
    assert_eq!(refreshed(server, &mut tokens).await["superuser"], true);
    let to = format!("moved-{}", person.email);
    changes(json!({"email": to})).await;
    name(&refreshed(server, &mut tokens).await, &to, false);
}

async fn an_address_confirmed_by_a_link_that_signs_in_is_told_in_the_other_sessions(server: &TestServer) {
    let person = server.person(&[]);
    let mut tokens = server.sign_in(&person).await;
    name(&claims(server, &tokens).await, &person.email, false);
    let asked = server.post(&format!("/auth/login/magic/{}", person.email)).send_checked().await.is(200).json();
    let token = outbox::next(server, &person.email, 0).await.token();
    let body = json!({"token": token, "claim": asked["claim"]});
    let entered = server.post("/links/magic").json(&body).send_checked().await.is(201).tokens();
    name(&claims(server, &entered).await, &person.email, true);
    name(&refreshed(server, &mut tokens).await, &person.email, true);
}

#[tokio::test]
async fn an_address_is_confirmed_although_its_sessions_cannot_be_told() {
    let (mut redis, postgres) = (redis::Server::options().durable().start(), postgres::Server::start());
    let server = TestServer::beside(Plan::on(&redis, &postgres));
    let person = server.person(&["--verified"]);
    let mut tokens = server.sign_in(&person).await;
    let to = format!("moved-{}", person.email);
    let link = json!({"token": moves(&server, &person, &tokens, &to).await});
    name(&refreshed(&server, &mut tokens).await, &to, false);
    redis.kill();
    server.post("/links/confirm").json(&link).send_checked().await.is(200);
    server.signet.wait_for_log("what the tokens of open sessions say could not be changed");
    assert!(!server.signet.log().contains(&to) && !server.signet.log().contains(&person.email));

    // The link is good again, and so is what could not be done.
    redis.restart();
    crate::support::until("Redis is back", async || server.refresh(&tokens.refresh).await.status == 200).await;
    name(&refreshed(&server, &mut tokens).await, &to, false);
    assert_eq!(server.plan().json(&["users", "show", &to], "")["verified"], true);
    server.post("/links/confirm").json(&link).send_checked().await.is(200);
    name(&refreshed(&server, &mut tokens).await, &to, true);
}
