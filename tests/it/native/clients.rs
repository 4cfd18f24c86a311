//! `/oauth/token` for services: exchanges an API key for a short-lived token. All ways of client authentication.

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::until;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

over_both_stores!(|plan| plan;
    api_key_is_exchanged_for_a_token, client_authenticates_in_any_documented_way, unknown_client_is_refused,
    token_ends_with_its_key, token_ends_with_its_owner, invalid_requests_are_rejected);

async fn api_key_is_exchanged_for_a_token(server: &TestServer) {
    let owner = server.create_user(&[]);
    let (key, _) = server.api_key(&owner, &["read", "write"]);
    let response = server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let body = response.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &900.into()));
    assert_eq!(body["scope"], "read write");
    assert_eq!(body["refresh_token"], Value::Null, "RFC 6749, 4.4.3");
    let claims = server.verify(body["access_token"].as_str().unwrap()).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["scope"]), (&owner.id.as_str().into(), &"read write".into()));
    assert!(claims["client_id"].is_string() && claims["sid"].is_null());

    let fewer = server.form("/oauth/token", &[GRANT, ("client_secret", &key), ("scope", "write")]).await;
    assert_eq!(fewer.is(200).json()["scope"], "write");
    let more = [GRANT, ("client_secret", &key), ("scope", "read admin")];
    server.form("/oauth/token", &more).await.is_oauth_error(400, "invalid_scope");

    // Empty parameters count as omitted (RFC 6749, 3.2).
    let empty = [GRANT, ("client_secret", ""), ("scope", "")];
    let by_header = server.post("/oauth/token").header("x-api-key", &key).form(&empty).send_checked().await;
    assert_eq!(by_header.is(200).json()["scope"], "read write");

    // A key without scopes gives a token without scopes.
    let (unscoped, _) = server.api_key(&owner, &[]);
    let body = server.form("/oauth/token", &[GRANT, ("client_secret", &unscoped)]).await.is(200).json();
    let claims = server.verify(body["access_token"].as_str().unwrap()).await.json()["claims"].clone();
    assert_eq!(claims["scope"], Value::Null);
}

async fn client_authenticates_in_any_documented_way(server: &TestServer) {
    let (key, _) = server.api_key(&server.create_user(&[]), &["read"]);
    let post = || server.post("/oauth/token");
    let form = [GRANT];
    post().basic_auth("any name", Some(&key)).form(&form).send_checked().await.is(200);
    post().basic_auth("", Some(&key)).form(&form).send_checked().await.is(200);
    // Form-encoded first, as RFC 6749, 2.3.1 says and strict clients do.
    let encoded: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    post().basic_auth("a+name%3A%25", Some(&encoded)).form(&form).send_checked().await.is(200);
    post().basic_auth("a+name", Some(key.replace('_', "%5F"))).form(&form).send_checked().await.is(200);
    post().header("x-api-key", &key).form(&form).send_checked().await.is(200);
    post().bearer_auth(&key).form(&form).send_checked().await.is(200);
    post().form(&[GRANT, ("client_id", "any name"), ("client_secret", &key)]).send_checked().await.is(200);
    let parts = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
    let body = parts
        .map(|(name, value)| format!("--limit\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    let multipart = post().header("content-type", "multipart/form-data; boundary=limit");
    multipart.body(format!("{}--limit--\r\n", body.concat())).send_checked().await.is(200);
}

async fn unknown_client_is_refused(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &["read"]);
    let access = server.sign_in(&user).await.access;
    let other = if key.as_bytes()[20] == b'0' { '1' } else { '0' };
    let changed = format!("{}{other}{}", &key[..20], &key[21..]);
    let unknown = "sk_000000000000_00000000000000000000000000000000_000000";
    for wrong in ["", "x", unknown, &changed, &access] {
        let response = server.form("/oauth/token", &[GRANT, ("client_secret", wrong)]).await;
        response.is_oauth_error(401, "invalid_client");
        assert_eq!(response.header("www-authenticate"), "Basic realm=\"signet\"");
        let response = server.post("/oauth/token").basic_auth("x", Some(wrong)).form(&[GRANT]).send_checked().await;
        response.is_oauth_error(401, "invalid_client");
    }
    server.form("/oauth/token", &[GRANT]).await.is_oauth_error(401, "invalid_client");
    for header in ["Basic", "Basic ", "Basic !!!", "Basic eA==", "Bearer", "Digest x"] {
        let response = server.post("/oauth/token").header("authorization", header).form(&[GRANT]).send_checked().await;
        response.is_oauth_error(401, "invalid_client");
    }
}

/// Creates an API key and exchanges it: the key, its prefix and the token.
async fn exchange_new_key(server: &TestServer, owner: &TestUser) -> (String, String, String) {
    let (key, prefix) = server.api_key(owner, &["read"]);
    let body = server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await.is(200).json();
    let token = body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.rejection_reason(&token).await, "");
    (key, prefix, token)
}

async fn token_ends_with_its_key(server: &TestServer) {
    let owner = server.create_user(&[]);
    let (key, prefix, token) = exchange_new_key(server, &owner).await;
    let (_, _, other) = exchange_new_key(server, &owner).await;
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    until("the token of a deactivated key is refused", async || server.rejection_reason(&token).await == "revoked")
        .await;
    server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await.is_oauth_error(401, "invalid_client");
    assert_eq!(server.rejection_reason(&other).await, "", "the token of another key stays valid");
}

async fn token_ends_with_its_owner(server: &TestServer) {
    let owner = server.create_user(&[]);
    let (key, _, token) = exchange_new_key(server, &owner).await;
    server.plan().json(&["users", "disable", &owner.email], "");
    until("a disabled owner's token is refused", async || server.rejection_reason(&token).await == "revoked").await;
    assert_eq!(server.rejection_reason(&key).await, "unknown_api_key");
    server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await.is_oauth_error(401, "invalid_client");
}

async fn invalid_requests_are_rejected(server: &TestServer) {
    let (key, _) = server.api_key(&server.create_user(&[]), &[]);
    let secret = ("client_secret", key.as_str());
    let assert_rejected = async |fields: &[(&str, &str)], code: &str| {
        server.form("/oauth/token", fields).await.is_oauth_error(400, code);
    };
    assert_rejected(&[], "invalid_request").await;
    assert_rejected(&[secret], "invalid_request").await;
    assert_rejected(&[("grant_type", ""), secret], "unsupported_grant_type").await;
    assert_rejected(&[("grant_type", "password"), secret], "unsupported_grant_type").await;
    assert_rejected(&[("grant_type", "authorization_code"), secret], "unsupported_grant_type").await;
    assert_rejected(&[("grant_type", "refresh_token")], "invalid_request").await;
    assert_rejected(&[GRANT, GRANT, secret], "invalid_request").await;
    assert_rejected(&[GRANT, secret, secret], "invalid_request").await;
    assert_rejected(&[GRANT, secret, ("unknown", "1"), ("unknown", "2")], "invalid_request").await;
    let json = server.post("/oauth/token").json(&json!({"grant_type": "client_credentials"})).send_checked().await;
    json.is_oauth_error(415, "invalid_request");
    let not_utf8 = server.post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
    not_utf8.body("grant_type=%ff").send_checked().await.is_oauth_error(400, "invalid_request");
    server.get("/oauth/token").send_checked().await.is_oauth_error(405, "invalid_request");
    server.post("/oauth/nothing").send_checked().await.is_oauth_error(404, "invalid_request");
    let large = server.form("/oauth/token", &[GRANT, ("client_secret", &"x".repeat(70_000))]).await;
    large.is_oauth_error(413, "invalid_request");
}
