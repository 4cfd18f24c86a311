//! `/oauth/introspect` (RFC 7662) and `/oauth/revoke` (RFC 7009).

use serde_json::{Value, json};

use crate::support::desk::{SendRequest, TestServer, over_both_stores, tampered};

over_both_stores!(|plan| plan;
    every_kind_of_token_is_looked_at, what_is_not_good_is_inactive, a_session_ends_by_its_refresh_token,
    an_access_token_ends_alone, callers_need_the_scope);

/// A caller that may do both.
fn caller(desk: &TestServer) -> String {
    desk.api_key(&desk.person(&[]), &["introspect", "revoke"]).0
}

async fn introspect(desk: &TestServer, key: &str, token: &str) -> Value {
    let answer = desk.form("/oauth/introspect", &[("client_secret", key), ("token", token)]).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    answer.json()
}

async fn revoke(desk: &TestServer, key: &str, token: &str) {
    let answer = desk.form("/oauth/revoke", &[("client_secret", key), ("token", token)]).await;
    assert_eq!(answer.is(200).text, "");
}

async fn every_kind_of_token_is_looked_at(desk: &TestServer) {
    let key = caller(desk);
    let person = desk.person(&[]);
    let tokens = desk.sign_in(&person).await;
    let access = introspect(desk, &key, &tokens.access).await;
    assert_eq!((&access["active"], &access["token_type"]), (&true.into(), &"Bearer".into()));
    assert_eq!((&access["sub"], &access["sid"]), (&person.id.as_str().into(), &tokens.session.as_str().into()));
    assert!(access["exp"].is_i64() && access["iat"].is_i64() && access["iss"].is_string());
    let refresh = introspect(desk, &key, &tokens.refresh).await;
    assert_eq!((&refresh["active"], &refresh["token_type"]), (&true.into(), &"refresh_token".into()));
    assert_eq!((&refresh["sub"], &refresh["sid"]), (&access["sub"], &access["sid"]));
    let (other, _) = desk.api_key(&person, &["read"]);
    let shown = introspect(desk, &key, &other).await;
    assert_eq!((&shown["active"], &shown["token_type"]), (&true.into(), &"api_key".into()));
    assert_eq!((&shown["sub"], &shown["scope"]), (&access["sub"], &"read".into()));
    // A hint is a hint (RFC 7662, 2.1).
    let hinted = [("client_secret", key.as_str()), ("token", &tokens.access), ("token_type_hint", "refresh_token")];
    assert_eq!(desk.form("/oauth/introspect", &hinted).await.json()["active"], true);
    // Looking uses nothing up.
    desk.refresh(&tokens.refresh).await.is(200);
}

async fn what_is_not_good_is_inactive(desk: &TestServer) {
    let key = caller(desk);
    let tokens = desk.sign_in(&desk.person(&[])).await;
    let (access, refresh) = (tampered(&tokens.access), tampered(&tokens.refresh));
    for bad in ["", "x", "a.b.c", &access, &refresh, "sk_000000000000_00000000000000000000000000000000_000000"] {
        assert_eq!(introspect(desk, &key, bad).await, json!({"active": false}), "{bad}");
        revoke(desk, &key, bad).await;
    }
    // What is deactivated and not revoked must not be taken for revoked.
    let form = [("client_secret", key.as_str()), ("token", key.as_str())];
    desk.form("/oauth/revoke", &form).await.is_oauth_error(400, "unsupported_token_type");
    let successor = desk.refresh(&tokens.refresh).await.tokens();
    assert_eq!(introspect(desk, &key, &successor.refresh).await["active"], true);
    assert_eq!(introspect(desk, &key, &tokens.refresh).await["active"], false, "it was rotated");
}

async fn a_session_ends_by_its_refresh_token(desk: &TestServer) {
    let key = caller(desk);
    let person = desk.person(&[]);
    let (tokens, other) = (desk.sign_in(&person).await, desk.sign_in(&person).await);
    desk.verify(&tokens.access).await.is(200);
    revoke(desk, &key, &tokens.refresh).await;
    assert_eq!(desk.reason(&tokens.access).await, "revoked");
    desk.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    assert_eq!(introspect(desk, &key, &tokens.refresh).await, json!({"active": false}));
    assert_eq!(introspect(desk, &key, &tokens.access).await, json!({"active": false}));
    revoke(desk, &key, &tokens.refresh).await;
    desk.verify(&other.access).await.is(200);
    desk.refresh(&other.refresh).await.is(200);
}

async fn an_access_token_ends_alone(desk: &TestServer) {
    let key = caller(desk);
    let tokens = desk.sign_in(&desk.person(&[])).await;
    desk.verify(&tokens.access).await.is(200);
    revoke(desk, &key, &tokens.access).await;
    assert_eq!(desk.reason(&tokens.access).await, "revoked");
    let successor = desk.refresh(&tokens.refresh).await.tokens();
    desk.verify(&successor.access).await.is(200);
    assert_eq!(desk.reason(&tokens.access).await, "revoked");
}

async fn callers_need_the_scope(desk: &TestServer) {
    let person = desk.person(&["--superuser"]);
    let tokens = desk.sign_in(&person).await;
    let token = ("token", tokens.access.as_str());
    for (path, scope, other) in
        [("/oauth/introspect", "introspect", "revoke"), ("/oauth/revoke", "revoke", "introspect")]
    {
        desk.form(path, &[token]).await.is_oauth_error(401, "invalid_client");
        desk.form(path, &[token, ("client_secret", "x")]).await.is_oauth_error(401, "invalid_client");
        let (wrong, _) = desk.api_key(&person, &[other, "admin"]);
        desk.form(path, &[token, ("client_secret", &wrong)]).await.is_oauth_error(403, "unauthorized_client");
        let answer = desk.post(path).bearer_auth(&tokens.access).form(&[token]).send_checked().await;
        answer.is_oauth_error(403, "unauthorized_client");
        let (right, _) = desk.api_key(&person, &[scope]);
        desk.form(path, &[("client_secret", &right)]).await.is_oauth_error(400, "invalid_request");
        desk.form(path, &[("client_secret", &right), token, token]).await.is_oauth_error(400, "invalid_request");
        desk.post(path).json(&json!({"token": "x"})).send_checked().await.is_oauth_error(415, "invalid_request");
        // A token made from such a key is as good as the key.
        let grant = [("grant_type", "client_credentials"), ("client_secret", right.as_str())];
        let made = desk.form("/oauth/token", &grant).await.is(200).json();
        let bearer = made["access_token"].as_str().unwrap();
        desk.post(path).bearer_auth(bearer).form(&[("token", "x")]).send_checked().await.is(200);
        desk.post(path).header("x-api-key", &right).form(&[("token", "x")]).send_checked().await.is(200);
        desk.post(path).basic_auth("gateway", Some(&right)).form(&[("token", "x")]).send_checked().await.is(200);
    }
}
