//! The settings of this dialect, and its rate limits.

use serde_json::json;

use super::*;
use crate::support::server as test_server;

#[tokio::test]
async fn prefix_lifetimes_and_password_rules_are_settings() {
    let server = TestServer::embedded(|plan| {
        published(plan)
            .set("SIGNET_API__UCONTACT__PREFIX", "/contacts")
            .set("SIGNET_API__UCONTACT__ACCESS", "5m")
            .set("SIGNET_API__UCONTACT__VERIFIED_ONLY", "false")
            .set("SIGNET_API__UCONTACT__MIN_PASSWORD_LENGTH", "6")
            .set("SIGNET_API__UCONTACT__REFUSE_COMMON_PASSWORDS", "false")
    });
    let new_user = json!({"username": "a", "email": "a@example.com", "password": "123456"});
    assert_eq!(call(&server, "/contacts/register", new_user.clone()).await.is(201).json()["is_verified"], false);
    let link = outbox::wait_for_mail(&server, "a@example.com", 0).await.link();
    assert!(link.starts_with("https://id.example.org/contacts/confirmed_email/"), "{link}");
    let response = server.form("/contacts/login", &[("username", "a"), ("password", "123456")]).await;
    let claims = server.verify(&token_pair(&response.is(200).json()).0).await.is(200).json()["claims"].clone();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    call(&server, "/api/auth/register", new_user).await.is_problem(404, "path_not_found");
}

#[tokio::test]
async fn confirm_by_get_off_shows_every_client_a_page() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_MAILED__CONFIRM_BY_GET", "false"));
    register(&server, "scanned").await.is(201);
    let token = outbox::wait_for_mail(&server, "scanned@example.com", 0).await.token();
    for accept in ["*/*", "application/json", "text/html"] {
        let request = server.get(&format!("/api/auth/confirmed_email/{token}")).header("accept", accept);
        let page = request.send_checked().await;
        assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8", "{accept}");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{page:?}");
    }
    try_sign_in(&server, "scanned", PASSWORD).await.is_error(401, "User is not verified");
    call(&server, "/links/confirm", json!({"token": token})).await.is(200);
    try_sign_in(&server, "scanned", PASSWORD).await.is(200);
}

#[tokio::test]
async fn dialect_can_be_disabled() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__UCONTACT__ENABLED", "false"));
    register(&server, "nobody").await.is_problem(404, "path_not_found");
}

#[tokio::test]
async fn dialect_works_alone() {
    let others = ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "V1"];
    let off = |plan: Plan, name: &&str| plan.set(&format!("SIGNET_API__{name}__ENABLED"), "false");
    let server = TestServer::embedded(|plan| others.iter().fold(plan, &off));
    member(&server, "alone").await;
    let (_, token) = sign_in(&server, "alone").await;
    refresh(&server, &token).await.is(200);
}

#[tokio::test]
async fn registration_can_be_closed() {
    let server = TestServer::embedded(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"));
    register(&server, "late").await.is_error(403, "Registration is closed");
}

#[tokio::test]
async fn sign_in_attempts_are_limited() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "3 per 5m")
    });
    let user = server.create_user(&["--verified"]);
    let limited = async |name: &str| {
        for _ in 0..3 {
            try_sign_in(&server, name, "securepassword124").await.is_error(401, "User or password is incorrect");
        }
        try_sign_in(&server, name, PASSWORD).await.is_error(429, "Too Many Requests").text.clone()
    };
    assert_eq!(limited(&user.username).await, limited("nobody").await);
    // Signing in by address counts against the same account.
    try_sign_in(&server, &user.email, test_server::PASSWORD).await.is_error(429, "Too Many Requests");
}
