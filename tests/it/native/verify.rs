//! `/verify` in its three forms: for services, for proxies, for many at once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};
use signet::auth::api_keys::NewKey;
use signet::rng::Rng;

over_both_stores!(|plan| plan;
    a_service_asks, garbage_is_told_why, what_is_demanded_is_checked, a_proxy_asks, api_keys_are_credentials_too,
    a_batch_keeps_its_order, a_batch_has_bounds, bodies_that_will_not_do);

async fn a_service_asks(server: &TestServer) {
    let person = server.person(&["--verified", "--role", "editor"]);
    let tokens = server.sign_in(&person).await;
    // Twice: the second time from memory.
    for _ in 0..2 {
        let answer = server.verify(&tokens.access).await;
        assert_eq!(answer.is(200).header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body["active"], true);
        let claims = &body["claims"];
        assert_eq!(claims["sub"], person.id);
        assert_eq!(claims["sid"], tokens.session);
        assert_eq!((&claims["iss"], &claims["aud"]), (&"http://127.0.0.1:0".into(), &"signet".into()));
        assert_eq!((&claims["email"], &claims["email_verified"]), (&person.email.as_str().into(), &true.into()));
        assert_eq!(claims["preferred_username"], person.username);
        assert_eq!(claims["roles"], json!(["editor"]));
        assert_eq!(claims["superuser"], Value::Null);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
        assert!(claims["jti"].is_string());
    }
}

async fn garbage_is_told_why(server: &TestServer) {
    let refresh = server.sign_in(&server.person(&[])).await.refresh;
    for garbage in
        ["", " ", "x", "a.b.c", "..", "sk", &refresh, &"a.".repeat(100), &"a".repeat(20_000), "\u{0}", "é.é.é"]
    {
        let answer = server.verify(garbage).await;
        assert_eq!(answer.is(401).json(), json!({"active": false, "reason": "malformed"}), "{garbage:?}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for key in ["sk_", "sk_000000000000_00000000000000000000000000000000_000000"] {
        assert_eq!(server.reason(key).await, "unknown_api_key");
    }
}

async fn what_is_demanded_is_checked(server: &TestServer) {
    let person = server.person(&[]);
    let token = server.sign_in(&person).await.access;
    let (key, _) = server.api_key(&person, &["read", "write"]);
    let ask = async |body: Value| server.post("/verify").json(&body).send_checked().await;
    ask(json!({"token": token, "aud": "signet"})).await.is(200);
    ask(json!({"token": token, "aud": null, "scope": null, "unknown": 1})).await.is(200);
    for (body, reason) in [
        (json!({"token": token, "aud": "other"}), "wrong_audience"),
        (json!({"token": token, "aud": ""}), "wrong_audience"),
        (json!({"token": token, "scope": "read"}), "insufficient_scope"),
        (json!({"token": key, "scope": "admin"}), "insufficient_scope"),
        (json!({"token": key, "scope": "read admin"}), "insufficient_scope"),
        (json!({"token": key, "scope": "rea"}), "insufficient_scope"),
    ] {
        assert_eq!(ask(body.clone()).await.is(401).json()["reason"], reason, "{body}");
    }
    ask(json!({"token": key, "scope": "write  read"})).await.is(200);

    // A token made from the key has what was asked for of its scopes.
    let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("scope", "read")];
    let made = server.form("/oauth/token", &fields).await.is(200).json();
    let made = made["access_token"].as_str().unwrap();
    ask(json!({"token": made, "scope": "read", "aud": "signet"})).await.is(200);
    assert_eq!(ask(json!({"token": made, "scope": "write"})).await.is(401).json()["reason"], "insufficient_scope");
}

async fn a_proxy_asks(server: &TestServer) {
    let person = server.person(&[]);
    let tokens = server.sign_in(&person).await;
    for method in [Method::GET, Method::HEAD] {
        let answer = server.request(method.clone(), "/verify").bearer_auth(&tokens.access).send_checked().await;
        assert_eq!(answer.is(200).header("x-auth-subject"), person.id);
        assert_eq!(answer.header("x-auth-email"), person.email);
        assert_eq!((answer.header("x-auth-scopes"), answer.header("x-auth-session")), ("", tokens.session.as_str()));
        assert_eq!(answer.text.is_empty(), method == Method::HEAD);
        let answer =
            server.request(method.clone(), "/verify?aud=other").bearer_auth(&tokens.access).send_checked().await;
        assert!(answer.is(401).header("x-auth-subject").is_empty());
        server.request(method.clone(), "/verify?aud=signet").bearer_auth(&tokens.access).send_checked().await.is(200);
        server.request(method.clone(), "/verify?scope=read").bearer_auth(&tokens.access).send_checked().await.is(401);
        let answer = server.request(method.clone(), "/verify").bearer_auth("a.b.c").send_checked().await;
        assert_eq!(answer.is(401).header("www-authenticate"), r#"Bearer error="invalid_token""#);
        let answer = server.request(method.clone(), "/verify").send_checked().await;
        assert_eq!(answer.is(401).header("www-authenticate"), "Bearer");
        server.request(method, "/verify").basic_auth("somebody", Some("something")).send_checked().await.is(401);
    }
    server.get("/verify").send_checked().await.is_problem(401, "no-credentials");
}

async fn api_keys_are_credentials_too(server: &TestServer) {
    let person = server.person(&[]);
    let (key, prefix) = server.api_key(&person, &["read", "write"]);
    let claims = server.verify(&key).await.is(200).json()["claims"].clone();
    assert_eq!(claims["sub"], person.id);
    assert_eq!((&claims["token_type"], &claims["scope"]), (&"api_key".into(), &"read write".into()));
    for header in [("x-api-key", key.clone()), ("authorization", format!("bEaReR {key}"))] {
        let answer = server.get("/verify?scope=read").header(header.0, header.1).send_checked().await;
        assert_eq!(answer.is(200).header("x-auth-scopes"), "read write");
        assert_eq!((answer.header("x-auth-subject"), answer.header("x-auth-session")), (person.id.as_str(), ""));
    }
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    crate::support::until("a deactivated key is refused", async || server.reason(&key).await == "unknown_api_key")
        .await;
}

async fn a_batch_keeps_its_order(server: &TestServer) {
    let person = server.person(&[]);
    let token = server.sign_in(&person).await.access;
    let (key, _) = server.api_key(&person, &["read"]);
    let unknown = NewKey::draw(&Rng::system());
    let kinds = [token.as_str(), "garbage", key.as_str(), unknown.reveal()];
    let mut alone = Vec::new();
    for kind in kinds {
        alone.push(server.verify(kind).await.json());
    }
    let tokens = (0..1024).map(|at| kinds[at % 7 % 4]).collect::<Vec<_>>();
    let batch = async |body: &Value| server.post("/verify/batch").json(body).send_checked().await;
    let answer = batch(&json!({"tokens": tokens})).await;
    let body = answer.is(200).json();
    let results = body["results"].as_array().unwrap();
    assert_eq!(results.len(), 1024);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(*result, alone[at % 7 % 4], "as /verify answers, in place {at}");
    }
    let body = batch(&json!({"tokens": [token, key], "scope": "read"})).await.is(200).json();
    let active =
        |body: &Value| body["results"].as_array().unwrap().iter().map(|it| it["active"] == true).collect::<Vec<_>>();
    assert_eq!(active(&body), [false, true]);
    let body = batch(&json!({"tokens": [token, key, "x"], "aud": "other"})).await.is(200).json();
    assert_eq!(active(&body), [false, true, false], "an API key is meant for whoever asks");
    assert_eq!(batch(&json!({"tokens": []})).await.is(200).json(), json!({"results": []}));
}

async fn a_batch_has_bounds(server: &TestServer) {
    let batch =
        async |tokens: Vec<String>| server.post("/verify/batch").json(&json!({"tokens": tokens})).send_checked().await;
    let answer = batch(vec!["x".to_owned(); 1025]).await;
    assert!(answer.is_problem(400, "fields").text.contains("1024"), "{answer:?}");
    // As many as there may be, each as long as a token gets.
    let answer = batch(vec!["x".repeat(1500); 1024]).await;
    assert_eq!(answer.is(200).json()["results"].as_array().unwrap().len(), 1024);
    batch(vec!["x".repeat(4000); 1024]).await.is_problem(413, "too-large");
}

async fn bodies_that_will_not_do(server: &TestServer) {
    for path in ["/verify", "/verify/batch"] {
        server.post(path).json(&json!({})).send_checked().await.is_problem(400, "fields");
        server.post(path).json(&json!({"token": 7, "tokens": 7})).send_checked().await.is_problem(400, "fields");
        server
            .post(path)
            .header("content-type", "application/json")
            .body("{")
            .send_checked()
            .await
            .is_problem(400, "unreadable");
        server.post(path).body("token=x").send_checked().await.is_problem(415, "unsupported-media-type");
    }
    let large: HttpResponse = server.verify(&"x".repeat(70_000)).await;
    large.is_problem(413, "too-large");
}
