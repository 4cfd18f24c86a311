//! API keys with reserved scopes end with the right that allowed them and with a change of the password.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::outbox::wait_for_mail;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};

over_both_stores!(
    |plan| plan;
    reserved_keys_end_with_the_owners_right,
    reserved_keys_end_with_a_password_change,
    reserved_keys_end_with_a_password_reset,
    reserved_keys_end_when_an_administrator_sets_the_password,
    owner_who_is_no_superuser_grants_no_reserved_scope,
    tokens_of_a_demoted_owner_allow_nothing,
);

const NEW_PASSWORD: &str = "a louder harbour at dawn";

/// A superuser's keys: one with each reserved scope, and one without.
struct Keys {
    reserved: [String; 3],
    plain: String,
    /// Tokens for which the reserved keys were exchanged.
    tokens: Vec<String>,
}

async fn keys(server: &TestServer, owner: &TestUser) -> Keys {
    let key = |scopes: &[&str]| server.api_key(owner, scopes).0;
    let reserved = [key(&["read", "admin"]), key(&["billing:write"]), key(&["feed:report"])];
    let mut keys = Keys { reserved, plain: key(&["read"]), tokens: Vec::new() };
    // Now this node has them in its cache.
    for key in keys.reserved.iter().chain([&keys.plain]) {
        server.verify(key).await.is(200);
    }
    for key in &keys.reserved {
        keys.tokens.push(server.client_token(key).await);
    }
    keys
}

async fn bill(server: &TestServer, credential: &str, user: &TestUser) -> u16 {
    let path = format!("/admin/users/{}/billing", user.id);
    let body = json!({"token_balance": 1});
    server.request(Method::PATCH, &path).bearer_auth(credential).json(&body).send_checked().await.status
}

async fn exchange(server: &TestServer, key: &str, scope: &str) -> crate::support::server::HttpResponse {
    server.form("/oauth/token", &[("grant_type", "client_credentials"), ("client_secret", key), ("scope", scope)]).await
}

/// Asserts that the reserved keys and their tokens are refused and the plain key is not.
async fn assert_ended(server: &TestServer, keys: &Keys) {
    for key in &keys.reserved {
        assert_eq!(server.rejection_reason(key).await, "unknown_api_key");
    }
    for token in &keys.tokens {
        assert_eq!(server.rejection_reason(token).await, "revoked");
    }
    server.verify(&keys.plain).await.is(200);
}

async fn update(server: &TestServer, admin: &str, user: &TestUser, body: Value) {
    let path = format!("/auth/users/{}", user.id);
    server.post(&path).bearer_auth(admin).json(&body).send_checked().await.is(200);
}

async fn admin(server: &TestServer) -> String {
    server.sign_in(&server.create_user(&["--superuser"])).await.access
}

async fn reserved_keys_end_with_the_owners_right(server: &TestServer) {
    let (admin, owner) = (admin(server).await, server.create_user(&["--superuser"]));
    let keys = keys(server, &owner).await;
    assert_eq!(
        [bill(server, &keys.reserved[0], &owner).await, bill(server, &keys.reserved[1], &owner).await],
        [200; 2]
    );
    update(server, &admin, &owner, json!({"is_superuser": false})).await;
    assert_ended(server, &keys).await;
    for key in &keys.reserved {
        assert_eq!(bill(server, key, &owner).await, 401);
        exchange(server, key, "read").await.is_oauth_error(401, "invalid_client");
    }
    // For good: whoever gets the right back creates new keys.
    update(server, &admin, &owner, json!({"is_superuser": true})).await;
    assert_ended(server, &keys).await;
}

async fn reserved_keys_end_with_a_password_change(server: &TestServer) {
    let owner = server.create_user(&["--superuser"]);
    let (access, keys) = (server.sign_in(&owner).await.access, keys(server, &owner).await);
    let body = json!({"password": NEW_PASSWORD, "original": PASSWORD});
    server.request(Method::PUT, "/auth/users/me").bearer_auth(&access).json(&body).send_checked().await.is(200);
    assert_ended(server, &keys).await;
}

async fn reserved_keys_end_with_a_password_reset(server: &TestServer) {
    let owner = server.create_user(&["--superuser", "--verified"]);
    let keys = keys(server, &owner).await;
    let recover = server.post(&format!("/auth/login/recover/{}", owner.email)).send_checked().await.is(200).json();
    let token = wait_for_mail(server, &owner.email, 0).await.token();
    let body = json!({"new_password": NEW_PASSWORD, "claim": recover["claim"]});
    server.post("/auth/login/reset").bearer_auth(&token).json(&body).send_checked().await.is(200);
    assert_ended(server, &keys).await;
}

async fn reserved_keys_end_when_an_administrator_sets_the_password(server: &TestServer) {
    let (admin, owner) = (admin(server).await, server.create_user(&["--superuser"]));
    let keys = keys(server, &owner).await;
    update(server, &admin, &owner, json!({"password": NEW_PASSWORD})).await;
    assert_ended(server, &keys).await;
}

/// Keys that the operator creates for others, and keys of an owner who was demoted by an older build.
async fn owner_who_is_no_superuser_grants_no_reserved_scope(server: &TestServer) {
    let (user, demoted) = (server.create_user(&["--role", "admin"]), server.create_user(&["--superuser"]));
    let key_of_demoted = server.api_key(&demoted, &["read", "billing:write", "feed:report", "admin"]).0;
    server.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", demoted.email)).await;
    for key in [key_of_demoted, server.api_key(&user, &["read", "billing:write", "feed:report", "admin"]).0] {
        assert_eq!(bill(server, &key, &user).await, 403);
        let claims = server.verify(&key).await.is(200).json()["claims"].clone();
        assert_eq!(claims["scope"], "read", "{claims}");
        for scope in ["billing:write", "feed:report", "admin"] {
            let body = json!({"token": key, "scope": scope});
            let response = server.post("/verify").json(&body).send_checked().await;
            assert_eq!(response.rejection_reason(), Some("insufficient_scope"), "{response:?}");
            exchange(server, &key, scope).await.is_oauth_error(400, "invalid_scope");
        }
        exchange(server, &key, "read").await.is(200);
    }
}

/// The row is asked whenever a reserved scope is granted or used: here nothing has told the node of the change.
async fn tokens_of_a_demoted_owner_allow_nothing(server: &TestServer) {
    let owner = server.create_user(&["--superuser"]);
    let keys = keys(server, &owner).await;
    let mut tokens = Vec::new();
    for (key, scope) in keys.reserved.iter().zip(["admin", "billing:write"]) {
        let token = exchange(server, key, scope).await.is(200).json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(bill(server, &token, &owner).await, 200);
        tokens.push(token);
    }
    server.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", owner.email)).await;
    for credential in tokens.iter().chain(&keys.reserved) {
        assert_eq!(bill(server, credential, &owner).await, 403);
    }
    for (key, scope) in keys.reserved.iter().zip(["admin", "billing:write"]) {
        exchange(server, key, scope).await.is_oauth_error(400, "invalid_scope");
    }
}
