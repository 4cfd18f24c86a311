//! `POST /api/v1/login`, `/refresh` and `/logout`.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;
use crate::support::totp;

over_both_stores!(|plan| plan;
    signing_in_gives_what_the_document_shows,
    a_wrong_password_and_an_unknown_address_are_one_answer,
    who_is_disabled_is_told_only_with_the_password,
    an_unconfirmed_address_may_sign_in,
    a_second_factor_is_asked_for,
    a_refresh_token_stays_and_its_session_is_not_prolonged,
    what_is_no_refresh_token_refreshes_nothing,
    signing_out_ends_the_session_and_the_token_at_once,
);

async fn signing_in_gives_what_the_document_shows(server: &TestServer) {
    let member = member(server, "ada").await;
    let answer = try_sign_in(server, " ADA@example.com", PASSWORD).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    assert_eq!((&body["expires_in"], &body["refresh_expires_in"]), (&3600.into(), &259_200.into()));
    let claims = payload(&text(&body, "access_token"));
    assert_eq!((&claims["email"], &claims["token_type"]), (&member.email.as_str().into(), &"access".into()));
    assert_eq!((claims["uid"].as_str().unwrap().len(), &claims["uid"]), (36, &claims["sub"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

async fn a_wrong_password_and_an_unknown_address_are_one_answer(server: &TestServer) {
    let member = member(server, "known").await;
    let wrong = try_sign_in(server, &member.email, "1234567").await;
    wrong.tells(401, "invalid email or password");
    let unknown = try_sign_in(server, "nobody@example.com", PASSWORD).await;
    assert_eq!(wrong.without_per_response_headers(), unknown.without_per_response_headers());
    // It is an address that signs in here, and no name.
    try_sign_in(server, &member.username, PASSWORD).await.tells(400, "invalid email");
    for body in [json!({"email": member.email}), json!({"password": PASSWORD}), json!({})] {
        call(server, "/api/v1/login", body).await.tells(400, "invalid request");
    }
}

async fn who_is_disabled_is_told_only_with_the_password(server: &TestServer) {
    let member = member(server, "disabled").await;
    server.plan().json(&["users", "disable", &member.email], "");
    try_sign_in(server, &member.email, PASSWORD).await.tells(403, "user disabled");
    try_sign_in(server, &member.email, "1234567").await.tells(401, "invalid email or password");
}

async fn an_unconfirmed_address_may_sign_in(server: &TestServer) {
    let member = member(server, "unconfirmed").await;
    try_sign_in(server, &member.email, PASSWORD).await.is(200);
}

async fn a_second_factor_is_asked_for(server: &TestServer) {
    let member = member(server, "careful").await;
    let signed = sign_in(server, &member).await;
    let (key, codes) = totp::enable_totp(server, &signed.access, PASSWORD).await;
    let with = async |code: &str| {
        let body = json!({"email": member.email, "password": PASSWORD, "totp_code": code});
        call(server, "/api/v1/login", body).await
    };
    try_sign_in(server, &member.email, PASSWORD).await.tells(401, "totp_required");
    try_sign_in(server, &member.email, "1234567").await.tells(401, "invalid email or password");
    with(&totp::wrong_code(&key)).await.tells(401, "invalid totp_code");
    let code = totp::code(&key, 1);
    with(&code).await.is(200);
    with(&code).await.tells(401, "invalid totp_code");
    with(&codes[0]).await.is(200);
    with(&codes[0]).await.tells(401, "invalid totp_code");
}

async fn a_refresh_token_stays_and_its_session_is_not_prolonged(server: &TestServer) {
    let signed = sign_in(server, &member(server, "steady").await).await;
    let before = verify(server, &signed.refresh).await.is(200).json();
    let mut seen = vec![signed.access.clone()];
    for _ in 0..3 {
        let answer = refresh(server, &signed.refresh).await;
        assert_eq!(answer.is(200).header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!((body.as_object().unwrap().len(), &body["expires_in"]), (2, &3600.into()), "{body}");
        let access = text(&body, "access_token");
        assert_eq!(payload(&access)["token_type"], "access");
        me(server, &access).await.is(200);
        assert!(!seen.contains(&access));
        seen.push(access);
    }
    assert_eq!(verify(server, &signed.refresh).await.is(200).json(), before);
    me(server, &signed.access).await.is(200);
}

async fn what_is_no_refresh_token_refreshes_nothing(server: &TestServer) {
    let signed = sign_in(server, &member(server, "mixed").await).await;
    for bad in ["", "garbage", &signed.access, &format!("{}A", signed.refresh)] {
        let refused = refresh(server, bad).await;
        refused.tells(401, "invalid refresh token");
        assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#), "{refused:?}");
    }
    call(server, "/api/v1/refresh", json!({})).await.tells(400, "invalid request");
    call(server, "/api/v1/refresh", json!({"refresh_token": null})).await.tells(400, "invalid request");
    refresh(server, &signed.refresh).await.is(200);
}

async fn signing_out_ends_the_session_and_the_token_at_once(server: &TestServer) {
    let member = member(server, "leaving").await;
    let other = sign_in(server, &member).await;
    for path in ["/api/v1/logout", "/api/v1/authorized/logout", "/api/v1/logout/"] {
        let signed = sign_in(server, &member).await;
        let later = refresh(server, &signed.refresh).await.is(200).json();
        let logout = async || server.post(path).bearer_auth(&signed.access).send_checked().await;
        logout().await.says(200, "logout successful");
        for access in [&signed.access, &text(&later, "access_token")] {
            me(server, access).await.tells(401, "invalid token");
            verify(server, access).await.tells(401, "invalid token");
            assert_eq!(server.rejection_reason(access).await, "revoked");
        }
        refresh(server, &signed.refresh).await.tells(401, "invalid refresh token");
        verify(server, &signed.refresh).await.tells(401, "invalid token");
        logout().await.tells(401, "invalid token");
        server.post(path).send_checked().await.tells(401, "missing token");
    }
    me(server, &other.access).await.is(200);
    refresh(server, &other.refresh).await.is(200);
}
