//! Errors outside the calls (unknown paths, unreadable bodies, unavailable stores), and the dialect's settings.

use reqwest::Method;
use serde_json::json;

use super::{assert_error, expected, field_errors, me, member, new_address, request_as, sign_in, tokens};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

over_both_stores!(
    |plan| plan;
    unknown_paths_are_not_found,
    other_methods_get_405_with_allow,
    trailing_slash_is_ignored,
    unreadable_bodies_are_refused,
);

async fn unknown_paths_are_not_found(server: &TestServer) {
    for path in ["/auth/login", "/auth/login/nothing", "/auth/users/a/b", "/auth/login/magic"] {
        assert_error(&server.get(path).send_checked().await, 404, "Not Found");
    }
}

async fn other_methods_get_405_with_allow(server: &TestServer) {
    for (path, allow) in [
        ("/auth/login/oauth", "OPTIONS, POST"),
        ("/auth/login/totp", "DELETE, OPTIONS, POST, PUT"),
        ("/auth/users/create", "OPTIONS, POST"),
        ("/auth/users/toggle-state", "OPTIONS, POST"),
        ("/auth/users", "GET, HEAD, OPTIONS"),
        ("/auth/users/me", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/auth/users/019a8b1c-0000-7abc-9def-0123456789ab", "DELETE, GET, HEAD, OPTIONS, POST"),
    ] {
        let response = server.request(Method::PATCH, path).send_checked().await;
        assert_error(&response, 405, "Method Not Allowed");
        assert_eq!(response.header("allow"), allow, "{path}");
        assert_eq!(server.request(Method::OPTIONS, path).send_checked().await.is(204).header("allow"), allow, "{path}");
    }
}

async fn trailing_slash_is_ignored(server: &TestServer) {
    let zoe = member(server).await;
    let with = request_as(server, Method::GET, "/auth/users/me/", &zoe.access).send_checked().await.is(200).json();
    assert_eq!(with, me(server, &zoe.access).await);
    let head = request_as(server, Method::HEAD, "/auth/users/me", &zoe.access).send_checked().await;
    assert_eq!(head.is(200).text, "");
    tokens(&server.form("/auth/login/oauth/", &[("username", &zoe.email), ("password", PASSWORD)]).await);
}

async fn unreadable_bodies_are_refused(server: &TestServer) {
    let zoe = member(server).await;
    let admin = super::member_with(server, &["--superuser"]).await;
    let user = format!("/auth/users/{}", zoe.id);
    for (method, path, bearer) in [
        (Method::POST, "/auth/login/signup", ""),
        (Method::POST, "/auth/login/claim", "a token"),
        (Method::POST, "/auth/login/reset", "a token"),
        (Method::POST, "/auth/login/totp", "a token"),
        (Method::PUT, "/auth/login/totp", &zoe.access),
        (Method::DELETE, "/auth/login/totp", &zoe.access),
        (Method::PUT, "/auth/users/me", &zoe.access),
        (Method::POST, "/auth/users/create", &admin.access),
        (Method::POST, "/auth/users/toggle-state", &admin.access),
        (Method::POST, &user, &admin.access),
    ] {
        let send = async |kind: &str, body: String| {
            request_as(server, method.clone(), path, bearer)
                .header("content-type", kind)
                .body(body)
                .send_checked()
                .await
        };
        let (loc, kind) = field_errors(&send("application/json", "{\"email\": x}".to_owned()).await).remove(0);
        assert_eq!((loc.starts_with("body."), kind.as_str()), (true, "json_invalid"), "{path}");
        let list = field_errors(&send("application/json", "[]".to_owned()).await);
        assert_eq!(list, expected(&[("body", "model_attributes_type")]), "{path}");
        assert_error(&send("text/plain", "{}".to_owned()).await, 415, "Unsupported Media Type");
        let large = format!("{{\"email\":\"{}\"}}", "x".repeat(70_000));
        assert_error(&send("application/json", large).await, 413, "Content Too Large");
    }
}

#[tokio::test]
async fn unavailable_store_is_a_503() {
    let (mut redis, mut postgres) = (redis::Server::start(), postgres::Server::start());
    let server = TestServer::start(Plan::on(&redis, &postgres).with_patient_stores());
    let zoe = member(&server).await;
    postgres.kill_immediate();
    let calls = async || {
        for path in ["/auth/login/oauth", "/auth/login/magic/a@example.org", "/auth/login/recover/a@example.org"] {
            let fields = [("username", zoe.email.as_str()), ("password", PASSWORD)];
            assert_error(&server.form(path, &fields).await, 503, "Service Unavailable");
        }
    };
    calls().await;
    assert_error(
        &request_as(&server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await,
        503,
        "Service Unavailable",
    );
    // A refresh needs Redis only.
    let (_, refresh) =
        tokens(&request_as(&server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await);
    redis.kill();
    calls().await;
    assert_error(
        &request_as(&server, Method::POST, "/auth/login/refresh", &refresh).send_checked().await,
        503,
        "Service Unavailable",
    );
}

#[tokio::test]
async fn dialect_works_alone_under_another_prefix() {
    let server = TestServer::embedded(|plan| {
        let others = ["NATIVE", "UNTURNED", "CODES", "UCONTACT", "V1"];
        let alone = others.iter().fold(plan, |plan, name| plan.set(&format!("SIGNET_API__{name}__ENABLED"), "false"));
        alone.set("SIGNET_API__MYAUTH__PREFIX", "/accounts/v1").set("SIGNET_API__MYAUTH__ACCESS", "1m")
    });
    let email = new_address();
    let body = json!({"email": email, "password": PASSWORD});
    server.post("/accounts/v1/login/signup").json(&body).send_checked().await.is(200);
    let fields = [("username", email.as_str()), ("password", PASSWORD)];
    let (access, _) = tokens(&server.form("/accounts/v1/login/oauth", &fields).await);
    let user = request_as(&server, Method::GET, "/accounts/v1/users/me", &access).send_checked().await.is(200).json();
    assert_eq!(user["email"], email.as_str());
    assert_error(&server.get("/accounts/v1/users/a/b").send_checked().await, 404, "Not Found");
    server.post("/auth/login/signup").json(&body).send_checked().await.is(404);
}

#[tokio::test]
async fn verified_only_setting_requires_a_verified_address() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_API__MYAUTH__VERIFIED_ONLY", "true")
            .set("SIGNET_API__MYAUTH__MIN_PASSWORD_LENGTH", "4")
            .set("SIGNET_API__MYAUTH__REFUSE_COMMON_PASSWORDS", "false")
    });
    let email = new_address();
    let body = json!({"email": email, "password": "1234"});
    server.post("/auth/login/signup").json(&body).send_checked().await.is(200);
    let response = super::try_sign_in(&server, &email, "1234").await;
    assert_error(&response, 400, "Login failed; the email address is not confirmed.");
    // A magic link proves the address, and removes the password, which was set before.
    let secret = super::request_magic_link(&server, &email).await;
    let token = crate::support::outbox::wait_for_mail(&server, &email, 0).await.token();
    let (access, _) = tokens(&super::redeem_magic_link(&server, &token, &secret).await);
    let response = super::try_sign_in(&server, &email, "1234").await;
    assert_error(&response, 400, "Login failed; incorrect email or password.");
    let body = json!({"password": "1234"});
    request_as(&server, Method::PUT, "/auth/users/me", &access).json(&body).send_checked().await.is(200);
    sign_in(&server, &email, "1234").await;
}
