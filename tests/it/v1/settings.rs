//! The settings of this dialect, and its errors outside the calls.

use serde_json::json;

use super::*;

#[tokio::test]
async fn verified_only_setting_requires_a_verified_address() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__V1__VERIFIED_ONLY", "true"));
    register(&server, "", "strict").await.is(201);
    try_sign_in(&server, "strict@example.com", PASSWORD).await.is_error(403, "email not verified");
    try_sign_in(&server, "strict@example.com", "1234567").await.is_error(401, "invalid email or password");
    let token = mailed_token(&server, "strict@example.com", 0).await;
    server.get(&format!("/api/v1/verify?token={token}")).send_checked().await.is(200);
    try_sign_in(&server, "strict@example.com", PASSWORD).await.is(200);
}

#[tokio::test]
async fn prefix_lifetimes_and_password_rules_are_settings() {
    let server = TestServer::embedded(|plan| {
        published(plan)
            .set("SIGNET_API__V1__PREFIX", "/v2")
            .set("SIGNET_API__V1__ACCESS", "5m")
            .set("SIGNET_API__V1__IDLE", "1h")
            .set("SIGNET_API__V1__MIN_PASSWORD_LENGTH", "10")
            .set("SIGNET_API__V1__REFUSE_COMMON_PASSWORDS", "true")
    });
    let body_with = |password: &str| json!({"email": "a@example.com", "username": "a", "password": password});
    for weak in ["123456789", "1234567890"] {
        call(&server, "/v2/register", body_with(weak)).await.is_error(400, "invalid password");
    }
    call(&server, "/v2/register", body_with("a quiet harbour")).await.is(201);
    let link = outbox::wait_for_mail(&server, "a@example.com", 0).await.link();
    assert!(link.starts_with("https://id.example.org/v2/verify?token="), "{link}");
    let login = json!({"email": "a@example.com", "password": "a quiet harbour"});
    let tokens = call(&server, "/v2/login", login.clone()).await.is(200).json();
    assert_eq!((&tokens["expires_in"], &tokens["refresh_expires_in"]), (&300.into(), &3600.into()));
    server.get("/v2/authorized/me").bearer_auth(text(&tokens, "access_token")).send_checked().await.is(200);
    call(&server, "/api/v1/login", login).await.is_problem(404, "path_not_found");
}

#[tokio::test]
async fn confirm_by_get_off_shows_every_client_a_page() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_MAILED__CONFIRM_BY_GET", "false").set("SIGNET_API__V1__VERIFIED_ONLY", "true")
    });
    register(&server, "", "scanned").await.is(201);
    let token = mailed_token(&server, "scanned@example.com", 0).await;
    for accept in ["*/*", "application/json", "text/html"] {
        let request = server.get(&format!("/api/v1/verify?token={token}")).header("accept", accept);
        let page = request.send_checked().await;
        assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8", "{accept}");
    }
    try_sign_in(&server, "scanned@example.com", PASSWORD).await.is_error(403, "email not verified");
    call(&server, "/links/confirm", json!({"token": token})).await.is(200);
    try_sign_in(&server, "scanned@example.com", PASSWORD).await.is(200);
}

#[tokio::test]
async fn dialect_can_be_disabled() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__V1__ENABLED", "false"));
    register(&server, "", "nobody").await.is_problem(404, "path_not_found");
}

#[tokio::test]
async fn dialect_works_alone() {
    let others = ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "UCONTACT"];
    let off = |plan: Plan, name: &&str| plan.set(&format!("SIGNET_API__{name}__ENABLED"), "false");
    let server = TestServer::embedded(|plan| others.iter().fold(plan, &off));
    register(&server, "", "alone").await.is(201);
    let token = mailed_token(&server, "alone@example.com", 0).await;
    // Without the native dialect there is no landing page, so a browser's GET verifies the address.
    let confirmed =
        server.get(&format!("/api/v1/verify?token={token}")).header("accept", "text/html").send_checked().await;
    confirmed.is_message(200, "email verified successfully");
    try_sign_in(&server, "alone@example.com", PASSWORD).await.is(200);
    server.get("/api/v1/nothing").send_checked().await.is_error(404, "not found");
}

#[tokio::test]
async fn registration_can_be_closed() {
    let server = TestServer::embedded(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"));
    register(&server, "", "late").await.is_error(403, "registration closed");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let server = TestServer::embedded(|plan| plan);
    server.get("/api/v1/nothing").send_checked().await.is_error(404, "not found");
    let wrong_method = server.get("/api/v1/login").send_checked().await;
    assert_eq!(wrong_method.is_error(405, "method not allowed").header("allow"), "OPTIONS, POST");
}

#[tokio::test]
async fn sign_in_attempts_are_limited() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "3 per 5m")
    });
    member(&server, "tried").await;
    let limited = async |email: &str| {
        for _ in 0..3 {
            try_sign_in(&server, email, "1234567").await.is_error(401, "invalid email or password");
        }
        try_sign_in(&server, email, PASSWORD).await.is_error(429, "too many requests").text.clone()
    };
    assert_eq!(limited("tried@example.com").await, limited("nobody@example.com").await);
}

#[tokio::test]
async fn reset_mails_are_limited() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_LIMITS__ENABLED", "true"));
    let reset = || call(&server, "/api/v1/password-reset", json!({"email": "x@example.com", "username": "x"}));
    for _ in 0..5 {
        reset().await.is(200);
    }
    reset().await.is_error(429, "too many requests");
}
