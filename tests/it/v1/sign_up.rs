//! `POST /api/v1/register` and `GET /api/v1/verify`.

use serde_json::json;

use super::*;
use crate::support::outbox::mails;
use crate::support::server::over_both_stores;

over_both_stores!(
    published;
    sign_up_creates_an_account_to_be_verified_by_mail,
    send_email_parameter_controls_the_mail,
    address_and_username_are_unique,
    short_password_is_accepted_by_this_dialect_only,
    invalid_requests_name_the_error,
    other_tokens_do_not_verify_an_address,
    browser_get_shows_a_page_and_verifies_nothing,
    concurrent_confirmations_succeed_once,
);

async fn sign_up_creates_an_account_to_be_verified_by_mail(server: &TestServer) {
    let body = json!({"email": " New@Example.COM ", "username": "hijack", "password": PASSWORD});
    let response = call(server, "/api/v1/register", body).await;
    response.is_message(201, "registered");
    let user = server.plan().json(&["users", "show", "new@example.com"], "");
    assert_eq!((&user["username"], &user["verified"]), (&"hijack".into(), &false.into()));

    let mail = outbox::wait_for_mail(server, "new@example.com", 0).await;
    let expected = format!("{PUBLIC_URL}/api/v1/verify?token=");
    assert!(mail.link().starts_with(&expected), "{} does not start with {expected}", mail.link());
    let confirm = format!("/api/v1/verify?token={}", mail.token());
    for _ in 0..2 {
        let response = server.get(&confirm).send_checked().await;
        assert_eq!(response.is_message(200, "email verified successfully").header("cache-control"), "no-store");
        assert_eq!(server.plan().json(&["users", "show", "new@example.com"], "")["verified"], true);
    }
}

async fn send_email_parameter_controls_the_mail(server: &TestServer) {
    register(server, "?sendEmail=false", "quiet").await.is_message(201, "registered");
    register(server, "?sendEmail=true", "loud").await.is_message(201, "registered");
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!((mails(server, "quiet@example.com").len(), mails(server, "loud@example.com").len()), (0, 1));
    register(server, "?sendEmail=maybe", "unsure").await.is_error(400, "invalid request");
    register(server, "?sendEmail=", "unsure").await.is_error(400, "invalid request");
    register(server, "?sendEmail=false", "unsure").await.is(201);
}

async fn address_and_username_are_unique(server: &TestServer) {
    member(server, "taken").await;
    let body_with = |email: &str, username: &str| json!({"email": email, "username": username, "password": PASSWORD});
    for (email, username, error) in [
        ("taken@example.com", "another", "register email exists"),
        (" TAKEN@Example.COM", "another", "register email exists"),
        ("taken@example.com", "taken", "register email exists"),
        ("another@example.com", "Taken", "register username exists"),
    ] {
        let response = call(server, "/api/v1/register", body_with(email, username)).await;
        response.is_error(409, error);
        assert!(response.json()["details"].is_string(), "{response:?}");
    }
    call(server, "/api/v1/register", body_with("another@example.com", "another")).await.is(201);
}

async fn short_password_is_accepted_by_this_dialect_only(server: &TestServer) {
    member(server, "short").await;
    let body_with = |password: &str| json!({"email": "other@example.com", "username": "other", "password": password});
    let response = call(server, "/api/v1/register", body_with("12345")).await;
    response.is_error(400, "invalid password");
    assert_eq!(response.json()["details"], "the password has fewer than 6 characters");
    call(server, "/api/v1/register", body_with(&"x".repeat(129))).await.is_error(400, "invalid password");
    let body = json!({"email": "other@example.com", "username": "other", "password": PASSWORD});
    call(server, "/api/auth/register", body).await.is(422);
    let body = json!({"email": "other@example.com", "user_name": "other", "password": PASSWORD});
    call(server, "/auth/signup", body).await.is(400);
    // Other dialects accept it at sign-in: the password policy applies to new passwords only.
    server.try_sign_in("short@example.com", PASSWORD).await.is(201);
}

async fn invalid_requests_name_the_error(server: &TestServer) {
    let valid = json!({"email": "fine@example.com", "username": "fine", "password": PASSWORD});
    let with = |field: &str, value: Value| {
        let mut body = valid.clone();
        body[field] = value;
        body
    };
    for field in ["email", "username", "password"] {
        let mut body = valid.clone();
        body.as_object_mut().unwrap().remove(field);
        let response = call(server, "/api/v1/register", body).await;
        assert_eq!(response.is_error(400, "invalid request").json()["details"], format!("body.{field} is missing"));
        call(server, "/api/v1/register", with(field, json!(7))).await.is_error(400, "invalid request");
    }
    call(server, "/api/v1/register", with("email", json!("no address"))).await.is_error(400, "invalid email");
    call(server, "/api/v1/register", with("username", json!(" "))).await.is_error(400, "invalid username");
    call(server, "/api/v1/register", with("username", json!("a@b"))).await.is_error(400, "invalid username");
    let post = || server.post("/api/v1/register");
    let json = "application/json";
    post().header("content-type", json).body("{").send_checked().await.is_error(400, "invalid request body");
    post().header("content-type", json).body("[]").send_checked().await.is_error(400, "invalid request");
    post().header("content-type", "text/plain").body("{}").send_checked().await.is_error(415, "unsupported media type");
    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(70_000));
    post().header("content-type", json).body(large).send_checked().await.is_error(413, "request body too large");
}

async fn other_tokens_do_not_verify_an_address(server: &TestServer) {
    let confirm = async |token: &str| server.get(&format!("/api/v1/verify?token={token}")).send_checked().await;
    server.get("/api/v1/verify").send_checked().await.is_error(400, "invalid request");
    let tokens = sign_in(server, &member(server, "nosy").await).await;
    for bad in ["", "garbage", &tokens.access, &tokens.refresh, &format!("{}x", tokens.access)] {
        let response = confirm(bad).await;
        response.is_error(401, "invalid token");
        assert!(response.header("www-authenticate").contains(r#"error="invalid_token""#), "{response:?}");
    }
    register(server, "", "gone").await.is(201);
    let token = mailed_token(server, "gone@example.com", 0).await;
    server.plan().json(&["users", "delete", "gone@example.com"], "");
    confirm(&token).await.is_error(401, "invalid token");
    // A verification token does not authenticate.
    verify(server, &token).await.is_error(401, "invalid token");
    me(server, &token).await.is_error(401, "invalid token");
}

async fn browser_get_shows_a_page_and_verifies_nothing(server: &TestServer) {
    register(server, "", "browsing").await.is(201);
    let token = mailed_token(server, "browsing@example.com", 0).await;
    let path = format!("/api/v1/verify?token={token}");
    let verified = || server.plan().json(&["users", "show", "browsing@example.com"], "")["verified"].clone();
    let page = server.get(&path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8").send_checked().await;
    assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{page:?}");
    server.request(reqwest::Method::HEAD, &path).send_checked().await.is(200);
    assert_eq!(verified(), false);
    // The request that the button of the page sends.
    let confirm = json!({"token": token});
    let done = call(server, "/links/confirm", confirm.clone()).await;
    assert_eq!(done.is(200).json(), json!({"status": "confirmed"}));
    assert_eq!(verified(), true);
    assert_eq!(call(server, "/links/confirm", confirm).await.is(200).json(), json!({"status": "already_confirmed"}));
    call(server, "/links/confirm", json!({"token": "x"})).await.is_problem(400, "invalid_link");
    call(server, "/links/confirm", json!({})).await.is_problem(400, "invalid_fields");
}

async fn concurrent_confirmations_succeed_once(server: &TestServer) {
    register(server, "", "racing").await.is(201);
    let token = mailed_token(server, "racing@example.com", 0).await;
    let confirm = || call(server, "/links/confirm", json!({"token": token}));
    let all = futures_util::future::join_all((0..8).map(|_| confirm())).await;
    let first = all.iter().filter(|response| response.is(200).json()["status"] == "confirmed").count();
    assert_eq!(first, 1);
}
