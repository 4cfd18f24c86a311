//! `/oauth/token` for services: an API key in, a short-lived token out; and how a client says who it is.

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::until;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

over_both_stores!(|plan| plan;
    a_key_is_exchanged, a_client_says_who_it_is, a_client_that_is_nobody_is_refused, a_token_ends_with_its_key,
    requests_that_will_not_do);

async fn a_key_is_exchanged(server: &TestServer) {
    let owner = server.person(&[]);
    let (key, _) = server.api_key(&owner, &["read", "write"]);
    let answer = server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let body = answer.json();
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

    // A key without scopes gives a token without.
    let (bare, _) = server.api_key(&owner, &[]);
    let body = server.form("/oauth/token", &[GRANT, ("client_secret", &bare)]).await.is(200).json();
    let claims = server.verify(body["access_token"].as_str().unwrap()).await.json()["claims"].clone();
    assert_eq!(claims["scope"], Value::Null);
}

async fn a_client_says_who_it_is(server: &TestServer) {
    let (key, _) = server.api_key(&server.person(&[]), &["read"]);
    let ask = || server.post("/oauth/token");
    let form = [GRANT];
    ask().basic_auth("any name", Some(&key)).form(&form).send_checked().await.is(200);
    ask().basic_auth("", Some(&key)).form(&form).send_checked().await.is(200);
    ask().header("x-api-key", &key).form(&form).send_checked().await.is(200);
    ask().bearer_auth(&key).form(&form).send_checked().await.is(200);
    ask().form(&[GRANT, ("client_id", "any name"), ("client_secret", &key)]).send_checked().await.is(200);
    let parts = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
    let body = parts
        .map(|(name, value)| format!("--limit\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    let multipart = ask().header("content-type", "multipart/form-data; boundary=limit");
    multipart.body(format!("{}--limit--\r\n", body.concat())).send_checked().await.is(200);
}

async fn a_client_that_is_nobody_is_refused(server: &TestServer) {
    let person = server.person(&[]);
    let (key, _) = server.api_key(&person, &["read"]);
    let access = server.sign_in(&person).await.access;
    let other = if key.as_bytes()[20] == b'0' { '1' } else { '0' };
    let changed = format!("{}{other}{}", &key[..20], &key[21..]);
    let unknown = "sk_000000000000_00000000000000000000000000000000_000000";
    for wrong in ["", "x", unknown, &changed, &access] {
        let answer = server.form("/oauth/token", &[GRANT, ("client_secret", wrong)]).await;
        answer.is_oauth_error(401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"signet\"");
        let answer = server.post("/oauth/token").basic_auth("x", Some(wrong)).form(&[GRANT]).send_checked().await;
        answer.is_oauth_error(401, "invalid_client");
    }
    server.form("/oauth/token", &[GRANT]).await.is_oauth_error(401, "invalid_client");
    for header in ["Basic", "Basic ", "Basic !!!", "Basic eA==", "Bearer", "Digest x"] {
        let answer = server.post("/oauth/token").header("authorization", header).form(&[GRANT]).send_checked().await;
        answer.is_oauth_error(401, "invalid_client");
    }
}

async fn a_token_ends_with_its_key(server: &TestServer) {
    let owner = server.person(&[]);
    let make = async || {
        let (key, prefix) = server.api_key(&owner, &["read"]);
        let body = server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await.is(200).json();
        let token = body["access_token"].as_str().unwrap().to_owned();
        assert_eq!(server.reason(&token).await, "");
        (key, prefix, token)
    };
    let (key, prefix, token) = make().await;
    let (other_key, _, other) = make().await;
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    until("its token is refused", async || server.reason(&token).await == "revoked").await;
    server.form("/oauth/token", &[GRANT, ("client_secret", &key)]).await.is_oauth_error(401, "invalid_client");
    assert_eq!(server.reason(&other).await, "", "another key's goes on");

    server.plan().json(&["users", "disable", &owner.email], "");
    until("a disabled owner's token is refused", async || server.reason(&other).await == "revoked").await;
    assert_eq!(server.reason(&other_key).await, "unknown_api_key");
    server.form("/oauth/token", &[GRANT, ("client_secret", &other_key)]).await.is_oauth_error(401, "invalid_client");
}

async fn requests_that_will_not_do(server: &TestServer) {
    let (key, _) = server.api_key(&server.person(&[]), &[]);
    let secret = ("client_secret", key.as_str());
    let refused = async |fields: &[(&str, &str)], code: &str| {
        server.form("/oauth/token", fields).await.is_oauth_error(400, code);
    };
    refused(&[], "invalid_request").await;
    refused(&[secret], "invalid_request").await;
    refused(&[("grant_type", ""), secret], "unsupported_grant_type").await;
    refused(&[("grant_type", "password"), secret], "unsupported_grant_type").await;
    refused(&[("grant_type", "authorization_code"), secret], "unsupported_grant_type").await;
    refused(&[("grant_type", "refresh_token")], "invalid_request").await;
    refused(&[GRANT, GRANT, secret], "invalid_request").await;
    refused(&[GRANT, secret, secret], "invalid_request").await;
    refused(&[GRANT, secret, ("unknown", "1"), ("unknown", "2")], "invalid_request").await;
    let json = server.post("/oauth/token").json(&json!({"grant_type": "client_credentials"})).send_checked().await;
    json.is_oauth_error(415, "invalid_request");
    let not_utf8 = server.post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
    not_utf8.body("grant_type=%ff").send_checked().await.is_oauth_error(400, "invalid_request");
    server.get("/oauth/token").send_checked().await.is_oauth_error(405, "invalid_request");
    server.post("/oauth/nothing").send_checked().await.is_oauth_error(404, "invalid_request");
    let large = server.form("/oauth/token", &[GRANT, ("client_secret", &"x".repeat(70_000))]).await;
    large.is_oauth_error(413, "invalid_request");
}
