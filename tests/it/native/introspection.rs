//! `/oauth/introspect` (RFC 7662) and `/oauth/revoke` (RFC 7009).

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, over_both_stores, tamper_signature};

over_both_stores!(|plan| plan;
    every_kind_of_token_is_introspected, refresh_token_is_active_only_if_asked_for, invalid_tokens_are_inactive, api_key_is_not_revoked_as_a_token,
    rotated_refresh_token_is_inactive, revoking_a_refresh_token_ends_its_session,
    revoking_an_access_token_keeps_its_session, callers_need_the_scope, client_reaches_only_tokens_of_its_owner,
    demoted_owner_reaches_only_their_own_tokens);

/// The API key of a service that may introspect and revoke the tokens of all users.
fn caller(server: &TestServer) -> String {
    server.api_key(&server.create_user(&["--superuser"]), &["introspect", "revoke"]).0
}

async fn introspect(server: &TestServer, key: &str, token: &str) -> Value {
    introspect_with_hint(server, key, token, "refresh_token").await
}

async fn introspect_with_hint(server: &TestServer, key: &str, token: &str, hint: &str) -> Value {
    let fields = [("client_secret", key), ("token", token), ("token_type_hint", hint)];
    let fields = if hint.is_empty() { &fields[..2] } else { &fields };
    let response = server.form("/oauth/introspect", fields).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    response.json()
}

async fn revoke(server: &TestServer, key: &str, token: &str) {
    let response = server.form("/oauth/revoke", &[("client_secret", key), ("token", token)]).await;
    assert_eq!(response.is(200).text, "");
}

async fn every_kind_of_token_is_introspected(server: &TestServer) {
    let key = caller(server);
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    let access = introspect(server, &key, &tokens.access).await;
    assert_eq!((&access["active"], &access["token_type"]), (&true.into(), &"Bearer".into()));
    assert_eq!((&access["sub"], &access["sid"]), (&user.id.as_str().into(), &tokens.session.as_str().into()));
    assert!(access["exp"].is_i64() && access["iat"].is_i64() && access["iss"].is_string());
    let refresh = introspect(server, &key, &tokens.refresh).await;
    assert_eq!((&refresh["active"], &refresh["token_type"]), (&true.into(), &"refresh_token".into()));
    assert_eq!((&refresh["sub"], &refresh["sid"]), (&access["sub"], &access["sid"]));
    let (other, _) = server.api_key(&user, &["read"]);
    let api_key = introspect(server, &key, &other).await;
    assert_eq!((&api_key["active"], &api_key["token_type"]), (&true.into(), &"api_key".into()));
    assert_eq!((&api_key["sub"], &api_key["scope"]), (&access["sub"], &"read".into()));
    // A wrong `token_type_hint` changes nothing for them (RFC 7662, 2.1).
    for (token, expected) in [(&tokens.access, &access), (&other, &api_key)] {
        for hint in ["", "access_token", "refresh_token", "unknown"] {
            assert_eq!(introspect_with_hint(server, &key, token, hint).await, *expected, "{hint}");
        }
    }
    // Introspection does not use the refresh token up.
    server.refresh(&tokens.refresh).await.is(200);
}

/// A resource server introspects whatever its client presents as an access token, and some look only at `active`.
async fn refresh_token_is_active_only_if_asked_for(server: &TestServer) {
    let key = caller(server);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    for hint in ["", "access_token", "REFRESH_TOKEN", "refresh_token ", "unknown"] {
        let response = introspect_with_hint(server, &key, &tokens.refresh, hint).await;
        assert_eq!(response, json!({"active": false}), "{hint}");
    }
    assert_eq!(introspect_with_hint(server, &key, &tokens.refresh, "refresh_token").await["active"], true);
}

async fn invalid_tokens_are_inactive(server: &TestServer) {
    let key = caller(server);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let (access, refresh) = (tamper_signature(&tokens.access), tamper_signature(&tokens.refresh));
    for bad in ["", "x", "a.b.c", &access, &refresh, "sk_000000000000_00000000000000000000000000000000_000000"] {
        assert_eq!(introspect(server, &key, bad).await, json!({"active": false}), "{bad}");
        revoke(server, &key, bad).await;
    }
}

/// A caller must not believe that an API key, which can only be deactivated, was revoked.
async fn api_key_is_not_revoked_as_a_token(server: &TestServer) {
    let key = caller(server);
    let form = [("client_secret", key.as_str()), ("token", key.as_str())];
    server.form("/oauth/revoke", &form).await.is_oauth_error(400, "unsupported_token_type");
}

async fn rotated_refresh_token_is_inactive(server: &TestServer) {
    let key = caller(server);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let successor = server.refresh(&tokens.refresh).await.tokens();
    assert_eq!(introspect(server, &key, &successor.refresh).await["active"], true);
    assert_eq!(introspect(server, &key, &tokens.refresh).await["active"], false, "it was rotated");
}

async fn revoking_a_refresh_token_ends_its_session(server: &TestServer) {
    let key = caller(server);
    let user = server.create_user(&[]);
    let (tokens, other) = (server.sign_in(&user).await, server.sign_in(&user).await);
    server.verify(&tokens.access).await.is(200);
    revoke(server, &key, &tokens.refresh).await;
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    assert_eq!(introspect(server, &key, &tokens.refresh).await, json!({"active": false}));
    assert_eq!(introspect(server, &key, &tokens.access).await, json!({"active": false}));
    revoke(server, &key, &tokens.refresh).await;
    server.verify(&other.access).await.is(200);
    server.refresh(&other.refresh).await.is(200);
}

async fn revoking_an_access_token_keeps_its_session(server: &TestServer) {
    let key = caller(server);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    server.verify(&tokens.access).await.is(200);
    revoke(server, &key, &tokens.access).await;
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    let successor = server.refresh(&tokens.refresh).await.tokens();
    server.verify(&successor.access).await.is(200);
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
}

async fn callers_need_the_scope(server: &TestServer) {
    let user = server.create_user(&["--superuser"]);
    let tokens = server.sign_in(&user).await;
    let token = ("token", tokens.access.as_str());
    for (path, scope, other) in
        [("/oauth/introspect", "introspect", "revoke"), ("/oauth/revoke", "revoke", "introspect")]
    {
        server.form(path, &[token]).await.is_oauth_error(401, "invalid_client");
        server.form(path, &[token, ("client_secret", "x")]).await.is_oauth_error(401, "invalid_client");
        let (wrong, _) = server.api_key(&user, &[other, "admin"]);
        server.form(path, &[token, ("client_secret", &wrong)]).await.is_oauth_error(403, "unauthorized_client");
        let response = server.post(path).bearer_auth(&tokens.access).form(&[token]).send_checked().await;
        response.is_oauth_error(403, "unauthorized_client");
        let (right, _) = server.api_key(&user, &[scope]);
        server.form(path, &[("client_secret", &right)]).await.is_oauth_error(400, "invalid_request");
        server.form(path, &[("client_secret", &right), token, token]).await.is_oauth_error(400, "invalid_request");
        server.post(path).json(&json!({"token": "x"})).send_checked().await.is_oauth_error(415, "invalid_request");
        // A token issued for such a key has the same rights.
        let bearer = server.client_token(&right).await;
        server.post(path).bearer_auth(bearer).form(&[("token", "x")]).send_checked().await.is(200);
        server.post(path).header("x-api-key", &right).form(&[("token", "x")]).send_checked().await.is(200);
        server.post(path).basic_auth("gateway", Some(&right)).form(&[("token", "x")]).send_checked().await.is(200);
    }
}

/// Anyone can create an API key with these scopes.
async fn client_reaches_only_tokens_of_its_owner(server: &TestServer) {
    let (user, victim) = (server.create_user(&[]), server.create_user(&[]));
    let (key, _) = server.api_key(&user, &["introspect", "revoke"]);
    let client_token = server.client_token(&key).await;

    let tokens = server.sign_in(&victim).await;
    let (victim_key, _) = server.api_key(&victim, &["read"]);
    let victim_token = server.client_token(&victim_key).await;
    for token in [tokens.access.as_str(), &tokens.refresh, &victim_key, &victim_token] {
        for client in [&key, &client_token] {
            let form = [("token", token)];
            let response = server.post("/oauth/introspect").bearer_auth(client).form(&form).send_checked().await;
            assert_eq!(response.is(200).json(), json!({"active": false}));
            if token != victim_key {
                let response = server.post("/oauth/revoke").bearer_auth(client).form(&form).send_checked().await;
                response.is_oauth_error(403, "unauthorized_client");
            }
        }
    }
    for token in [tokens.access.as_str(), &victim_key, &victim_token] {
        server.verify(token).await.is(200);
    }
    let rotated = server.refresh(&tokens.refresh).await.is(200).tokens();
    // The response to a token that was rotated is the same as to the current one.
    for token in [&tokens.refresh, &rotated.refresh] {
        assert_eq!(introspect(server, &key, token).await, json!({"active": false}));
        let form = [("client_secret", key.as_str()), ("token", token)];
        server.form("/oauth/revoke", &form).await.is_oauth_error(403, "unauthorized_client");
    }

    let own = server.sign_in(&user).await;
    for token in [own.access.as_str(), &own.refresh, &key, &client_token] {
        assert_eq!(introspect(server, &key, token).await["active"], true);
    }
    revoke(server, &key, &client_token).await;
    revoke(server, &key, &own.refresh).await;
    assert_eq!(server.rejection_reason(&own.access).await, "revoked");
}

async fn demoted_owner_reaches_only_their_own_tokens(server: &TestServer) {
    let (root, superuser) = (server.create_user(&["--superuser"]), server.create_user(&["--superuser"]));
    let (key, _) = server.api_key(&superuser, &["introspect", "revoke"]);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    assert_eq!(introspect(server, &key, &tokens.refresh).await["active"], true);
    let demote = server.post(&format!("/auth/users/{}", superuser.id)).bearer_auth(server.sign_in(&root).await.access);
    demote.json(&json!({"is_superuser": false})).send_checked().await.is(200);
    assert_eq!(introspect(server, &key, &tokens.refresh).await, json!({"active": false}));
    let form = [("client_secret", key.as_str()), ("token", &tokens.refresh)];
    server.form("/oauth/revoke", &form).await.is_oauth_error(403, "unauthorized_client");
    server.refresh(&tokens.refresh).await.is(200);
}
