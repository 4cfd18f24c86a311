//! `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` at `/oauth/token` (RFC 8693).

use serde_json::{Value, json};

use super::audiences::plan;
use crate::support::forge::decode;
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores, tamper_signature};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const STOCK: &str = "https://stock.example.com/api";

over_both_stores!(plan;
    token_for_another_audience_belongs_to_the_same_session,
    scopes_only_become_fewer,
    each_client_is_named_up_to_a_bound,
    only_current_access_tokens_of_users_are_exchanged,
    client_reaches_only_tokens_of_its_owner,
    malformed_requests_are_refused);

/// The API key of a service that may exchange the tokens of all users.
fn gateway(server: &TestServer, scopes: &[&str]) -> String {
    let scopes = [&["tokens:exchange"], scopes].concat();
    server.api_key(&server.create_user(&["--superuser"]), &scopes).0
}

async fn exchange(server: &TestServer, key: &str, token: &str, more: &[(&str, &str)]) -> HttpResponse {
    let form =
        [("grant_type", GRANT), ("client_secret", key), ("subject_token", token), ("subject_token_type", ACCESS_TOKEN)];
    server.form("/oauth/token", &[&form[..], more].concat()).await
}

fn issued(response: &HttpResponse) -> String {
    response.is(200).json()["access_token"].as_str().unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    decode(token).1
}

async fn token_for_another_audience_belongs_to_the_same_session(server: &TestServer) {
    let key = gateway(server, &[]);
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    let response = exchange(server, &key, &tokens.access, &[("resource", "orders")]).await;
    let (body, token) = (response.json(), issued(&response));
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!((&body["issued_token_type"], &body["token_type"]), (&ACCESS_TOKEN.into(), &"Bearer".into()));
    let members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "issued_token_type", "token_type"], "no refresh token");
    let (subject, new) = (claims(&tokens.access), claims(&token));
    assert_eq!(new["aud"], "orders");
    assert_eq!(
        (&new["sub"], &new["sid"], &new["auth_time"]),
        (&subject["sub"], &subject["sid"], &subject["auth_time"])
    );
    assert_ne!(new["jti"], subject["jti"]);
    assert!(body["expires_in"].as_i64().unwrap() <= 300);
    let key_id = server.verify(&key).await.json()["claims"]["client_id"].clone();
    assert_eq!(new["act"], json!({"sub": key_id}));
    assert_eq!(new["email"], user.email);
    // It is still the token of a user, and is no better at Signet's own calls.
    let body = json!({"token": token, "aud": "orders", "subject": "user"});
    server.post("/verify").json(&body).send_checked().await.is(200);
    server.get("/sessions").bearer_auth(&token).send_checked().await.is_problem(401, "invalid_token");

    // No longer life than the subject token, also if the audience allows it: payments has a minute, stock 15.
    let short = issued(&exchange(server, &key, &tokens.access, &[("audience", "payments")]).await);
    let again = issued(&exchange(server, &key, &short, &[("resource", STOCK)]).await);
    let expiry = |token: &str| claims(token)["exp"].as_i64().unwrap();
    assert!(expiry(&again) <= expiry(&short));
    for kind in ["urn:ietf:params:oauth:token-type:jwt", ACCESS_TOKEN] {
        exchange(server, &key, &tokens.access, &[("resource", "orders"), ("requested_token_type", kind)]).await.is(200);
    }
    server.delete("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200);
    for token in [&token, &short, &again] {
        assert_eq!(server.rejection_reason(token).await, "revoked");
    }
}

async fn scopes_only_become_fewer(server: &TestServer) {
    let key = gateway(server, &["orders:read", "orders:write", "stock:read", "admin"]);
    let access = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let with = async |token: &str, resource: &str, scope: &str| {
        exchange(server, &key, token, &[("resource", resource), ("scope", scope)]).await
    };
    // Scopes do not limit the token of a user who signed in; a client hands out only scopes that it has itself.
    let response = with(&access, "orders", "orders:read orders:write").await;
    assert_eq!(response.is(200).json()["scope"], "orders:read orders:write");
    let both = issued(&response);
    assert_eq!(claims(&both)["scope"], "orders:read orders:write");
    for scope in ["stock:read", "orders:delete", "orders:read unknown"] {
        with(&access, "orders", scope).await.is_oauth_error(400, "invalid_scope");
    }
    for scope in ["unknown", "admin", "stock:read admin"] {
        with(&access, STOCK, scope).await.is_oauth_error(400, "invalid_scope");
    }
    let one = issued(&with(&both, "orders", "orders:read").await);
    assert_eq!(claims(&one)["scope"], "orders:read");
    with(&one, "orders", "orders:write").await.is_oauth_error(400, "invalid_scope");
    // Without `scope`, and with an empty one, they stay as they are; without `resource`, the audience does.
    for more in [&[][..], &[("scope", "")]] {
        let same = issued(&exchange(server, &key, &one, more).await);
        assert_eq!((&claims(&same)["scope"], &claims(&same)["aud"]), (&"orders:read".into(), &"orders".into()));
    }
    // A token with no scope left would be less limited.
    let stock = issued(&with(&access, STOCK, "stock:read").await);
    exchange(server, &key, &stock, &[("resource", "orders")]).await.is_oauth_error(400, "invalid_scope");
}

async fn each_client_is_named_up_to_a_bound(server: &TestServer) {
    let (one, other) = (gateway(server, &[]), gateway(server, &[]));
    let id = async |key: &str| server.verify(key).await.json()["claims"]["client_id"].clone();
    let (one_id, other_id) = (id(&one).await, id(&other).await);
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let first = issued(&exchange(server, &one, &access, &[("resource", "orders")]).await);
    let second = issued(&exchange(server, &other, &first, &[("resource", STOCK)]).await);
    assert_eq!(claims(&second)["act"], json!({"sub": other_id, "act": {"sub": one_id}}));
    let mut token = second;
    for _ in 3..=5 {
        token = issued(&exchange(server, &one, &token, &[("resource", "orders")]).await);
        server.verify(&token).await.is(200);
    }
    let response = exchange(server, &one, &token, &[("resource", "orders")]).await;
    assert!(response.is_oauth_error(400, "invalid_request").text.contains("too many clients"), "{response:?}");
}

async fn only_current_access_tokens_of_users_are_exchanged(server: &TestServer) {
    let key = gateway(server, &[]);
    let user = server.create_user(&[]);
    let (tokens, ended) = (server.sign_in(&user).await, server.sign_in(&user).await);
    server.delete(&format!("/sessions/{}", ended.session)).bearer_auth(&tokens.access).send_checked().await.is(204);
    let client_token = server.client_token(&key).await;
    let (users_key, _) = server.api_key(&user, &["read"]);
    let tampered = tamper_signature(&tokens.access);
    let action = server.post(&format!("/auth/login/magic/{}", user.email)).send_checked().await.is(200).json();
    assert!(action["claim"].is_string());
    let mail = crate::support::outbox::wait_for_mail(server, &user.email, 0).await.token();
    for refused in
        [&ended.access, &tokens.refresh, &client_token, &users_key, &key, &tampered, &mail, "garbage", "a.b.c"]
    {
        let response = exchange(server, &key, refused, &[("resource", "orders")]).await;
        response.is_oauth_error(400, "invalid_request");
    }
    // Not for Signet's own calls, in any form.
    for resource in ["signet", "unknown"] {
        let response = exchange(server, &key, &tokens.access, &[("resource", resource)]).await;
        response.is_oauth_error(400, "invalid_target");
    }
    exchange(server, &key, &tokens.access, &[]).await.is_oauth_error(400, "invalid_target");
    let orders = issued(&exchange(server, &key, &tokens.access, &[("resource", "orders")]).await);
    exchange(server, &key, &orders, &[("resource", "signet")]).await.is_oauth_error(400, "invalid_target");
    // A subject token that is revoked alone.
    let (revoker, _) = server.api_key(&user, &["revoke"]);
    server.form("/oauth/revoke", &[("client_secret", &revoker), ("token", &tokens.access)]).await.is(200);
    let response = exchange(server, &key, &tokens.access, &[("resource", "orders")]).await;
    response.is_oauth_error(400, "invalid_request");
}

/// The rule of introspection: anyone can create an API key with this scope.
async fn client_reaches_only_tokens_of_its_owner(server: &TestServer) {
    let (user, victim) = (server.create_user(&[]), server.create_user(&[]));
    let (key, _) = server.api_key(&user, &["tokens:exchange"]);
    let (own, other) = (server.sign_in(&user).await.access, server.sign_in(&victim).await.access);
    let orders = &[("resource", "orders")];
    exchange(server, &key, &own, orders).await.is(200);
    exchange(server, &key, &other, orders).await.is_oauth_error(403, "unauthorized_client");
    // A key without the scope, none at all, and the user's own token in its place.
    let (without, _) = server.api_key(&user, &["introspect"]);
    exchange(server, &without, &own, orders).await.is_oauth_error(403, "unauthorized_client");
    exchange(server, "", &own, orders).await.is_oauth_error(401, "invalid_client");
    let form = [("grant_type", GRANT), ("subject_token", &*own), ("subject_token_type", ACCESS_TOKEN)];
    let response = server.post("/oauth/token").bearer_auth(&own).form(&form).send_checked().await;
    response.is_oauth_error(403, "unauthorized_client");
    // A token issued from the key stands for it.
    let client_token = server.client_token(&key).await;
    let form = [&form[..], orders].concat();
    let response = server.post("/oauth/token").bearer_auth(&client_token).form(&form).send_checked().await;
    let key_id = server.verify(&key).await.json()["claims"]["client_id"].clone();
    assert_eq!(claims(&issued(&response))["act"], json!({"sub": key_id}));
}

async fn malformed_requests_are_refused(server: &TestServer) {
    let key = gateway(server, &[]);
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let send = async |form: &[(&str, &str)]| {
        let client = [("grant_type", GRANT), ("client_secret", key.as_str())];
        server.form("/oauth/token", &[&client, form].concat()).await
    };
    let (token, kind) = (("subject_token", access.as_str()), ("subject_token_type", ACCESS_TOKEN));
    let refresh_type = "urn:ietf:params:oauth:token-type:refresh_token";
    let orders = ("resource", "orders");
    for form in [
        &[kind, orders][..],
        &[token, orders],
        &[("subject_token", ""), kind, orders],
        &[token, ("subject_token_type", refresh_type), orders],
        &[token, kind, orders, ("requested_token_type", refresh_type)],
        &[token, kind, orders, ("actor_token", &access), ("actor_token_type", ACCESS_TOKEN)],
        &[token, kind, orders, ("actor_token_type", ACCESS_TOKEN)],
        &[token, token, kind, orders],
    ] {
        send(form).await.is_oauth_error(400, "invalid_request");
    }
    for form in [
        &[token, kind, orders, ("audience", STOCK)][..],
        &[token, kind, orders, ("resource", STOCK)],
        &[token, kind, ("audience", "orders"), ("audience", "orders")],
    ] {
        send(form).await.is_oauth_error(400, "invalid_target");
    }
    send(&[token, kind, orders, ("audience", "orders")]).await.is(200);
    let many = vec!["s"; 65].join(" ");
    send(&[token, kind, orders, ("scope", &many)]).await.is_oauth_error(400, "invalid_scope");
}
