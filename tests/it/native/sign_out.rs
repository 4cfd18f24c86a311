//! What the command line ends beside a running server is over there within a second, tokens seen before included.

use std::time::{Duration, Instant};

use crate::support::server::{PASSWORD, Person, SendRequest, TestServer, Tokens, over_both_stores};
use crate::support::until;

over_both_stores!(|plan| plan; a_disabled_user_is_out, a_deleted_user_is_out, an_enabled_user_starts_anew);

async fn signed_in(server: &TestServer, person: &Person) -> [Tokens; 2] {
    let all = [server.sign_in(person).await, server.sign_in(person).await];
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    all
}

async fn is_out(server: &TestServer, all: &[Tokens], since: Instant) {
    for tokens in all {
        // Not through the stream: the store itself refuses.
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        until("the access token is refused", async || server.reason(&tokens.access).await == "revoked").await;
        server.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is_problem(401, "bad-credentials");
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

async fn a_disabled_user_is_out(server: &TestServer) {
    let (person, bystander) = (server.person(&[]), server.person(&[]));
    let (all, other) = (signed_in(server, &person).await, signed_in(server, &bystander).await);
    server.plan().json(&["users", "disable", &person.email], "");
    is_out(server, &all, Instant::now()).await;
    server.try_sign_in(&person.email, PASSWORD).await.is_problem(403, "disabled");
    for tokens in &other {
        server.verify(&tokens.access).await.is(200);
        server.refresh(&tokens.refresh).await.is(200);
    }
}

async fn a_deleted_user_is_out(server: &TestServer) {
    let person = server.person(&[]);
    let all = signed_in(server, &person).await;
    let (key, _) = server.api_key(&person, &["read"]);
    server.verify(&key).await.is(200);
    server.plan().json(&["users", "delete", &person.username], "");
    is_out(server, &all, Instant::now()).await;
    assert_eq!(server.reason(&key).await, "unknown_api_key");
    server.try_sign_in(&person.email, PASSWORD).await.is_problem(401, "wrong-password");
    // The address is free again, and nothing of the old user comes with it.
    server.plan().user(&person.email, PASSWORD, &[]);
    let anew = server.try_sign_in(&person.email, PASSWORD).await.is(201).tokens();
    server.verify(&anew.access).await.is(200);
    for tokens in &all {
        assert_eq!(server.reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}

async fn an_enabled_user_starts_anew(server: &TestServer) {
    let person = server.person(&[]);
    let all = signed_in(server, &person).await;
    server.plan().json(&["users", "disable", &person.id], "");
    is_out(server, &all, Instant::now()).await;
    server.plan().json(&["users", "enable", &person.id], "");
    for tokens in &all {
        assert_eq!(server.reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    let anew = server.sign_in(&person).await;
    server.verify(&anew.access).await.is(200);
}
