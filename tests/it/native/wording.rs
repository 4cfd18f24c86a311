//! Unknown paths and methods, request ids, and the dialect under a prefix.

use reqwest::Method;
use serde_json::json;

use crate::support::server::{PASSWORD, SendRequest, TestServer};

const PATHS: &[(&str, &str)] = &[
    ("/.well-known/jwks.json", "GET, HEAD"),
    ("/.well-known/oauth-authorization-server", "GET, HEAD"),
    ("/.well-known/openid-configuration", "GET, HEAD"),
    ("/.well-known/signet-revocations", "GET, HEAD"),
    ("/.well-known/signet-revocations/snapshot", "GET, HEAD"),
    ("/.well-known/signet-revocations/e/after/1-0", "GET, HEAD"),
    ("/.well-known/signet-revocations/e/segments/1-0/2-0", "GET, HEAD"),
    ("/.well-known/signet-revocations/followers", "POST"),
    ("/verify", "GET, HEAD, POST"),
    ("/verify/batch", "POST"),
    ("/sessions", "DELETE, GET, HEAD, POST"),
    ("/sessions/x", "DELETE"),
    ("/admin/users/x/sign-out", "POST"),
    ("/admin/sign-out-everyone", "POST"),
    ("/oauth/token", "POST"),
    ("/oauth/introspect", "POST"),
    ("/oauth/revoke", "POST"),
];

#[tokio::test]
async fn unknown_methods_and_paths_are_rejected() {
    let server = TestServer::embedded(|plan| plan);
    for (path, allowed) in PATHS {
        for path in [(*path).to_owned(), format!("{path}/")] {
            let response = server.request(Method::PATCH, &path).send_checked().await;
            let mut allow =
                response.header("allow").split(", ").filter(|method| *method != "OPTIONS").collect::<Vec<_>>();
            allow.sort_unstable();
            assert_eq!(allow.join(", "), *allowed, "{path}");
            if path.starts_with("/oauth") {
                response.is_oauth_error(405, "invalid_request");
            } else {
                response.is_problem(405, "method_not_allowed");
            }
            let response = server.request(Method::OPTIONS, &path).send_checked().await;
            assert!(response.status < 300, "{response:?}");
        }
    }
    for path in ["/nothing", "/verify/nothing", "/sessions/x/y", "/admin", "/.well-known", "//verify", "/VERIFY"] {
        server.get(path).send_checked().await.is_problem(404, "path_not_found");
    }
    for path in ["/oauth", "/oauth/nothing"] {
        assert_eq!(server.post(path).send_checked().await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn request_id_is_taken_over_or_generated() {
    let server = TestServer::embedded(|plan| plan);
    let with_id = server.get("/verify").header("x-request-id", "an-id.of_my:own").send_checked().await;
    assert_eq!(with_id.is(401).header("x-request-id"), "an-id.of_my:own");
    let (one, other) = (server.get("/verify").send_checked().await, server.get("/verify").send_checked().await);
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn prefix_applies_to_every_path() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", "/id/v2"));
    let user = server.create_user(&[]);
    let body = json!({"email": user.email, "password": PASSWORD});
    let tokens = server.post("/id/v2/sessions").json(&body).send_checked().await.is(201).tokens();
    server.get("/id/v2/verify").bearer_auth(&tokens.access).send_checked().await.is(200);
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    server.form("/id/v2/oauth/token", &form).await.is(200);
    let metadata = server.get("/id/v2/.well-known/openid-configuration").send_checked().await.is(200).json();
    assert_eq!(metadata["token_endpoint"], "http://127.0.0.1:0/id/v2/oauth/token");
    server.form("/id/v2/oauth/token", &[]).await.is_oauth_error(400, "invalid_request");
    server.get("/id/v2/nothing").send_checked().await.is_problem(404, "path_not_found");
    assert_eq!(server.get("/verify").send_checked().await.status, 404);
}
