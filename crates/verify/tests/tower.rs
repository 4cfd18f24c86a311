//! The layer and the extractors, in an axum application.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate contains tests only")]

mod support;

use axum::body::{Body, to_bytes};
use axum::routing::get;
use axum::{Router, extract::Request};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use signet_verify::follow::StalePolicy;
use signet_verify::tower::{Claims, Scoped, VerifyLayer, scope};
use support::{FakeIssuer, Fault, until};
use tower::ServiceExt;

scope! {
    ReadReports = "reports:read";
    WriteReports = "reports:write";
}

async fn send(app: &Router, path: &str, headers: &[&str]) -> Response<Body> {
    let mut request = Request::builder().uri(path);
    for value in headers {
        request = request.header("authorization", *value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap()
}

fn app(layer: VerifyLayer) -> Router {
    Router::new()
        .route("/me", get(|claims: Claims| async move { claims.subject().to_owned() }))
        .route("/read", get(|reader: Scoped<ReadReports>| async move { reader.subject().to_owned() }))
        .route("/write", get(|writer: Scoped<WriteReports>| async move { writer.subject().to_owned() }))
        .route(
            "/anyone",
            get(|claims: Option<Claims>| async move {
                claims.map_or("nobody".to_owned(), |claims| claims.subject().to_owned())
            }),
        )
        .layer(layer)
}

#[tokio::test]
async fn requests_are_accepted_or_refused() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    let token = format!("Bearer {}", issuer.token("mine"));
    let strict = app(VerifyLayer::new(verifier.clone()));
    for (path, authorization) in [("/me", &token), ("/read", &token), ("/me", &token.replace("Bearer", "bearer"))] {
        let response = send(&strict, path, &[authorization]).await;
        assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::OK, "someone"));
    }
    for (path, headers, status, challenge, code) in [
        ("/me", &[][..], 401, "Bearer", "missing"),
        ("/me", &["Basic eA=="], 401, "Bearer", "missing"),
        ("/me", &["Bearer"], 400, r#"Bearer error="invalid_request""#, "invalid_request"),
        ("/me", &["Bearer x y"], 400, r#"Bearer error="invalid_request""#, "invalid_request"),
        ("/me", &[&token, &token], 400, r#"Bearer error="invalid_request""#, "invalid_request"),
        ("/me", &["Bearer x.y.z"], 401, r#"Bearer error="invalid_token""#, "malformed"),
        ("/write", &[&token], 403, r#"Bearer error="insufficient_scope", scope="reports:write""#, "insufficient_scope"),
    ] {
        let response = send(&strict, path, headers).await;
        assert_eq!(response.status().as_u16(), status, "{path} {headers:?}");
        assert_eq!(response.headers()["www-authenticate"], challenge);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!((&body["type"], &body["status"]), (&json!(code), &json!(status)));
    }
    issuer.revoke("mine");
    until("the session is revoked", || verifier.revocations() == 1).await;
    let response = send(&strict, "/me", &[&token]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["type"], "revoked");
}

#[tokio::test]
async fn layer_can_let_strangers_pass_or_require_a_scope() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    let token = format!("Bearer {}", issuer.token("mine"));
    let optional = app(VerifyLayer::new(verifier.clone()).optional());
    assert_eq!(text(send(&optional, "/anyone", &[]).await).await, "nobody");
    assert_eq!(text(send(&optional, "/anyone", &[&token]).await).await, "someone");
    assert_eq!(send(&optional, "/anyone", &["Bearer x.y.z"]).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(send(&optional, "/me", &[]).await.status(), StatusCode::UNAUTHORIZED);
    let scoped = app(VerifyLayer::new(verifier.clone()).require_scope("reports:read"));
    assert_eq!(send(&scoped, "/me", &[&token]).await.status(), StatusCode::OK);
    let scoped = app(VerifyLayer::new(verifier).require_scope("reports:read").require_scope("admin"));
    assert_eq!(send(&scoped, "/me", &[&token]).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn stale_verifier_answers_503() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready_briefly(StalePolicy::Refuse).await;
    let token = issuer.token("mine");
    issuer.change(|shared| shared.fault = Fault::Unavailable);
    until("the verifier is stale", || verifier.verify_now(&token).is_err()).await;
    let response = send(&app(VerifyLayer::new(verifier)), "/me", &[&format!("Bearer {token}")]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(!response.headers().contains_key("www-authenticate"));
}
