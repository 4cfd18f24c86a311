//! What the tokens of a session say of its user after something else has become true of that user.

use serde_json::{Value, json};

use crate::support::desk::{PASSWORD, Person, SendRequest, TestServer, Tokens, over_both_stores};
use crate::support::outbox;
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

over_both_stores!(|plan| plan;
    a_changed_address_is_told_from_the_next_refresh_on,
    what_an_administrator_changes_is_told_from_the_next_refresh_on,
    an_address_confirmed_by_a_link_that_signs_in_is_told_in_the_other_sessions,
);

/// Refreshes, and says what the new token claims.
async fn refreshed(desk: &TestServer, tokens: &mut Tokens) -> Value {
    *tokens = desk.refresh(&tokens.refresh).await.is(200).tokens();
    claims(desk, tokens).await
}

async fn claims(desk: &TestServer, tokens: &Tokens) -> Value {
    desk.verify(&tokens.access).await.is(200).json()["claims"].clone()
}

#[track_caller]
fn name(claims: &Value, email: &str, verified: bool) {
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!(email), &json!(verified)), "{claims}");
}

/// Gives the person another address, and the token of the link that is mailed to it.
async fn moves(desk: &TestServer, person: &Person, tokens: &Tokens, to: &str) -> String {
    let body = json!({"email": to, "original": PASSWORD});
    desk.request(reqwest::Method::PUT, "/auth/users/me")
        .bearer_auth(&tokens.access)
        .json(&body)
        .send_checked()
        .await
        .is(200);
    assert_ne!(person.email, to);
    outbox::next(desk, to, 0).await.token()
}

async fn a_changed_address_is_told_from_the_next_refresh_on(desk: &TestServer) {
    let (person, bystander) = (desk.person(&["--verified", "--role", "editor"]), desk.person(&["--verified"]));
    let (mut one, mut other) = (desk.sign_in(&person).await, desk.sign_in(&person).await);
    let mut beside = desk.sign_in(&bystander).await;
    let to = format!("moved-{}", person.email);
    let token = moves(desk, &person, &one, &to).await;
    name(&claims(desk, &one).await, &person.email, true);
    for session in [&mut one, &mut other] {
        let before = session.session.clone();
        let claims = refreshed(desk, session).await;
        name(&claims, &to, false);
        assert_eq!((&claims["sid"], &claims["sub"]), (&json!(before), &json!(person.id)), "the session went on");
        assert_eq!((&claims["roles"], &claims["preferred_username"]), (&json!(["editor"]), &json!(person.username)));
        let answer = desk.get("/verify").bearer_auth(&session.access).send_checked().await;
        assert_eq!(answer.is(200).header("x-auth-email"), to);
    }
    desk.post("/links/confirm").json(&json!({"token": token})).send_checked().await.is(200);
    for session in [&mut one, &mut other] {
        name(&refreshed(desk, session).await, &to, true);
    }
    name(&refreshed(desk, &mut beside).await, &bystander.email, true);
}

async fn what_an_administrator_changes_is_told_from_the_next_refresh_on(desk: &TestServer) {
    let root = desk.sign_in(&desk.person(&["--superuser"])).await.access;
    let person = desk.person(&[]);
    let mut tokens = desk.sign_in(&person).await;
    let changes = async |body: Value| {
        let request = desk.post(&format!("/auth/users/{}", person.id));
        request.bearer_auth(&root).json(&body).send_checked().await.is(200);
    };
    changes(json!({"email_validated": true})).await;
    name(&refreshed(desk, &mut tokens).await, &person.email, true);
    changes(json!({"roles": ["editor"]})).await;
    assert_eq!(refreshed(desk, &mut tokens).await["roles"], json!(["editor"]));
    changes(json!({"is_superuser": true})).await;
    assert_eq!(refreshed(desk, &mut tokens).await["superuser"], true);
    let to = format!("moved-{}", person.email);
    changes(json!({"email": to})).await;
    name(&refreshed(desk, &mut tokens).await, &to, false);
}

async fn an_address_confirmed_by_a_link_that_signs_in_is_told_in_the_other_sessions(desk: &TestServer) {
    let person = desk.person(&[]);
    let mut tokens = desk.sign_in(&person).await;
    name(&claims(desk, &tokens).await, &person.email, false);
    let asked = desk.post(&format!("/auth/login/magic/{}", person.email)).send_checked().await.is(200).json();
    let token = outbox::next(desk, &person.email, 0).await.token();
    let body = json!({"token": token, "claim": asked["claim"]});
    let entered = desk.post("/links/magic").json(&body).send_checked().await.is(201).tokens();
    name(&claims(desk, &entered).await, &person.email, true);
    name(&refreshed(desk, &mut tokens).await, &person.email, true);
}

#[tokio::test]
async fn an_address_is_confirmed_although_its_sessions_cannot_be_told() {
    let (mut redis, postgres) = (redis::Server::options().durable().start(), postgres::Server::start());
    let desk = TestServer::beside(Plan::on(&redis, &postgres));
    let person = desk.person(&["--verified"]);
    let mut tokens = desk.sign_in(&person).await;
    let to = format!("moved-{}", person.email);
    let link = json!({"token": moves(&desk, &person, &tokens, &to).await});
    name(&refreshed(&desk, &mut tokens).await, &to, false);
    redis.kill();
    desk.post("/links/confirm").json(&link).send_checked().await.is(200);
    desk.signet.wait_for_log("what the tokens of open sessions say could not be changed");
    assert!(!desk.signet.log().contains(&to) && !desk.signet.log().contains(&person.email));

    // The link is good again, and so is what could not be done.
    redis.restart();
    crate::support::until("Redis is back", async || desk.refresh(&tokens.refresh).await.status == 200).await;
    name(&refreshed(&desk, &mut tokens).await, &to, false);
    assert_eq!(desk.plan().json(&["users", "show", &to], "")["verified"], true);
    desk.post("/links/confirm").json(&link).send_checked().await.is(200);
    name(&refreshed(&desk, &mut tokens).await, &to, true);
}
