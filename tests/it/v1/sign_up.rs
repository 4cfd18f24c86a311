//! `POST /api/v1/register` and `GET /api/v1/verify`.

use serde_json::json;

use super::*;
use crate::support::outbox::mails;
use crate::support::server::over_both_stores;

over_both_stores!(published;
    an_account_is_made_and_its_address_confirmed,
    no_mail_goes_out_that_is_not_wanted,
    an_address_and_a_name_are_somebodys_once,
    the_documents_password_will_do_here_and_nowhere_else,
    what_is_wrong_with_a_wish_is_told,
    a_link_that_confirms_nothing_is_refused,
    a_browser_gets_a_page_and_nothing_is_confirmed_by_it,
    a_link_followed_many_times_at_once_confirms_once,
);

async fn an_account_is_made_and_its_address_confirmed(server: &TestServer) {
    let body = json!({"email": " New@Example.COM ", "username": "hijack", "password": PASSWORD});
    let made = call(server, "/api/v1/register", body).await;
    made.says(201, "registered");
    let shown = server.plan().json(&["users", "show", "new@example.com"], "");
    assert_eq!((&shown["username"], &shown["verified"]), (&"hijack".into(), &false.into()));

    let mail = outbox::wait_for_mail(server, "new@example.com", 0).await;
    let expected = format!("{PUBLIC_URL}/api/v1/verify?token=");
    assert!(mail.link().starts_with(&expected), "{} and not {expected}", mail.link());
    let confirm = format!("/api/v1/verify?token={}", mail.token());
    for _ in 0..2 {
        let answer = server.get(&confirm).send_checked().await;
        assert_eq!(answer.says(200, "email verified successfully").header("cache-control"), "no-store");
        assert_eq!(server.plan().json(&["users", "show", "new@example.com"], "")["verified"], true);
    }
}

async fn no_mail_goes_out_that_is_not_wanted(server: &TestServer) {
    register(server, "?sendEmail=false", "quiet").await.says(201, "registered");
    register(server, "?sendEmail=true", "loud").await.says(201, "registered");
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!((mails(server, "quiet@example.com").len(), mails(server, "loud@example.com").len()), (0, 1));
    register(server, "?sendEmail=maybe", "unsure").await.tells(400, "invalid request");
    register(server, "?sendEmail=", "unsure").await.tells(400, "invalid request");
    register(server, "?sendEmail=false", "unsure").await.is(201);
}

async fn an_address_and_a_name_are_somebodys_once(server: &TestServer) {
    member(server, "taken").await;
    let wish = |email: &str, username: &str| json!({"email": email, "username": username, "password": PASSWORD});
    for (email, username, error) in [
        ("taken@example.com", "another", "register email exists"),
        (" TAKEN@Example.COM", "another", "register email exists"),
        ("taken@example.com", "taken", "register email exists"),
        ("another@example.com", "Taken", "register username exists"),
    ] {
        let refused = call(server, "/api/v1/register", wish(email, username)).await;
        refused.tells(409, error);
        assert!(refused.json()["details"].is_string(), "{refused:?}");
    }
    call(server, "/api/v1/register", wish("another@example.com", "another")).await.is(201);
}

async fn the_documents_password_will_do_here_and_nowhere_else(server: &TestServer) {
    member(server, "short").await;
    let here = |password: &str| json!({"email": "other@example.com", "username": "other", "password": password});
    let refused = call(server, "/api/v1/register", here("12345")).await;
    refused.tells(400, "invalid password");
    assert_eq!(refused.json()["details"], "the password has fewer than 6 characters");
    call(server, "/api/v1/register", here(&"x".repeat(129))).await.tells(400, "invalid password");
    let there = json!({"email": "other@example.com", "username": "other", "password": PASSWORD});
    call(server, "/api/auth/register", there).await.is(422);
    let codes = json!({"email": "other@example.com", "user_name": "other", "password": PASSWORD});
    call(server, "/auth/signup", codes).await.is(400);
    // Once set it is good everywhere: only new passwords are looked at.
    server.try_sign_in("short@example.com", PASSWORD).await.is(201);
}

async fn what_is_wrong_with_a_wish_is_told(server: &TestServer) {
    let good = json!({"email": "fine@example.com", "username": "fine", "password": PASSWORD});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for field in ["email", "username", "password"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        let refused = call(server, "/api/v1/register", body).await;
        assert_eq!(refused.tells(400, "invalid request").json()["details"], format!("body.{field} is missing"));
        call(server, "/api/v1/register", with(field, json!(7))).await.tells(400, "invalid request");
    }
    call(server, "/api/v1/register", with("email", json!("no address"))).await.tells(400, "invalid email");
    call(server, "/api/v1/register", with("username", json!(" "))).await.tells(400, "invalid username");
    call(server, "/api/v1/register", with("username", json!("a@b"))).await.tells(400, "invalid username");
    let post = || server.post("/api/v1/register");
    let json = "application/json";
    post().header("content-type", json).body("{").send_checked().await.tells(400, "invalid request body");
    post().header("content-type", json).body("[]").send_checked().await.tells(400, "invalid request");
    post().header("content-type", "text/plain").body("{}").send_checked().await.tells(415, "unsupported media type");
    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(70_000));
    post().header("content-type", json).body(large).send_checked().await.tells(413, "request body too large");
}

async fn a_link_that_confirms_nothing_is_refused(server: &TestServer) {
    let confirm = async |token: &str| server.get(&format!("/api/v1/verify?token={token}")).send_checked().await;
    server.get("/api/v1/verify").send_checked().await.tells(400, "invalid request");
    let signed = sign_in(server, &member(server, "nosy").await).await;
    for bad in ["", "garbage", &signed.access, &signed.refresh, &format!("{}x", signed.access)] {
        let refused = confirm(bad).await;
        refused.tells(401, "invalid token");
        assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#), "{refused:?}");
    }
    register(server, "", "gone").await.is(201);
    let token = mailed(server, "gone@example.com", 0).await;
    server.plan().json(&["users", "delete", "gone@example.com"], "");
    confirm(&token).await.tells(401, "invalid token");
    // A link confirms an address and lets nobody in.
    verify(server, &token).await.tells(401, "invalid token");
    me(server, &token).await.tells(401, "invalid token");
}

async fn a_browser_gets_a_page_and_nothing_is_confirmed_by_it(server: &TestServer) {
    register(server, "", "browsing").await.is(201);
    let token = mailed(server, "browsing@example.com", 0).await;
    let path = format!("/api/v1/verify?token={token}");
    let verified = || server.plan().json(&["users", "show", "browsing@example.com"], "")["verified"].clone();
    let page = server.get(&path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8").send_checked().await;
    assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{page:?}");
    server.request(reqwest::Method::HEAD, &path).send_checked().await.is(200);
    assert_eq!(verified(), false);
    // What the page's button does.
    let confirm = json!({"token": token});
    let done = call(server, "/links/confirm", confirm.clone()).await;
    assert_eq!(done.is(200).json(), json!({"status": "confirmed"}));
    assert_eq!(verified(), true);
    assert_eq!(call(server, "/links/confirm", confirm).await.is(200).json(), json!({"status": "already_confirmed"}));
    call(server, "/links/confirm", json!({"token": "x"})).await.is_problem(400, "invalid_link");
    call(server, "/links/confirm", json!({})).await.is_problem(400, "invalid_fields");
}

async fn a_link_followed_many_times_at_once_confirms_once(server: &TestServer) {
    register(server, "", "racing").await.is(201);
    let token = mailed(server, "racing@example.com", 0).await;
    let one = || call(server, "/links/confirm", json!({"token": token}));
    let all = futures_util::future::join_all((0..8).map(|_| one())).await;
    let first = all.iter().filter(|answer| answer.is(200).json()["status"] == "confirmed").count();
    assert_eq!(first, 1);
}
