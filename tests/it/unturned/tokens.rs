//! `/verification/refresh-token` and `/revoke-token`.

use serde_json::json;

use super::{Member, REFRESH, REVOKE, UNKNOWN_ID, UnturnedResponse, call, member};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores, tamper_signature};

over_both_stores!(
    |plan| plan.set("SIGNET_TOKENS__GRACE", "0s").set("SIGNET_API__UNTURNED__ACCESS", "7m");
    refresh_token_is_rotated,
    refresh_needs_the_id_of_the_owner,
    reused_refresh_token_ends_the_session,
    refresh_token_of_another_dialect_is_accepted,
    revoking_ends_the_session_in_every_dialect,
    revoking_an_invalid_token_succeeds,
);

async fn refresh(server: &TestServer, token: &str, user: &str) -> HttpResponse {
    call(server, REFRESH, &json!({"refresh_token": token, "user_uuid": user})).await
}

async fn revoke(server: &TestServer, token: &str) -> HttpResponse {
    call(server, REVOKE, &json!({"refresh_token": token})).await
}

async fn refresh_token_is_rotated(server: &TestServer) {
    let Member { id, access, refresh: token, .. } = member(server, "rotated").await;
    let claims = server.verify(&access).await.json()["claims"].clone();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7 * 60);
    let (mut access, mut token) = (access, token);
    for _ in 0..3 {
        let (next_access, next) = refresh(server, &token, &id).await.is(200).token_pair();
        assert!(next != token && next_access != access);
        server.verify(&next_access).await.is(200);
        (access, token) = (next_access, next);
    }
    // The id of the owner may be in upper case.
    refresh(server, &token, &id.to_uppercase()).await.is(200).token_pair();
}

async fn refresh_needs_the_id_of_the_owner(server: &TestServer) {
    let (zoe, other) = (member(server, "owner").await, member(server, "other").await);
    for user in [other.id.as_str(), UNKNOWN_ID, "somebody", ""] {
        let response = refresh(server, &zoe.refresh, user).await;
        let challenge = response.is_error(401, "invalid_refresh_token").header("www-authenticate");
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
    }
    for token in ["", "x", &tamper_signature(&zoe.refresh), &zoe.access] {
        refresh(server, token, &zoe.id).await.is_error(401, "invalid_refresh_token");
    }
    // None of these requests consumed the token.
    refresh(server, &zoe.refresh, &zoe.id).await.is(200).token_pair();
}

async fn reused_refresh_token_ends_the_session(server: &TestServer) {
    let zoe = member(server, "reused").await;
    let (_, second) = refresh(server, &zoe.refresh, &zoe.id).await.is(200).token_pair();
    let (access, third) = refresh(server, &second, &zoe.id).await.is(200).token_pair();
    refresh(server, &zoe.refresh, &zoe.id).await.is_error(401, "invalid_refresh_token");
    refresh(server, &third, &zoe.id).await.is_error(401, "invalid_refresh_token");
    assert_eq!(server.rejection_reason(&access).await, "revoked");
}

async fn refresh_token_of_another_dialect_is_accepted(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    let (access, token) = refresh(server, &tokens.refresh, &user.id).await.is(200).token_pair();
    assert_eq!(server.verify(&access).await.json()["claims"]["sid"], tokens.session.as_str());
    server.refresh(&token).await.is(200);
}

async fn revoking_ends_the_session_in_every_dialect(server: &TestServer) {
    let zoe = member(server, "revoked").await;
    let response = revoke(server, &zoe.refresh).await;
    assert_eq!(response.is(200).data(), json!({"message": "Token revoked."}));
    refresh(server, &zoe.refresh, &zoe.id).await.is_error(401, "invalid_refresh_token");
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked");
    server.get("/sessions").bearer_auth(&zoe.access).send_checked().await.is_problem(401, "invalid_token");
    assert_eq!(
        revoke(server, &zoe.refresh).await.is(200).clone().without_per_response_headers(),
        response.without_per_response_headers()
    );
}

async fn revoking_an_invalid_token_succeeds(server: &TestServer) {
    let zoe = member(server, "not-revoked").await;
    for token in ["", "x", &tamper_signature(&zoe.refresh)] {
        assert_eq!(revoke(server, token).await.is(200).data(), json!({"message": "Token revoked."}));
    }
    refresh(server, &zoe.refresh, &zoe.id).await.is(200).token_pair();
}
