//! Custom claims in access tokens: set by an administrator, listed by the settings.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::every_token::TokenSet;
use crate::support::forge::decode;
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};

const LISTED: &str = "plan,limits,team \"a\"";

over_both_stores!(|plan| plan.set("SIGNET_TOKENS__CLAIMS", LISTED);
    listed_claims_are_in_tokens, claims_change_with_the_next_refresh, unlisted_claims_stay_out,
    names_that_tokens_have_are_reserved);

async fn root(server: &TestServer) -> String {
    server.sign_in(&server.create_user(&["--superuser"])).await.access
}

async fn set(server: &TestServer, root: &str, user: &str, claims: Value) -> HttpResponse {
    let request = server.request(Method::PATCH, &format!("/admin/users/{user}")).bearer_auth(root);
    request.json(&json!({"claims": claims})).send_checked().await
}

async fn listed_claims_are_in_tokens(server: &TestServer) {
    let claims =
        json!({"team \"a\"": "é \u{0}", "plan": "pro", "limits": {"seats": 5, "regions": ["eu", null]}, "x": 1});
    let user = server.create_user(&["--claims", &claims.to_string()]);
    let tokens = server.sign_in(&user).await;
    let refreshed = server.refresh(&tokens.refresh).await.is(200).tokens();
    for access in [&tokens.access, &refreshed.access] {
        let (_, payload) = decode(access);
        let verified = server.verify(access).await.is(200).json()["claims"].clone();
        assert_eq!(verified, payload);
        for name in ["team \"a\"", "plan", "limits"] {
            assert_eq!(payload[name], claims[name], "{name}");
        }
        assert_eq!(
            (&payload["x"], &payload["sub"], &payload["email"]),
            (&Value::Null, &json!(user.id), &json!(user.email))
        );
    }
    let (key, _) = server.api_key(&server.create_user(&["--superuser"]), &["introspect"]);
    let fields = [("token", refreshed.access.as_str()), ("client_secret", &key)];
    assert_eq!(server.form("/oauth/introspect", &fields).await.is(200).json()["plan"], "pro");
    // A program acts for the user, but is not the user.
    let (key, _) = server.api_key(&user, &["read"]);
    let (_, payload) = decode(&server.client_token(&key).await);
    assert_eq!(payload["plan"], Value::Null);
}

async fn claims_change_with_the_next_refresh(server: &TestServer) {
    let (root, user) = (root(server).await, server.create_user(&[]));
    let mut tokens = server.sign_in(&user).await;
    let first = tokens.access.clone();
    for claims in [json!({"plan": "pro"}), json!({"limits": 1}), json!({"plan": "free"}), Value::Null, json!({})] {
        let body = set(server, &root, &user.id, claims.clone()).await.is(200).json();
        let expected = if claims.is_null() { json!({}) } else { claims.clone() };
        assert_eq!(body["claims"], expected);
        tokens = server.refresh(&tokens.refresh).await.is(200).tokens();
        for access in [&tokens.access, &server.sign_in(&user).await.access] {
            let (_, payload) = decode(access);
            assert_eq!((&payload["plan"], &payload["limits"]), (&claims["plan"], &claims["limits"]), "{claims}");
        }
    }
    server.verify(&first).await.is(200);
    // Changes of other fields keep them.
    set(server, &root, &user.id, json!({"plan": "pro"})).await.is(200);
    server.plan().json(&["users", "disable", &user.email], "");
    server.plan().json(&["users", "enable", &user.email], "");
    assert_eq!(decode(&server.sign_in(&user).await.access).1["plan"], "pro");
}

async fn unlisted_claims_stay_out(server: &TestServer) {
    let user = server.create_user(&["--claims", r#"{"internal":"x","Plan":"y"}"#]);
    let with_claims = decode(&server.sign_in(&user).await.access).1;
    let without = decode(&server.sign_in(&server.create_user(&[])).await.access).1;
    let names = |claims: &Value| claims.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&with_claims), names(&without));
}

/// Every claim that a token of any dialect carries, and every one that verification adds.
async fn names_that_tokens_have_are_reserved(server: &TestServer) {
    let set_of_tokens = TokenSet::make(server).await;
    let access_tokens = set_of_tokens.tokens.iter().filter(|token| token.kind.is_access());
    let names_of = |claims: &Value| claims.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut names: BTreeSet<String> = access_tokens.flat_map(|token| names_of(&decode(&token.text).1)).collect();
    let owner = server.create_user(&["--superuser", "--role", "editor", "--verified"]);
    let (key, _) = server.api_key(&owner, &["read", "introspect"]);
    let fields = [("token", key.as_str()), ("client_secret", &key)];
    for claims in [
        server.verify(&key).await.is(200).json()["claims"].clone(),
        server.form("/oauth/introspect", &fields).await.is(200).json(),
        decode(&server.sign_in(&owner).await.access).1,
    ] {
        names.extend(names_of(&claims));
    }
    for expected in ["sub", "scope", "client_id", "uid", "roles", "superuser", "project", "active"] {
        assert!(names.contains(expected), "{expected}: {names:?}");
    }
    names.extend(["act", "nbf", "azp", "cnf", "may_act", "totp"].map(str::to_owned));
    let (root, user) = (root(server).await, server.create_user(&[]));
    for name in names {
        let response = set(server, &root, &user.id, json!({"plan": "pro", name.as_str(): "x"})).await;
        response.is_problem(400, "invalid_fields");
        assert!(response.text.contains("reserved"), "{name}: {}", response.text);
    }
    assert_eq!(server.plan().json(&["users", "show", &user.email], "")["claims"], json!({}));
}
