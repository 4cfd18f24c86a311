//! `POST /api/v1/login`, `/refresh` and `/logout`.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;
use crate::support::totp;

over_both_stores!(
    |plan| plan;
    sign_in_returns_the_documented_body,
    failed_sign_ins_do_not_reveal_accounts,
    disabled_account_is_reported_with_the_right_password,
    unverified_address_may_sign_in,
    second_factor_is_required,
    refresh_changes_neither_token_nor_session,
    invalid_refresh_tokens_are_refused,
    sign_out_ends_the_session_immediately,
);

async fn sign_in_returns_the_documented_body(server: &TestServer) {
    let member = member(server, "ada").await;
    let response = try_sign_in(server, " ADA@example.com", PASSWORD).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let body = response.json();
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    assert_eq!((&body["expires_in"], &body["refresh_expires_in"]), (&3600.into(), &259_200.into()));
    let claims = payload(&text(&body, "access_token"));
    assert_eq!((&claims["email"], &claims["token_type"]), (&member.email.as_str().into(), &"access".into()));
    assert_eq!((claims["uid"].as_str().unwrap().len(), &claims["uid"]), (36, &claims["sub"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

async fn failed_sign_ins_do_not_reveal_accounts(server: &TestServer) {
    let member = member(server, "known").await;
    let wrong = try_sign_in(server, &member.email, "1234567").await;
    wrong.is_error(401, "invalid email or password");
    let unknown = try_sign_in(server, "nobody@example.com", PASSWORD).await;
    assert_eq!(wrong.without_per_response_headers(), unknown.without_per_response_headers());
    // This dialect signs in by address; a username is malformed.
    try_sign_in(server, &member.username, PASSWORD).await.is_error(400, "invalid email");
    for body in [json!({"email": member.email}), json!({"password": PASSWORD}), json!({})] {
        call(server, "/api/v1/login", body).await.is_error(400, "invalid request");
    }
}

async fn disabled_account_is_reported_with_the_right_password(server: &TestServer) {
    let member = member(server, "disabled").await;
    server.plan().json(&["users", "disable", &member.email], "");
    try_sign_in(server, &member.email, PASSWORD).await.is_error(403, "user disabled");
    try_sign_in(server, &member.email, "1234567").await.is_error(401, "invalid email or password");
}

async fn unverified_address_may_sign_in(server: &TestServer) {
    let member = member(server, "unconfirmed").await;
    try_sign_in(server, &member.email, PASSWORD).await.is(200);
}

async fn second_factor_is_required(server: &TestServer) {
    let member = member(server, "careful").await;
    let tokens = sign_in(server, &member).await;
    let (key, codes) = totp::enable_totp(server, &tokens.access, PASSWORD).await;
    let sign_in_with = async |code: &str| {
        let body = json!({"email": member.email, "password": PASSWORD, "totp_code": code});
        call(server, "/api/v1/login", body).await
    };
    try_sign_in(server, &member.email, PASSWORD).await.is_error(401, "totp_required");
    try_sign_in(server, &member.email, "1234567").await.is_error(401, "invalid email or password");
    sign_in_with(&totp::wrong_code(&key)).await.is_error(401, "invalid totp_code");
    let code = totp::code(&key, 1);
    sign_in_with(&code).await.is(200);
    sign_in_with(&code).await.is_error(401, "invalid totp_code");
    sign_in_with(&codes[0]).await.is(200);
    sign_in_with(&codes[0]).await.is_error(401, "invalid totp_code");
}

async fn refresh_changes_neither_token_nor_session(server: &TestServer) {
    let tokens = sign_in(server, &member(server, "steady").await).await;
    let before = verify(server, &tokens.refresh).await.is(200).json();
    let mut seen = vec![tokens.access.clone()];
    for _ in 0..3 {
        let response = refresh(server, &tokens.refresh).await;
        assert_eq!(response.is(200).header("cache-control"), "no-store");
        let body = response.json();
        assert_eq!((body.as_object().unwrap().len(), &body["expires_in"]), (2, &3600.into()), "{body}");
        let access = text(&body, "access_token");
        assert_eq!(payload(&access)["token_type"], "access");
        me(server, &access).await.is(200);
        assert!(!seen.contains(&access));
        seen.push(access);
    }
    assert_eq!(verify(server, &tokens.refresh).await.is(200).json(), before);
    me(server, &tokens.access).await.is(200);
}

async fn invalid_refresh_tokens_are_refused(server: &TestServer) {
    let tokens = sign_in(server, &member(server, "mixed").await).await;
    for bad in ["", "garbage", &tokens.access, &format!("{}A", tokens.refresh)] {
        let response = refresh(server, bad).await;
        response.is_error(401, "invalid refresh token");
        assert!(response.header("www-authenticate").contains(r#"error="invalid_token""#), "{response:?}");
    }
    call(server, "/api/v1/refresh", json!({})).await.is_error(400, "invalid request");
    call(server, "/api/v1/refresh", json!({"refresh_token": null})).await.is_error(400, "invalid request");
    refresh(server, &tokens.refresh).await.is(200);
}

async fn sign_out_ends_the_session_immediately(server: &TestServer) {
    let member = member(server, "leaving").await;
    let other = sign_in(server, &member).await;
    for path in ["/api/v1/logout", "/api/v1/authorized/logout", "/api/v1/logout/"] {
        let tokens = sign_in(server, &member).await;
        let refreshed = refresh(server, &tokens.refresh).await.is(200).json();
        let logout = async || server.post(path).bearer_auth(&tokens.access).send_checked().await;
        logout().await.is_message(200, "logout successful");
        for access in [&tokens.access, &text(&refreshed, "access_token")] {
            me(server, access).await.is_error(401, "invalid token");
            verify(server, access).await.is_error(401, "invalid token");
            assert_eq!(server.rejection_reason(access).await, "revoked");
        }
        refresh(server, &tokens.refresh).await.is_error(401, "invalid refresh token");
        verify(server, &tokens.refresh).await.is_error(401, "invalid token");
        logout().await.is_error(401, "invalid token");
        server.post(path).send_checked().await.is_error(401, "missing token");
    }
    me(server, &other.access).await.is(200);
    refresh(server, &other.refresh).await.is(200);
}
