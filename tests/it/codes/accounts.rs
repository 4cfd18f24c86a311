//! `POST /auth/signup`.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(
    documented;
    sign_up_creates_an_account,
    empty_fields_are_reported_before_malformed_ones,
    address_is_unique_in_every_spelling,
    user_name_may_repeat_and_have_any_letters,
    weak_password_creates_no_account,
);

async fn sign_up_creates_an_account(server: &TestServer) {
    let body = json!({"email": " User@EXAMPLE.com ", "user_name": "USER_NAME", "password": PASSWORD});
    let created = call(server, "/auth/signup", body).await.is(200).json();
    assert_eq!(created["user_name"], "USER_NAME");
    assert_eq!(created.as_object().unwrap().len(), 2, "{created}");
    let user = server.plan().json(&["users", "show", "user@example.com"], "");
    assert_eq!((&user["id"], &user["full_name"]), (&created["user_id"], &"USER_NAME".into()));
    assert_eq!((&user["username"], &user["verified"]), (&serde_json::Value::Null, &false.into()));
    let signed_in = try_sign_in(server, "user@example.com", PASSWORD).await.is(200).json();
    assert_eq!(signed_in["user_name"], "USER_NAME");
}

async fn empty_fields_are_reported_before_malformed_ones(server: &TestServer) {
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
        call(server, "/auth/signup", body).await.has_code(400, code);
    }
    // A missing or null field counts as empty.
    for (body, code) in [
        (json!({}), "129"),
        (json!({"email": null, "user_name": "name", "password": PASSWORD}), "129"),
        (json!({"email": "a@example.org"}), "130"),
        (json!({"email": "a@example.org", "password": PASSWORD, "user_name": null}), "131"),
    ] {
        call(server, "/auth/signup", body).await.has_code(400, code);
    }
}

async fn address_is_unique_in_every_spelling(server: &TestServer) {
    let member = member(server, "taken").await;
    for email in [member.email.as_str(), "TAKEN@Example.ORG", " taken@example.org"] {
        let body = json!({"email": email, "user_name": "another", "password": PASSWORD});
        call(server, "/auth/signup", body).await.has_code(409, "133");
    }
}

async fn user_name_may_repeat_and_have_any_letters(server: &TestServer) {
    for (index, name) in ["名稱🦀 o'Hara <b>@", "same", "same", "sixteen letters!"].into_iter().enumerate() {
        let body = json!({"email": format!("named-{index}@example.org"), "user_name": name, "password": PASSWORD});
        assert_eq!(call(server, "/auth/signup", body).await.is(200).json()["user_name"], name);
    }
    // The limit is 16 letters, not bytes.
    let body = json!({"email": "long@example.org", "user_name": "字".repeat(16), "password": PASSWORD});
    call(server, "/auth/signup", body).await.is(200);
    for bad in ["a\u{0}b", "a\nb"] {
        let body = json!({"email": "control@example.org", "user_name": bad, "password": PASSWORD});
        call(server, "/auth/signup", body).await.has_code(400, "USER_NAME_INVALID");
    }
}

async fn weak_password_creates_no_account(server: &TestServer) {
    for weak in ["short", "password123", &"x".repeat(129), " "] {
        let body = json!({"email": "weak@example.org", "user_name": "weak", "password": weak});
        call(server, "/auth/signup", body).await.has_code(400, "PASSWORD_TOO_WEAK");
    }
    let body = json!({"email": "weak@example.org", "user_name": "weak", "password": PASSWORD});
    call(server, "/auth/signup", body).await.is(200);
}
