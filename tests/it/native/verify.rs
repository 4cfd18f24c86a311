//! `/verify` in its three forms: for services, for proxies and for batches.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};
use signet::rng::Rng;
use signet::token::api_key::NewApiKey;

over_both_stores!(|plan| plan;
    valid_token_returns_its_claims, malformed_tokens_are_rejected, audience_and_scope_are_checked,
    proxy_gets_the_user_in_headers, proxy_gets_only_a_verified_address, api_keys_are_verified, batch_results_keep_the_order_of_the_tokens,
    batch_checks_audience_and_scope, subject_is_checked, unknown_subject_is_refused, batch_size_is_limited,
    large_batch_is_answered_like_a_small_one, invalid_bodies_are_rejected);

async fn valid_token_returns_its_claims(server: &TestServer) {
    let user = server.create_user(&["--verified", "--role", "editor"]);
    let tokens = server.sign_in(&user).await;
    // Twice: the second time from the cache.
    for _ in 0..2 {
        let response = server.verify(&tokens.access).await;
        assert_eq!(response.is(200).header("cache-control"), "no-store");
        let body = response.json();
        assert_eq!(body["active"], true);
        let claims = &body["claims"];
        assert_eq!(claims["sub"], user.id);
        assert_eq!(claims["sid"], tokens.session);
        assert_eq!((&claims["iss"], &claims["aud"]), (&"http://127.0.0.1:0".into(), &"signet".into()));
        assert_eq!((&claims["email"], &claims["email_verified"]), (&user.email.as_str().into(), &true.into()));
        assert_eq!(claims["preferred_username"], user.username);
        assert_eq!(claims["roles"], json!(["editor"]));
        assert_eq!(claims["superuser"], Value::Null);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
        assert!(claims["jti"].is_string());
    }
}

async fn malformed_tokens_are_rejected(server: &TestServer) {
    let refresh = server.sign_in(&server.create_user(&[])).await.refresh;
    for garbage in
        ["", " ", "x", "a.b.c", "..", "sk", &refresh, &"a.".repeat(100), &"a".repeat(20_000), "\u{0}", "é.é.é"]
    {
        let response = server.verify(garbage).await;
        assert_eq!(response.is(401).json(), json!({"active": false, "reason": "malformed"}), "{garbage:?}");
        assert_eq!(response.header("www-authenticate"), r#"Bearer error="invalid_token""#);
        assert_eq!(response.header("cache-control"), "no-store");
    }
    for key in ["sk_", "sk_000000000000_00000000000000000000000000000000_000000"] {
        assert_eq!(server.rejection_reason(key).await, "unknown_api_key");
    }
}

async fn audience_and_scope_are_checked(server: &TestServer) {
    let user = server.create_user(&[]);
    let token = server.sign_in(&user).await.access;
    let (key, _) = server.api_key(&user, &["read", "write"]);
    let verify = async |body: Value| server.post("/verify").json(&body).send_checked().await;
    verify(json!({"token": token, "aud": "signet"})).await.is(200);
    verify(json!({"token": token, "aud": null, "scope": null, "unknown": 1})).await.is(200);
    for (body, reason) in [
        (json!({"token": token, "aud": "other"}), "wrong_audience"),
        (json!({"token": token, "aud": ""}), "wrong_audience"),
        (json!({"token": token, "scope": "read"}), "insufficient_scope"),
        (json!({"token": key, "scope": "admin"}), "insufficient_scope"),
        (json!({"token": key, "scope": "read admin"}), "insufficient_scope"),
        (json!({"token": key, "scope": "rea"}), "insufficient_scope"),
    ] {
        assert_eq!(verify(body.clone()).await.is(401).json()["reason"], reason, "{body}");
    }
    verify(json!({"token": key, "scope": "write  read"})).await.is(200);

    // A token issued for the key has only the scopes that were requested.
    let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("scope", "read")];
    let issued = server.form("/oauth/token", &fields).await.is(200).json();
    let issued = issued["access_token"].as_str().unwrap();
    verify(json!({"token": issued, "scope": "read", "aud": "signet"})).await.is(200);
    assert_eq!(verify(json!({"token": issued, "scope": "write"})).await.is(401).json()["reason"], "insufficient_scope");
}

async fn proxy_gets_the_user_in_headers(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    for method in [Method::GET, Method::HEAD] {
        let response = server.request(method.clone(), "/verify").bearer_auth(&tokens.access).send_checked().await;
        assert_eq!(response.is(200).header("x-auth-subject"), user.id);
        assert_eq!(response.header("x-auth-email"), "", "the address is not verified");
        assert_eq!(
            (response.header("x-auth-scopes"), response.header("x-auth-session")),
            ("", tokens.session.as_str())
        );
        assert_eq!(response.text.is_empty(), method == Method::HEAD);
        let response =
            server.request(method.clone(), "/verify?aud=other").bearer_auth(&tokens.access).send_checked().await;
        assert!(response.is(401).header("x-auth-subject").is_empty());
        server.request(method.clone(), "/verify?aud=signet").bearer_auth(&tokens.access).send_checked().await.is(200);
        server.request(method.clone(), "/verify?scope=read").bearer_auth(&tokens.access).send_checked().await.is(401);
        let response = server.request(method.clone(), "/verify").bearer_auth("a.b.c").send_checked().await;
        assert_eq!(response.is(401).header("www-authenticate"), r#"Bearer error="invalid_token""#);
        let response = server.request(method.clone(), "/verify").send_checked().await;
        assert_eq!(response.is(401).header("www-authenticate"), "Bearer");
        server.request(method, "/verify").basic_auth("somebody", Some("something")).send_checked().await.is(401);
    }
    server.get("/verify").send_checked().await.is_problem(401, "missing_credentials");
}

/// Anyone can sign up with the address of somebody else.
async fn proxy_gets_only_a_verified_address(server: &TestServer) {
    let header = async |credential: &str| {
        let response = server.get("/verify").bearer_auth(credential).send_checked().await;
        response
            .is(200)
            .headers
            .get("x-auth-email")
            .expect("it replaces a field of the client")
            .to_str()
            .unwrap()
            .to_owned()
    };
    for (arguments, verified) in [(&[][..], false), (&["--verified"], true)] {
        let user = server.create_user(arguments);
        let expected = if verified { user.email.as_str() } else { "" };
        assert_eq!(header(&server.sign_in(&user).await.access).await, expected);
        let (key, _) = server.api_key(&user, &["read"]);
        assert_eq!(header(&key).await, expected);
        // From the cache, too.
        assert_eq!(header(&key).await, expected);
        assert_eq!(server.verify(&key).await.json()["claims"]["email_verified"], verified);
        assert_eq!(header(&server.client_token(&key).await).await, "", "it has no address");
    }
}

async fn api_keys_are_verified(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, prefix) = server.api_key(&user, &["read", "write"]);
    let claims = server.verify(&key).await.is(200).json()["claims"].clone();
    assert_eq!(claims["sub"], user.id);
    assert_eq!((&claims["token_type"], &claims["scope"]), (&"api_key".into(), &"read write".into()));
    for header in [("x-api-key", key.clone()), ("authorization", format!("bEaReR {key}"))] {
        let response = server.get("/verify?scope=read").header(header.0, header.1).send_checked().await;
        assert_eq!(response.is(200).header("x-auth-scopes"), "read write");
        assert_eq!((response.header("x-auth-subject"), response.header("x-auth-session")), (user.id.as_str(), ""));
    }
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    crate::support::until("a deactivated key is refused", async || {
        server.rejection_reason(&key).await == "unknown_api_key"
    })
    .await;
}

async fn batch_results_keep_the_order_of_the_tokens(server: &TestServer) {
    let user = server.create_user(&[]);
    let token = server.sign_in(&user).await.access;
    let (key, _) = server.api_key(&user, &["read"]);
    let unknown = NewApiKey::generate(&Rng::system());
    let kinds = [token.as_str(), "garbage", key.as_str(), unknown.reveal()];
    let mut single_results = Vec::new();
    for kind in kinds {
        single_results.push(server.verify(kind).await.json());
    }
    let tokens = (0..1024).map(|at| kinds[at % 7 % 4]).collect::<Vec<_>>();
    let batch = async |body: &Value| server.post("/verify/batch").json(body).send_checked().await;
    let response = batch(&json!({"tokens": tokens})).await;
    let body = response.is(200).json();
    let results = body["results"].as_array().unwrap();
    assert_eq!(results.len(), 1024);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(*result, single_results[at % 7 % 4], "the result at {at} is that of /verify");
    }
}

async fn batch_checks_audience_and_scope(server: &TestServer) {
    let user = server.create_user(&[]);
    let token = server.sign_in(&user).await.access;
    let (key, _) = server.api_key(&user, &["read"]);
    let batch = async |body: &Value| server.post("/verify/batch").json(body).send_checked().await;
    let body = batch(&json!({"tokens": [token, key], "scope": "read"})).await.is(200).json();
    let active = |body: &Value| {
        body["results"].as_array().unwrap().iter().map(|result| result["active"] == true).collect::<Vec<_>>()
    };
    assert_eq!(active(&body), [false, true]);
    let body = batch(&json!({"tokens": [token, key, "x"], "aud": "other"})).await.is(200).json();
    assert_eq!(active(&body), [false, true, false], "an API key has no audience");
    assert_eq!(batch(&json!({"tokens": []})).await.is(200).json(), json!({"results": []}));
}

/// `sub` is a user id for a user who signed in and for a program with that user's API key.
async fn subject_is_checked(server: &TestServer) {
    let user = server.create_user(&[]);
    let session = server.sign_in(&user).await.access;
    let (key, _) = server.api_key(&user, &["read"]);
    let issued = server.client_token(&key).await;
    for (credential, is_user) in [(&session, true), (&key, false), (&issued, false)] {
        for (subject, accepted) in [(json!("user"), is_user), (json!("client"), !is_user), (Value::Null, true)] {
            let body = json!({"token": credential, "subject": subject});
            let response = server.post("/verify").json(&body).send_checked().await;
            let (status, reason) = if accepted { (200, Value::Null) } else { (401, "wrong_subject".into()) };
            assert_eq!(response.is(status).json()["reason"], reason, "{body}");
            if accepted {
                assert_eq!(response.json()["claims"]["sub"], user.id);
            }
            let body = json!({"tokens": [credential, "x"], "subject": subject});
            let batch = server.post("/verify/batch").json(&body).send_checked().await.is(200).json();
            assert_eq!(batch["results"][0], response.json());
            let query = subject.as_str().map_or_else(String::new, |subject| format!("?subject={subject}"));
            for method in [Method::GET, Method::HEAD] {
                let request = server.request(method, &format!("/verify{query}")).bearer_auth(credential);
                let response = request.send_checked().await;
                let expected = if accepted { user.id.as_str() } else { "" };
                assert_eq!(response.is(status).header("x-auth-subject"), expected);
                assert_eq!(!response.header("x-auth-session").is_empty(), accepted && is_user);
            }
        }
    }
    // Beside other requirements.
    let verify = async |body: Value| server.post("/verify").json(&body).send_checked().await;
    verify(json!({"token": key, "subject": "client", "scope": "read"})).await.is(200);
    for (body, reason) in [
        (json!({"token": key, "subject": "client", "scope": "admin"}), "insufficient_scope"),
        (json!({"token": session, "subject": "user", "aud": "other"}), "wrong_audience"),
        (json!({"token": "x", "subject": "user"}), "malformed"),
    ] {
        assert_eq!(verify(body).await.is(401).json()["reason"], reason);
    }
}

/// A misspelt requirement lets nobody in.
async fn unknown_subject_is_refused(server: &TestServer) {
    let token = server.sign_in(&server.create_user(&[])).await.access;
    for subject in ["", "users", "User", "user ", "user,client", "person"] {
        let body = json!({"token": token, "tokens": [token], "subject": subject});
        for path in ["/verify", "/verify/batch"] {
            server.post(path).json(&body).send_checked().await.is_problem(400, "invalid_fields");
        }
        let path = format!("/verify?subject={}", subject.replace(' ', "+"));
        let response = server.get(&path).bearer_auth(&token).send_checked().await;
        response.is_problem(400, "invalid_fields");
    }
    let body = json!({"token": token, "subject": ["user"]});
    server.post("/verify").json(&body).send_checked().await.is_problem(400, "invalid_fields");
}

async fn batch_size_is_limited(server: &TestServer) {
    let batch =
        async |tokens: Vec<String>| server.post("/verify/batch").json(&json!({"tokens": tokens})).send_checked().await;
    let response = batch(vec!["x".to_owned(); 1025]).await;
    assert!(response.is_problem(400, "invalid_fields").text.contains("1024"), "{response:?}");
    // The maximum number of tokens, each of the maximum length.
    let response = batch(vec!["x".repeat(1500); 1024]).await;
    assert_eq!(response.is(200).json()["results"].as_array().unwrap().len(), 1024);
    batch(vec!["x".repeat(4000); 1024]).await.is_problem(413, "body_too_large");
}

/// A large body is parsed on another thread, with the same result.
async fn large_batch_is_answered_like_a_small_one(server: &TestServer) {
    let token = server.sign_in(&server.create_user(&[])).await.access;
    for padding in ["", &"\n".repeat(50_000)] {
        let tokens = [token.as_str(), padding, &token];
        let body = json!({"tokens": tokens, "aud": "signet", "subject": "user"});
        let results = server.post("/verify/batch").json(&body).send_checked().await.is(200).json();
        let active = results["results"].as_array().unwrap().iter().map(|result| result["active"] == true);
        assert_eq!(active.collect::<Vec<_>>(), [true, false, true]);
        let body = json!({"tokens": tokens, "scope": 7});
        let response = server.post("/verify/batch").json(&body).send_checked().await;
        assert!(response.is_problem(400, "invalid_fields").text.contains("scope"), "{response:?}");
        let body = json!({"tokens": tokens}).to_string().replace('}', "");
        let request = server.post("/verify/batch").header("content-type", "application/json").body(body);
        request.send_checked().await.is_problem(400, "malformed_body");
    }
}

async fn invalid_bodies_are_rejected(server: &TestServer) {
    for path in ["/verify", "/verify/batch"] {
        server.post(path).json(&json!({})).send_checked().await.is_problem(400, "invalid_fields");
        server
            .post(path)
            .json(&json!({"token": 7, "tokens": 7}))
            .send_checked()
            .await
            .is_problem(400, "invalid_fields");
        server
            .post(path)
            .header("content-type", "application/json")
            .body("{")
            .send_checked()
            .await
            .is_problem(400, "malformed_body");
        server.post(path).body("token=x").send_checked().await.is_problem(415, "unsupported_media_type");
    }
    let too_large: HttpResponse = server.verify(&"x".repeat(70_000)).await;
    too_large.is_problem(413, "body_too_large");
}
