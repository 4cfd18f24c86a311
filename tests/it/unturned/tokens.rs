//! `/verification/refresh-token` and `/revoke-token`.

use serde_json::json;

use super::{Enveloped, Member, NOBODY, REFRESH, REVOKE, call, member};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores, tamper_signature};

over_both_stores!(|plan| plan.set("SIGNET_TOKENS__GRACE", "0s").set("SIGNET_API__UNTURNED__ACCESS", "7m");
    a_refresh_token_is_rotated, it_must_be_its_owners, one_that_came_back_ends_the_session,
    one_of_another_dialect_is_as_good, a_revoked_session_is_over_everywhere, what_is_no_token_is_as_revoked_as_can_be);

async fn refresh(server: &TestServer, token: &str, user: &str) -> HttpResponse {
    call(server, REFRESH, &json!({"refresh_token": token, "user_uuid": user})).await
}

async fn revoke(server: &TestServer, token: &str) -> HttpResponse {
    call(server, REVOKE, &json!({"refresh_token": token})).await
}

async fn a_refresh_token_is_rotated(server: &TestServer) {
    let Member { id, access, refresh: token, .. } = member(server, "rotated").await;
    let claims = server.verify(&access).await.json()["claims"].clone();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7 * 60);
    let (mut access, mut token) = (access, token);
    for _ in 0..3 {
        let (next_access, next) = refresh(server, &token, &id).await.is(200).pair();
        assert!(next != token && next_access != access);
        server.verify(&next_access).await.is(200);
        (access, token) = (next_access, next);
    }
    // However the owner is spelt.
    refresh(server, &token, &id.to_uppercase()).await.is(200).pair();
}

async fn it_must_be_its_owners(server: &TestServer) {
    let (one, other) = (member(server, "owner").await, member(server, "other").await);
    for user in [other.id.as_str(), NOBODY, "somebody", ""] {
        let answer = refresh(server, &one.refresh, user).await;
        let challenge = answer.fails(401, "invalid_refresh_token").header("www-authenticate");
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
    }
    for token in ["", "x", &tamper_signature(&one.refresh), &one.access] {
        refresh(server, token, &one.id).await.fails(401, "invalid_refresh_token");
    }
    // None of which used it up.
    refresh(server, &one.refresh, &one.id).await.is(200).pair();
}

async fn one_that_came_back_ends_the_session(server: &TestServer) {
    let one = member(server, "reused").await;
    let (_, second) = refresh(server, &one.refresh, &one.id).await.is(200).pair();
    let (access, third) = refresh(server, &second, &one.id).await.is(200).pair();
    refresh(server, &one.refresh, &one.id).await.fails(401, "invalid_refresh_token");
    refresh(server, &third, &one.id).await.fails(401, "invalid_refresh_token");
    assert_eq!(server.rejection_reason(&access).await, "revoked");
}

async fn one_of_another_dialect_is_as_good(server: &TestServer) {
    let person = server.create_user(&[]);
    let tokens = server.sign_in(&person).await;
    let (access, token) = refresh(server, &tokens.refresh, &person.id).await.is(200).pair();
    assert_eq!(server.verify(&access).await.json()["claims"]["sid"], tokens.session.as_str());
    server.refresh(&token).await.is(200);
}

async fn a_revoked_session_is_over_everywhere(server: &TestServer) {
    let one = member(server, "revoked").await;
    let answer = revoke(server, &one.refresh).await;
    assert_eq!(answer.is(200).data(), json!({"message": "Token revoked."}));
    refresh(server, &one.refresh, &one.id).await.fails(401, "invalid_refresh_token");
    assert_eq!(server.rejection_reason(&one.access).await, "revoked");
    server.get("/sessions").bearer_auth(&one.access).send_checked().await.is_problem(401, "invalid_token");
    assert_eq!(
        revoke(server, &one.refresh).await.is(200).clone().without_per_response_headers(),
        answer.without_per_response_headers()
    );
}

async fn what_is_no_token_is_as_revoked_as_can_be(server: &TestServer) {
    let one = member(server, "not-revoked").await;
    for token in ["", "x", &tamper_signature(&one.refresh)] {
        assert_eq!(revoke(server, token).await.is(200).data(), json!({"message": "Token revoked."}));
    }
    refresh(server, &one.refresh, &one.id).await.is(200).pair();
}
