//! `POST /api/v1/verify` and `GET /api/v1/authorized/me`, and tokens across dialects.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(
    |plan| plan;
    access_and_refresh_tokens_are_verified,
    invalid_tokens_are_refused,
    caller_sees_its_claims,
    api_keys_are_refused,
    sessions_of_rotating_dialects_are_not_refreshed_here,
    reuse_of_a_foreign_token_here_ends_its_session,
    session_continues_in_other_dialects,
);

async fn access_and_refresh_tokens_are_verified(server: &TestServer) {
    let member = member(server, "verified").await;
    let tokens = sign_in(server, &member).await;
    let claims = payload(&tokens.access);
    for path in ["/api/v1/verify", "/api/v1/verify-token", "/api/v1/verify/"] {
        let response = call(server, path, json!({"token": tokens.access})).await;
        let expected = json!({"token": {
            "token_type": "access",
            "uid": claims["sub"],
            "email": member.email,
            "exp": claims["exp"],
            "iat": claims["iat"],
        }});
        assert_eq!(response.is(200).json(), expected);
        assert_eq!(response.header("cache-control"), "no-store");

        let of_refresh = call(server, path, json!({"token": tokens.refresh})).await.is(200).json();
        let token = &of_refresh["token"];
        assert_eq!((&token["token_type"], &token["uid"]), (&"refresh".into(), &claims["sub"]));
        assert_eq!((&token["email"], token.as_object().unwrap().len()), (&member.email.as_str().into(), 5));
        assert_eq!(token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap(), 259_200);
    }
}

async fn invalid_tokens_are_refused(server: &TestServer) {
    let tokens = sign_in(server, &member(server, "tampering").await).await;
    let tampered = crate::support::server::tamper_signature(&tokens.access);
    for bad in ["", "garbage", &tampered, &format!("{}A", tokens.refresh)] {
        let response = verify(server, bad).await;
        response.is_error(401, "invalid token");
        assert!(response.header("www-authenticate").contains(r#"error="invalid_token""#), "{response:?}");
    }
    for body in [json!({}), json!({"token": 7}), json!({"token": null})] {
        call(server, "/api/v1/verify", body).await.is_error(400, "invalid request");
    }
}

async fn caller_sees_its_claims(server: &TestServer) {
    let member = member(server, "asking").await;
    let tokens = sign_in(server, &member).await;
    let claims = payload(&tokens.access);
    let response = me(server, &tokens.access).await;
    let expected = json!({"claims": {
        "uid": claims["sub"],
        "email": member.email,
        "exp": claims["exp"],
        "iat": claims["iat"],
    }});
    assert_eq!(response.is(200).json(), expected);
    let missing = server.get("/api/v1/authorized/me").send_checked().await;
    assert_eq!(missing.is_error(401, "missing token").header("www-authenticate"), "Bearer");
    for bad in ["garbage", &tokens.refresh, &crate::support::server::tamper_signature(&tokens.access)] {
        let response = me(server, bad).await;
        response.is_error(401, "invalid token");
        assert!(response.header("www-authenticate").contains(r#"error="invalid_token""#), "{response:?}");
    }
}

async fn api_keys_are_refused(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &["read"]);
    let token_of_key = server.client_token(&key).await;
    for token in [&key, &token_of_key] {
        verify(server, token).await.is_error(401, "invalid token");
        me(server, token).await.is_error(401, "invalid token");
    }
    server.post("/api/v1/logout").bearer_auth(&key).send_checked().await.is_error(401, "invalid token");
    server.verify(&key).await.is(200);
    // An access token issued for an API key belongs to no session, so signing out revokes that token only.
    server.post("/api/v1/logout").bearer_auth(&token_of_key).send_checked().await.is_message(200, "logout successful");
    assert_eq!(server.rejection_reason(&token_of_key).await, "revoked");
    server.verify(&key).await.is(200);
}

/// A thief could otherwise use the token of a dialect that rotates without being detected, or learn here whether it is
/// still current, and so whether presenting it would end the session.
async fn sessions_of_rotating_dialects_are_not_refreshed_here(server: &TestServer) {
    let user = server.create_user(&[]);
    let native = server.sign_in(&user).await;
    assert_eq!(payload(&native.access)["token_type"], Value::Null);
    assert_eq!(me(server, &native.access).await.is(200).json()["claims"]["uid"], user.id);
    let refused = async |token: &str| {
        let verified = verify(server, token).await;
        verified.is_error(401, "invalid token");
        refresh(server, token).await.is_error(401, "invalid refresh token");
        verified.without_per_response_headers()
    };
    let of_current = refused(&native.refresh).await;
    let next = server.refresh(&native.refresh).await.is(200).tokens();
    assert_eq!(refused(&native.refresh).await, of_current, "a rotated token");
    assert_eq!(refused(&next.refresh).await, of_current, "its successor");
    server.refresh(&next.refresh).await.is(200);
}

async fn reuse_of_a_foreign_token_here_ends_its_session(server: &TestServer) {
    let first = server.sign_in(&server.create_user(&[])).await;
    let second = server.refresh(&first.refresh).await.is(200).tokens();
    let third = server.refresh(&second.refresh).await.is(200).tokens();
    verify(server, &first.refresh).await.is_error(401, "invalid token");
    server.verify(&third.access).await.is(200);
    refresh(server, &first.refresh).await.is_error(401, "invalid refresh token");
    assert_eq!(server.rejection_reason(&third.access).await, "revoked");
    server.refresh(&third.refresh).await.is_oauth_error(400, "invalid_grant");
}

async fn session_continues_in_other_dialects(server: &TestServer) {
    // Opened here, refreshed in native: the refresh token is rotated, and the access token has the claims of native.
    // This dialect accepts it.
    let v1_tokens = sign_in(server, &member(server, "moving").await).await;
    let moved = server.refresh(&v1_tokens.refresh).await.is(200).tokens();
    assert_ne!(moved.refresh, v1_tokens.refresh);
    assert_eq!(payload(&moved.access)["token_type"], Value::Null);
    assert_eq!(me(server, &moved.access).await.is(200).json()["claims"]["email"], "moving@example.com");
    let response = verify(server, &moved.refresh).await.is(200).json();
    assert_eq!(response["token"]["token_type"], "refresh");
    let access = text(&refresh(server, &moved.refresh).await.is(200).json(), "access_token");
    assert_eq!(payload(&access)["token_type"], "access");
    server.verify(&access).await.is(200);
    // A session opened in `codes`, which does not rotate either.
    let body = json!({"email": "moving@example.com", "password": PASSWORD});
    let codes = call(server, "/auth/signin", body).await.is(200).json();
    verify(server, &text(&codes, "refresh_token")).await.is(200);
    refresh(server, &text(&codes, "refresh_token")).await.is(200);
}
