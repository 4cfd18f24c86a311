//! Bounds on the number of fields, values, scopes and look-ups of one request. Each is applied while the request is
//! read, so that a request of many small parts costs no more than one of a few large parts.

use std::collections::HashSet;
use std::fmt::Write;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::metric;
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};
use signet::encoding::{crockford_base32, sha256};
use signet::rng::Rng;
use signet::token::api_key::NewApiKey;

over_both_stores!(|plan| plan;
    forms_and_queries_have_few_fields, json_bodies_have_few_values, errors_at_the_end_of_a_batch_are_all_reported,
    demanded_scopes_are_bounded, credential_that_is_repeated_is_verified_once, unknown_keys_are_looked_up_once,
    deactivated_key_is_looked_up_once, key_works_at_once_beside_remembered_unknown_keys,
    key_of_an_owner_who_is_enabled_again_works_at_once);

const FORMS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

async fn send_form(server: &TestServer, path: &str, body: String) -> HttpResponse {
    server.post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body).send_checked().await
}

async fn send_json(server: &TestServer, path: &str, body: String) -> HttpResponse {
    server.post(path).header(CONTENT_TYPE, "application/json").body(body).send_checked().await
}

fn names(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, name| {
        write!(text, "{name:x}&").unwrap();
        text
    })
}

async fn forms_and_queries_have_few_fields(server: &TestServer) {
    for path in FORMS {
        // As many names as fit into a body.
        let response = send_form(server, path, names(13_000)).await;
        assert!(response.is_oauth_error(400, "invalid_request").text.contains("64 fields"), "{response:?}");
        let response = send_form(server, path, names(65)).await;
        assert!(response.is_oauth_error(400, "invalid_request").text.contains("64 fields"), "{response:?}");
        let repeated = names(63) + "0";
        let response = send_form(server, path, repeated).await;
        assert!(response.is_oauth_error(400, "invalid_request").text.contains("more than once"), "{response:?}");
        let response = send_form(server, path, names(64)).await;
        assert!(!response.text.contains("64 fields") && !response.text.contains("more than once"), "{response:?}");
    }
    for path in ["/api/auth/login", "/auth/login/oauth"] {
        send_form(server, path, names(65)).await.is(422);
        let part = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
        let multipart = server.post(path).header(CONTENT_TYPE, "multipart/form-data; boundary=x");
        let response = multipart.body(part.repeat(65) + "--x--").send_checked().await;
        assert!(response.is(422).text.contains("json_invalid"), "{response:?}");
    }
    let response = server.get(&format!("/verify?{}", names(65))).send_checked().await;
    assert!(response.is_problem(400, "invalid_fields").text.contains("64 parameters"), "{response:?}");
    server.get(&format!("/verify?{}", names(64))).send_checked().await.is_problem(401, "missing_credentials");
}

async fn json_bodies_have_few_values(server: &TestServer) {
    let list = |items: usize| json!({"token": "x", "unknown": vec![1; items]}).to_string();
    send_json(server, "/verify", list(4000)).await.is(401);
    send_json(server, "/verify", list(5000)).await.is_problem(400, "malformed_body");
    let maps = format!(r#"{{"tokens":[{}{{}}]}}"#, r#"{"":{}},"#.repeat(190_000));
    send_json(server, "/verify/batch", maps).await.is_problem(400, "malformed_body");
    let long = |length: usize| json!({"tokens": [], "unknown": "x".repeat(length)}).to_string();
    send_json(server, "/verify/batch", long(128 << 10)).await.is(200);
    send_json(server, "/verify/batch", long((128 << 10) + 1)).await.is_problem(400, "malformed_body");
    let deep = |levels: usize| format!(r#"{{"token":"x","unknown":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    send_json(server, "/verify", deep(31)).await.is(401);
    send_json(server, "/verify", deep(32)).await.is_problem(400, "malformed_body");
    // The published dialects word it in their own way.
    send_json(server, "/auth/verification/send-code", list(5000)).await.is(422);
    // Commas and brackets in a text do not count.
    let text = json!({"token": ",[{".repeat(15_000)}).to_string();
    send_json(server, "/verify", text).await.is(401);
}

async fn errors_at_the_end_of_a_batch_are_all_reported(server: &TestServer) {
    let long = "x".repeat(2000);
    let mut tokens: Vec<Value> = vec![long.into(); 993];
    tokens.extend(vec![json!(7); 31]);
    let response = send_json(server, "/verify/batch", json!({ "tokens": tokens }).to_string()).await;
    let errors = response.is_problem(400, "invalid_fields").json()["errors"].clone();
    let details: Vec<&str> = errors.as_array().unwrap().iter().map(|error| error["detail"].as_str().unwrap()).collect();
    let expected: Vec<String> = (993..1024).map(|at| format!("body.tokens[{at}] must be a string")).collect();
    assert_eq!(details, expected);
}

async fn demanded_scopes_are_bounded(server: &TestServer) {
    let user = server.create_user(&[]);
    let scopes: Vec<String> = (0..64).map(|number| format!("scope:{number}")).collect();
    let (key, _) = server.api_key(&user, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let all = scopes.join(" ");
    let too_many = format!("{all} scope:0");
    let too_long = "x".repeat(8193);
    send_json(server, "/verify", json!({"token": key, "scope": all}).to_string()).await.is(200);
    for (scope, reason) in [(&too_many, "more than 64 scopes"), (&too_long, "longer than 8192 bytes")] {
        for path in ["/verify", "/verify/batch"] {
            let body = json!({"token": key, "tokens": [key], "scope": scope}).to_string();
            let response = send_json(server, path, body).await;
            assert!(response.is_problem(400, "invalid_fields").text.contains(reason), "{response:?}");
        }
        let response =
            server.get(&format!("/verify?scope={}", scope.replace(' ', "+"))).bearer_auth(&key).send_checked().await;
        assert!(response.is_problem(400, "invalid_fields").text.contains(reason), "{response:?}");
        let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("scope", scope)];
        server.form("/oauth/token", &fields).await.is_oauth_error(400, "invalid_scope");
    }
}

async fn lookups(server: &TestServer, result: &str) -> u64 {
    server.metric(&format!("signet_api_key_cache_lookups_total{{result=\"{result}\"}}")).await
}

async fn queries(server: &TestServer) -> u64 {
    let series = r#"signet_store_duration_seconds_count{store="accounts",operation="api_keys_by_prefix"}"#;
    // It appears with the first query.
    let page = server.get_management("/metrics").await.text;
    if page.contains(series) { metric(&page, series) } else { 0 }
}

async fn batch(server: &TestServer, tokens: &[String]) -> Vec<Value> {
    let response = send_json(server, "/verify/batch", json!({ "tokens": tokens }).to_string()).await;
    response.is(200).json()["results"].as_array().unwrap().clone()
}

fn unknown_keys(count: usize) -> Vec<String> {
    let rng = Rng::system();
    (0..count).map(|_| NewApiKey::generate(&rng).reveal().to_owned()).collect()
}

/// The key with another prefix and the checksum for it.
fn with_prefix(key: &str, prefix: &str) -> String {
    let (body, _) = key.rsplit_once('_').unwrap();
    let body = format!("{prefix}{}", &body[prefix.len()..]);
    let checksum: String = crockford_base32(&sha256(body.as_bytes())[..6]).collect();
    format!("{body}_{checksum}")
}

async fn credential_that_is_repeated_is_verified_once(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &["read"]);
    let token = server.sign_in(&user).await.access;
    let before = (lookups(server, "miss").await, lookups(server, "hit").await);
    let verifications = server.metric("signet_verify_cache_lookups_total{result=\"miss\"}").await;
    let tokens: Vec<String> = (0..1024).map(|at| [&key, &token][at % 2].clone()).collect();
    let results = batch(server, &tokens).await;
    assert!(results.len() == 1024 && results.iter().all(|result| result["active"] == true));
    assert_eq!(results[0]["claims"]["scope"], "read");
    assert_eq!(results.iter().map(Value::to_string).collect::<HashSet<_>>().len(), 2);
    assert_eq!((lookups(server, "miss").await, lookups(server, "hit").await), (before.0 + 1, before.1));
    let series = "signet_verify_cache_lookups_total{result=\"miss\"}";
    assert_eq!(server.metric(series).await, verifications + 1);
}

async fn unknown_keys_are_looked_up_once(server: &TestServer) {
    let keys = unknown_keys(1024);
    let before = queries(server).await;
    for _ in 0..3 {
        assert!(batch(server, &keys).await.iter().all(|result| result["reason"] == "unknown_api_key"));
    }
    assert_eq!(queries(server).await, before + 1, "one query for the first batch and none for the others");
    // The other calls remember it too, and so does a batch what they looked up.
    assert_eq!(server.rejection_reason(&keys[7]).await, "unknown_api_key");
    assert_eq!(queries(server).await, before + 1);
    let other = unknown_keys(1);
    assert_eq!(server.rejection_reason(&other[0]).await, "unknown_api_key");
    batch(server, &other).await;
    assert_eq!(queries(server).await, before + 2);
}

/// Over HTTP/2 repeating it takes thirteen bytes.
async fn deactivated_key_is_looked_up_once(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let keys = "/projects/personal/api-keys";
    let request = server.post(keys).bearer_auth(&access).json(&json!({"name": "a key"}));
    let created = request.send_checked().await.is(201).json();
    let (key, id) = (created["key"].as_str().unwrap(), created["id"].as_str().unwrap());
    server.delete(&format!("{keys}/{id}")).bearer_auth(&access).send_checked().await.is(204);
    let before = queries(server).await;
    for _ in 0..3 {
        assert_eq!(server.rejection_reason(key).await, "unknown_api_key");
    }
    assert_eq!(queries(server).await, before + 1);
}

async fn key_works_at_once_beside_remembered_unknown_keys(server: &TestServer) {
    let user = server.create_user(&[]);
    batch(server, &unknown_keys(100)).await;
    let (key, prefix) = server.api_key(&user, &[]);
    server.verify(&key).await.is(200);
    // Another key with the same prefix is remembered by itself.
    let other = with_prefix(&unknown_keys(1)[0], &prefix);
    let before = queries(server).await;
    assert_eq!(server.rejection_reason(&other).await, "unknown_api_key");
    assert_eq!(queries(server).await, before + 1, "it is well-formed");
    server.verify(&key).await.is(200);
    let (key, _) = server.api_key(&user, &[]);
    assert_eq!(batch(server, &[other, key]).await[1]["active"], true);
}

async fn key_of_an_owner_who_is_enabled_again_works_at_once(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &[]);
    server.plan().json(&["users", "disable", &user.email], "");
    crate::support::until("the key of a disabled owner is refused", async || {
        server.rejection_reason(&key).await == "unknown_api_key"
    })
    .await;
    server.plan().json(&["users", "enable", &user.email], "");
    server.verify(&key).await.is(200);
}
