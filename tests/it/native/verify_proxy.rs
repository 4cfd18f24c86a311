//! `/verify/proxy`, for proxies that ask with the method and the path of the client's request.

use reqwest::Method;
use serde_json::json;

use crate::support::server::{SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    every_method_and_path_is_answered_as_get_verify, header_fields_state_requirements,
    query_of_the_client_states_no_requirement, repeated_requirements_are_refused);

const PATHS: [&str; 9] = [
    "/verify/proxy",
    "/verify/proxy/",
    "/verify/proxy//",
    "/verify/proxy//a",
    "/verify/proxy/orders/7?aud=other&scope=nothing&subject=robot",
    "/verify/proxy/batch",
    "/verify/proxy/%ff%2f/..%00/",
    "/verify/proxy/{tail}/*",
    "/verify/proxy/verify/proxy/?scope=nothing",
];

async fn every_method_and_path_is_answered_as_get_verify(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let tokens = server.sign_in(&user).await;
    let (key, _) = server.api_key(&user, &["read"]);
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X-ANY"];
    for method in methods.map(|name| Method::from_bytes(name.as_bytes()).unwrap()) {
        for path in PATHS {
            let request = || server.request(method.clone(), path);
            let response = request().bearer_auth(&tokens.access).send_checked().await;
            let expected = [user.id.as_str(), &user.email, "", &tokens.session];
            let names = ["x-auth-subject", "x-auth-email", "x-auth-scopes", "x-auth-session"];
            assert_eq!(names.map(|name| response.is(200).header(name)), expected, "{method} {path}");
            assert!(names.iter().all(|name| response.headers.contains_key(*name)), "{method} {path}");
            assert_eq!(response.header("cache-control"), "no-store");
            let response = request().header("x-api-key", &key).send_checked().await;
            assert_eq!(names.map(|name| response.is(200).header(name)), [user.id.as_str(), &user.email, "read", ""]);
            let response = request().bearer_auth("a.b.c").send_checked().await;
            assert!(response.is(401).header("x-auth-subject").is_empty());
            request().send_checked().await.is(401);
        }
    }
    // A body is ignored, whatever it is.
    for body in ["{\"token\":1}", "\u{0}", &"x".repeat(10_000)] {
        let request = server.post("/verify/proxy/orders").body(body.to_owned());
        request.bearer_auth(&tokens.access).send_checked().await.is(200);
    }
    // The other calls are as they were.
    server.post("/verify/batch").json(&json!({"tokens": [tokens.access]})).send_checked().await.is(200);
    server.request(Method::PUT, "/verify").send_checked().await.is_problem(405, "method_not_allowed");
    server.get("/verify/proxyx").send_checked().await.is_problem(404, "path_not_found");
    server.get("/verify/other/x").send_checked().await.is_problem(404, "path_not_found");
}

async fn header_fields_state_requirements(server: &TestServer) {
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    let (key, _) = server.api_key(&user, &["read", "write"]);
    for path in ["/verify/proxy", "/verify/proxy/a?b=c"] {
        for (name, value, of_token, of_key) in [
            ("x-verify-aud", "signet", 200, 200),
            ("x-verify-aud", "other", 401, 200),
            ("x-verify-scope", "write read", 401, 200),
            ("x-verify-scope", "admin", 401, 401),
            ("x-verify-subject", "user", 200, 401),
            ("x-verify-subject", "client", 401, 200),
            ("x-verify-subject", "users", 400, 400),
            ("x-verify-subject", "", 400, 400),
        ] {
            for (credential, status) in [(&access, of_token), (&key, of_key)] {
                let request = server.post(path).bearer_auth(credential).header(name, value);
                request.send_checked().await.is(status);
            }
        }
    }
}

async fn query_of_the_client_states_no_requirement(server: &TestServer) {
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    let (key, _) = server.api_key(&user, &["read"]);
    let status =
        async |path: &str, credential: &str| server.get(path).bearer_auth(credential).send_checked().await.status;
    // The query of the exact path is the proxy's.
    assert_eq!(status("/verify/proxy?subject=user", &access).await, 200);
    assert_eq!(status("/verify/proxy?subject=user", &key).await, 401);
    assert_eq!(status("/verify/proxy?subject=user&path=/a?subject=x", &key).await, 401);
    assert_eq!(status("/verify/proxy?subject=nobody", &access).await, 400);
    for path in ["/verify/proxy/?subject=client&scope=x", "/verify/proxy/authorize?scope=openid&aud=app&aud=b"] {
        assert_eq!(status(path, &access).await, 200, "{path}");
    }
    let many = format!("/verify/proxy/search?{}", "a=b&".repeat(200));
    assert_eq!(status(&many, &access).await, 200);
}

/// A client that can append to the query of the proxy, or send the header field too, must not replace a requirement.
async fn repeated_requirements_are_refused(server: &TestServer) {
    let (key, _) = server.api_key(&server.create_user(&[]), &["read"]);
    for (path, fields) in [
        ("/verify/proxy?subject=user&path=/a&subject=client", &[][..]),
        ("/verify/proxy?subject=user", &["client"][..]),
        ("/verify/proxy/a", &["user", "client"][..]),
        ("/verify/proxy/a", &["client", "client"][..]),
    ] {
        let request = fields.iter().fold(server.get(path), |request, value| request.header("x-verify-subject", *value));
        let response = request.bearer_auth(&key).send_checked().await;
        response.is_problem(400, "invalid_fields");
    }
}
