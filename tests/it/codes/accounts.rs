//! `POST /auth/signup`.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(documented;
    an_account_is_made,
    an_empty_field_goes_before_a_malformed_one,
    an_address_is_somebodys_once_in_whatever_spelling,
    a_name_may_be_anybodys_and_have_any_letters,
    a_weak_password_is_told_before_anything_is_done,
);

async fn an_account_is_made(server: &TestServer) {
    let body = json!({"email": " User@EXAMPLE.com ", "user_name": "USER_NAME", "password": PASSWORD});
    let made = call(server, "/auth/signup", body).await.is(200).json();
    assert_eq!(made["user_name"], "USER_NAME");
    assert_eq!(made.as_object().unwrap().len(), 2, "{made}");
    let shown = server.plan().json(&["users", "show", "user@example.com"], "");
    assert_eq!((&shown["id"], &shown["full_name"]), (&made["user_id"], &"USER_NAME".into()));
    assert_eq!((&shown["username"], &shown["verified"]), (&serde_json::Value::Null, &false.into()));
    let signed = try_sign_in(server, "user@example.com", PASSWORD).await.is(200).json();
    assert_eq!(signed["user_name"], "USER_NAME");
}

async fn an_empty_field_goes_before_a_malformed_one(server: &TestServer) {
    let long = "x".repeat(17);
    for (email, user_name, password, code) in [
        ("", "", "", "129"),
        (" ", &*long, "x", "129"),
        ("no address", "", "", "130"),
        ("no address", "", "x", "131"),
        ("no address", " ", "x", "131"),
        ("no address", &*long, "x", "124"),
        ("a@b", "name", PASSWORD, "124"),
        ("a@example.org", &*long, "x", "139"),
    ] {
        let body = json!({"email": email, "user_name": user_name, "password": password});
        call(server, "/auth/signup", body).await.tells(400, code);
    }
    // What is not there is as good as empty.
    for (body, code) in [
        (json!({}), "129"),
        (json!({"email": null, "user_name": "name", "password": PASSWORD}), "129"),
        (json!({"email": "a@example.org"}), "130"),
        (json!({"email": "a@example.org", "password": PASSWORD, "user_name": null}), "131"),
    ] {
        call(server, "/auth/signup", body).await.tells(400, code);
    }
}

async fn an_address_is_somebodys_once_in_whatever_spelling(server: &TestServer) {
    let member = member(server, "taken").await;
    for email in [member.email.as_str(), "TAKEN@Example.ORG", " taken@example.org"] {
        let body = json!({"email": email, "user_name": "another", "password": PASSWORD});
        call(server, "/auth/signup", body).await.tells(409, "133");
    }
}

async fn a_name_may_be_anybodys_and_have_any_letters(server: &TestServer) {
    for (at, name) in ["名稱🦀 o'Hara <b>@", "same", "same", "sixteen letters!"].into_iter().enumerate() {
        let body = json!({"email": format!("named-{at}@example.org"), "user_name": name, "password": PASSWORD});
        assert_eq!(call(server, "/auth/signup", body).await.is(200).json()["user_name"], name);
    }
    // Sixteen letters, not bytes.
    let body = json!({"email": "long@example.org", "user_name": "字".repeat(16), "password": PASSWORD});
    call(server, "/auth/signup", body).await.is(200);
    for bad in ["a\u{0}b", "a\nb"] {
        let body = json!({"email": "control@example.org", "user_name": bad, "password": PASSWORD});
        call(server, "/auth/signup", body).await.tells(400, "USER_NAME_INVALID");
    }
}

async fn a_weak_password_is_told_before_anything_is_done(server: &TestServer) {
    for weak in ["short", "password123", &"x".repeat(129), " "] {
        let body = json!({"email": "weak@example.org", "user_name": "weak", "password": weak});
        call(server, "/auth/signup", body).await.tells(400, "PASSWORD_TOO_WEAK");
    }
    let body = json!({"email": "weak@example.org", "user_name": "weak", "password": PASSWORD});
    call(server, "/auth/signup", body).await.is(200);
}
