//! What the command line ends beside a running server is over there within a second, tokens seen before included.

use std::time::{Duration, Instant};

use crate::support::desk::{PASSWORD, Person, SendRequest, TestServer, Tokens, over_both_stores};
use crate::support::until;

over_both_stores!(|plan| plan; a_disabled_user_is_out, a_deleted_user_is_out, an_enabled_user_starts_anew);

async fn signed_in(desk: &TestServer, person: &Person) -> [Tokens; 2] {
    let all = [desk.sign_in(person).await, desk.sign_in(person).await];
    for tokens in &all {
        desk.verify(&tokens.access).await.is(200);
    }
    all
}

async fn is_out(desk: &TestServer, all: &[Tokens], since: Instant) {
    for tokens in all {
        // Not through the stream: the store itself refuses.
        desk.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        until("the access token is refused", async || desk.reason(&tokens.access).await == "revoked").await;
        desk.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is_problem(401, "bad-credentials");
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

async fn a_disabled_user_is_out(desk: &TestServer) {
    let (person, bystander) = (desk.person(&[]), desk.person(&[]));
    let (all, other) = (signed_in(desk, &person).await, signed_in(desk, &bystander).await);
    desk.plan().json(&["users", "disable", &person.email], "");
    is_out(desk, &all, Instant::now()).await;
    desk.try_sign_in(&person.email, PASSWORD).await.is_problem(403, "disabled");
    for tokens in &other {
        desk.verify(&tokens.access).await.is(200);
        desk.refresh(&tokens.refresh).await.is(200);
    }
}

async fn a_deleted_user_is_out(desk: &TestServer) {
    let person = desk.person(&[]);
    let all = signed_in(desk, &person).await;
    let (key, _) = desk.api_key(&person, &["read"]);
    desk.verify(&key).await.is(200);
    desk.plan().json(&["users", "delete", &person.username], "");
    is_out(desk, &all, Instant::now()).await;
    assert_eq!(desk.reason(&key).await, "unknown_api_key");
    desk.try_sign_in(&person.email, PASSWORD).await.is_problem(401, "wrong-password");
    // The address is free again, and nothing of the old user comes with it.
    desk.plan().user(&person.email, PASSWORD, &[]);
    let anew = desk.try_sign_in(&person.email, PASSWORD).await.is(201).tokens();
    desk.verify(&anew.access).await.is(200);
    for tokens in &all {
        assert_eq!(desk.reason(&tokens.access).await, "revoked");
        desk.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}

async fn an_enabled_user_starts_anew(desk: &TestServer) {
    let person = desk.person(&[]);
    let all = signed_in(desk, &person).await;
    desk.plan().json(&["users", "disable", &person.id], "");
    is_out(desk, &all, Instant::now()).await;
    desk.plan().json(&["users", "enable", &person.id], "");
    for tokens in &all {
        assert_eq!(desk.reason(&tokens.access).await, "revoked");
        desk.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    let anew = desk.sign_in(&person).await;
    desk.verify(&anew.access).await.is(200);
}
