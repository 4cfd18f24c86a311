//! `POST /api/v1/verify` and `GET /api/v1/authorized/me`, and what becomes of tokens in other dialects.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan;
    a_token_of_either_kind_is_verified,
    what_is_no_token_is_not,
    the_caller_is_told_who_it_is,
    an_api_key_is_nobody_here,
    a_session_of_another_dialect_goes_on_here_and_the_other_way_round,
);

async fn a_token_of_either_kind_is_verified(server: &TestServer) {
    let member = member(server, "verified").await;
    let signed = sign_in(server, &member).await;
    let claims = payload(&signed.access);
    for path in ["/api/v1/verify", "/api/v1/verify-token", "/api/v1/verify/"] {
        let answer = call(server, path, json!({"token": signed.access})).await;
        let expected = json!({"token": {
            "token_type": "access",
            "uid": claims["sub"],
            "email": member.email,
            "exp": claims["exp"],
            "iat": claims["iat"],
        }});
        assert_eq!(answer.is(200).json(), expected);
        assert_eq!(answer.header("cache-control"), "no-store");

        let of_refresh = call(server, path, json!({"token": signed.refresh})).await.is(200).json();
        let token = &of_refresh["token"];
        assert_eq!((&token["token_type"], &token["uid"]), (&"refresh".into(), &claims["sub"]));
        assert_eq!((&token["email"], token.as_object().unwrap().len()), (&member.email.as_str().into(), 5));
        assert_eq!(token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap(), 259_200);
    }
}

async fn what_is_no_token_is_not(server: &TestServer) {
    let signed = sign_in(server, &member(server, "tampering").await).await;
    let tampered = crate::support::server::tamper_signature(&signed.access);
    for bad in ["", "garbage", &tampered, &format!("{}A", signed.refresh)] {
        let refused = verify(server, bad).await;
        refused.tells(401, "invalid token");
        assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#), "{refused:?}");
    }
    for body in [json!({}), json!({"token": 7}), json!({"token": null})] {
        call(server, "/api/v1/verify", body).await.tells(400, "invalid request");
    }
}

async fn the_caller_is_told_who_it_is(server: &TestServer) {
    let member = member(server, "asking").await;
    let signed = sign_in(server, &member).await;
    let claims = payload(&signed.access);
    let answer = me(server, &signed.access).await;
    let expected = json!({"claims": {
        "uid": claims["sub"],
        "email": member.email,
        "exp": claims["exp"],
        "iat": claims["iat"],
    }});
    assert_eq!(answer.is(200).json(), expected);
    let missing = server.get("/api/v1/authorized/me").send_checked().await;
    assert_eq!(missing.tells(401, "missing token").header("www-authenticate"), "Bearer");
    for bad in ["garbage", &signed.refresh, &crate::support::server::tamper_signature(&signed.access)] {
        let refused = me(server, bad).await;
        refused.tells(401, "invalid token");
        assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#), "{refused:?}");
    }
}

async fn an_api_key_is_nobody_here(server: &TestServer) {
    let person = server.create_user(&[]);
    let (key, _) = server.api_key(&person, &["read"]);
    let grant = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
    let made = text(&server.form("/oauth/token", &grant).await.is(200).json(), "access_token");
    for token in [&key, &made] {
        verify(server, token).await.tells(401, "invalid token");
        me(server, token).await.tells(401, "invalid token");
    }
    server.post("/api/v1/logout").bearer_auth(&key).send_checked().await.tells(401, "invalid token");
    server.verify(&key).await.is(200);
    // A token that was made from a key is in no session: signing out ends it alone.
    server.post("/api/v1/logout").bearer_auth(&made).send_checked().await.says(200, "logout successful");
    assert_eq!(server.rejection_reason(&made).await, "revoked");
    server.verify(&key).await.is(200);
}

async fn a_session_of_another_dialect_goes_on_here_and_the_other_way_round(server: &TestServer) {
    // Opened there, refreshed here: the token says what clients of this dialect read, and the refresh token stays.
    let person = server.create_user(&[]);
    let there = server.sign_in(&person).await;
    assert_eq!(payload(&there.access)["token_type"], Value::Null);
    assert_eq!(me(server, &there.access).await.is(200).json()["claims"]["uid"], person.id);
    let access = text(&refresh(server, &there.refresh).await.is(200).json(), "access_token");
    assert_eq!(
        (&payload(&access)["uid"], &payload(&access)["token_type"]),
        (&person.id.as_str().into(), &"access".into())
    );
    server.verify(&access).await.is(200);
    assert_eq!(verify(server, &there.refresh).await.is(200).json()["token"]["uid"], person.id);

    // Opened here, refreshed there: it is rotated, and the access token is as that dialect makes it, good here all the same.
    let here = sign_in(server, &member(server, "moving").await).await;
    let moved = server.refresh(&here.refresh).await.is(200).tokens();
    assert_ne!(moved.refresh, here.refresh);
    assert_eq!(payload(&moved.access)["token_type"], Value::Null);
    assert_eq!(me(server, &moved.access).await.is(200).json()["claims"]["email"], "moving@example.com");
    let answer = verify(server, &moved.refresh).await.is(200).json();
    assert_eq!(answer["token"]["token_type"], "refresh");
    refresh(server, &moved.refresh).await.is(200);
}
