//! `/oauth/introspect` (RFC 7662) and `/oauth/revoke` (RFC 7009).

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, over_both_stores, tampered};

over_both_stores!(|plan| plan;
    every_kind_of_token_is_looked_at, what_is_not_good_is_inactive, a_session_ends_by_its_refresh_token,
    an_access_token_ends_alone, callers_need_the_scope);

/// A caller that may do both.
fn caller(server: &TestServer) -> String {
    server.api_key(&server.person(&[]), &["introspect", "revoke"]).0
}

async fn introspect(server: &TestServer, key: &str, token: &str) -> Value {
    let answer = server.form("/oauth/introspect", &[("client_secret", key), ("token", token)]).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    answer.json()
}

async fn revoke(server: &TestServer, key: &str, token: &str) {
    let answer = server.form("/oauth/revoke", &[("client_secret", key), ("token", token)]).await;
    assert_eq!(answer.is(200).text, "");
}

async fn every_kind_of_token_is_looked_at(server: &TestServer) {
    let key = caller(server);
    let person = server.person(&[]);
    let tokens = server.sign_in(&person).await;
    let access = introspect(server, &key, &tokens.access).await;
    assert_eq!((&access["active"], &access["token_type"]), (&true.into(), &"Bearer".into()));
    assert_eq!((&access["sub"], &access["sid"]), (&person.id.as_str().into(), &tokens.session.as_str().into()));
    assert!(access["exp"].is_i64() && access["iat"].is_i64() && access["iss"].is_string());
    let refresh = introspect(server, &key, &tokens.refresh).await;
    assert_eq!((&refresh["active"], &refresh["token_type"]), (&true.into(), &"refresh_token".into()));
    assert_eq!((&refresh["sub"], &refresh["sid"]), (&access["sub"], &access["sid"]));
    let (other, _) = server.api_key(&person, &["read"]);
    let shown = introspect(server, &key, &other).await;
    assert_eq!((&shown["active"], &shown["token_type"]), (&true.into(), &"api_key".into()));
    assert_eq!((&shown["sub"], &shown["scope"]), (&access["sub"], &"read".into()));
    // A hint is a hint (RFC 7662, 2.1).
    let hinted = [("client_secret", key.as_str()), ("token", &tokens.access), ("token_type_hint", "refresh_token")];
    assert_eq!(server.form("/oauth/introspect", &hinted).await.json()["active"], true);
    // Looking uses nothing up.
    server.refresh(&tokens.refresh).await.is(200);
}

async fn what_is_not_good_is_inactive(server: &TestServer) {
    let key = caller(server);
    let tokens = server.sign_in(&server.person(&[])).await;
    let (access, refresh) = (tampered(&tokens.access), tampered(&tokens.refresh));
    for bad in ["", "x", "a.b.c", &access, &refresh, "sk_000000000000_00000000000000000000000000000000_000000"] {
        assert_eq!(introspect(server, &key, bad).await, json!({"active": false}), "{bad}");
        revoke(server, &key, bad).await;
    }
    // What is deactivated and not revoked must not be taken for revoked.
    let form = [("client_secret", key.as_str()), ("token", key.as_str())];
    server.form("/oauth/revoke", &form).await.is_oauth_error(400, "unsupported_token_type");
    let successor = server.refresh(&tokens.refresh).await.tokens();
    assert_eq!(introspect(server, &key, &successor.refresh).await["active"], true);
    assert_eq!(introspect(server, &key, &tokens.refresh).await["active"], false, "it was rotated");
}

async fn a_session_ends_by_its_refresh_token(server: &TestServer) {
    let key = caller(server);
    let person = server.person(&[]);
    let (tokens, other) = (server.sign_in(&person).await, server.sign_in(&person).await);
    server.verify(&tokens.access).await.is(200);
    revoke(server, &key, &tokens.refresh).await;
    assert_eq!(server.reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    assert_eq!(introspect(server, &key, &tokens.refresh).await, json!({"active": false}));
    assert_eq!(introspect(server, &key, &tokens.access).await, json!({"active": false}));
    revoke(server, &key, &tokens.refresh).await;
    server.verify(&other.access).await.is(200);
    server.refresh(&other.refresh).await.is(200);
}

async fn an_access_token_ends_alone(server: &TestServer) {
    let key = caller(server);
    let tokens = server.sign_in(&server.person(&[])).await;
    server.verify(&tokens.access).await.is(200);
    revoke(server, &key, &tokens.access).await;
    assert_eq!(server.reason(&tokens.access).await, "revoked");
    let successor = server.refresh(&tokens.refresh).await.tokens();
    server.verify(&successor.access).await.is(200);
    assert_eq!(server.reason(&tokens.access).await, "revoked");
}

async fn callers_need_the_scope(server: &TestServer) {
    let person = server.person(&["--superuser"]);
    let tokens = server.sign_in(&person).await;
    let token = ("token", tokens.access.as_str());
    for (path, scope, other) in
        [("/oauth/introspect", "introspect", "revoke"), ("/oauth/revoke", "revoke", "introspect")]
    {
        server.form(path, &[token]).await.is_oauth_error(401, "invalid_client");
        server.form(path, &[token, ("client_secret", "x")]).await.is_oauth_error(401, "invalid_client");
        let (wrong, _) = server.api_key(&person, &[other, "admin"]);
        server.form(path, &[token, ("client_secret", &wrong)]).await.is_oauth_error(403, "unauthorized_client");
        let answer = server.post(path).bearer_auth(&tokens.access).form(&[token]).send_checked().await;
        answer.is_oauth_error(403, "unauthorized_client");
        let (right, _) = server.api_key(&person, &[scope]);
        server.form(path, &[("client_secret", &right)]).await.is_oauth_error(400, "invalid_request");
        server.form(path, &[("client_secret", &right), token, token]).await.is_oauth_error(400, "invalid_request");
        server.post(path).json(&json!({"token": "x"})).send_checked().await.is_oauth_error(415, "invalid_request");
        // A token made from such a key is as good as the key.
        let grant = [("grant_type", "client_credentials"), ("client_secret", right.as_str())];
        let made = server.form("/oauth/token", &grant).await.is(200).json();
        let bearer = made["access_token"].as_str().unwrap();
        server.post(path).bearer_auth(bearer).form(&[("token", "x")]).send_checked().await.is(200);
        server.post(path).header("x-api-key", &right).form(&[("token", "x")]).send_checked().await.is(200);
        server.post(path).basic_auth("gateway", Some(&right)).form(&[("token", "x")]).send_checked().await.is(200);
    }
}
