//! `POST /api/v1/password-reset` and `/password-reset-confirm`.

use serde_json::json;

use super::*;
use crate::support::outbox::mails;
use crate::support::server::{over_both_stores, tamper_signature};

const NEW_PASSWORD: &str = "654321";

over_both_stores!(
    published;
    reset_sets_the_password_and_ends_every_session,
    mail_needs_matching_address_and_username,
    rejected_password_does_not_consume_the_link,
    other_tokens_do_not_reset,
    concurrent_resets_succeed_once,
    reset_voids_other_reset_links,
    landing_page_applies_stricter_rules_to_the_same_link,
);

async fn request_reset(server: &TestServer, email: &str, username: &str) -> HttpResponse {
    call(server, "/api/v1/password-reset", json!({"email": email, "username": username})).await
}

async fn confirm(server: &TestServer, token: &str, new: &str, again: &str) -> HttpResponse {
    let body = json!({"new_password": new, "new_password_confirm": again});
    call(server, &format!("/api/v1/password-reset-confirm?token={token}"), body).await
}

/// Requests a reset; returns the token in the mail, which follows the first `before` mails.
async fn reset_token(server: &TestServer, member: &Member, before: usize) -> String {
    request_reset(server, &member.email, &member.username).await.is(200);
    mailed_token(server, &member.email, before).await
}

async fn reset_sets_the_password_and_ends_every_session(server: &TestServer) {
    let member = member(server, "forgetful").await;
    let (one, other) = (sign_in(server, &member).await, sign_in(server, &member).await);
    let elsewhere = server.try_sign_in(&member.email, PASSWORD).await.is(201).tokens();

    request_reset(server, " FORGETFUL@example.com", "Forgetful").await.is_message(200, "password reset requested");
    let mail = outbox::wait_for_mail(server, &member.email, 0).await;
    assert!(mail.link().starts_with("https://app.example.org/reset?token="), "{}", mail.link());
    confirm(server, &mail.token(), NEW_PASSWORD, NEW_PASSWORD).await.is_message(200, "password reset successful");

    for access in [&one.access, &other.access, &elsewhere.access] {
        me(server, access).await.is_error(401, "invalid token");
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }
    for token in [&one.refresh, &other.refresh, &elsewhere.refresh] {
        refresh(server, token).await.is_error(401, "invalid refresh token");
    }
    try_sign_in(server, &member.email, PASSWORD).await.is_error(401, "invalid email or password");
    try_sign_in(server, &member.email, NEW_PASSWORD).await.is(200);
    // Redeeming a mailed link proves the address.
    assert_eq!(server.plan().json(&["users", "show", &member.email], "")["verified"], true);
    confirm(server, &mail.token(), NEW_PASSWORD, NEW_PASSWORD).await.is_error(400, "invalid or expired token");
    // The owner is notified of the change.
    outbox::wait_for_mail(server, &member.email, 1).await;
}

async fn mail_needs_matching_address_and_username(server: &TestServer) {
    let (known, _) = (member(server, "known").await, member(server, "marker").await);
    let expected = request_reset(server, &known.email, &known.username).await.without_per_response_headers();
    for (email, username) in [
        (known.email.as_str(), "marker"),
        (known.email.as_str(), ""),
        ("nobody@example.com", "known"),
        ("nobody@example.com", "nobody"),
        ("no address", "known"),
    ] {
        assert_eq!(
            request_reset(server, email, username).await.without_per_response_headers(),
            expected,
            "{email} {username}"
        );
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(mails(server, &known.email).len(), 1);
    assert_eq!(mails(server, "nobody@example.com").len(), 0);
    for body in [json!({"email": known.email}), json!({"username": "known"}), json!({})] {
        call(server, "/api/v1/password-reset", body).await.is_error(400, "invalid request");
    }
}

async fn rejected_password_does_not_consume_the_link(server: &TestServer) {
    let member = member(server, "clumsy").await;
    let token = reset_token(server, &member, 0).await;
    // Six tries, one more than the wrong ones that a link allows: a rejected password is not a wrong try.
    for _ in 0..6 {
        confirm(server, &token, NEW_PASSWORD, "654322").await.is_error(400, "password not confirm");
        confirm(server, &token, "12345", "12345").await.is_error(400, "invalid password");
    }
    let path = format!("/api/v1/password-reset-confirm?token={token}");
    for body in [json!({"new_password": NEW_PASSWORD}), json!({"new_password_confirm": NEW_PASSWORD}), json!({})] {
        call(server, &path, body).await.is_error(400, "invalid request");
    }
    try_sign_in(server, &member.email, PASSWORD).await.is(200);
    confirm(server, &token, NEW_PASSWORD, NEW_PASSWORD).await.is(200);
}

async fn other_tokens_do_not_reset(server: &TestServer) {
    let member = member(server, "target").await;
    let tokens = sign_in(server, &member).await;
    register(server, "?sendEmail=true", "confirming").await.is(201);
    let confirming = mailed_token(server, "confirming@example.com", 0).await;
    let token = reset_token(server, &member, 0).await;
    for bad in ["", "garbage", &tokens.access, &tokens.refresh, &confirming, &tamper_signature(&token)] {
        confirm(server, bad, NEW_PASSWORD, NEW_PASSWORD).await.is_error(400, "invalid or expired token");
    }
    let body = json!({"new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD});
    call(server, "/api/v1/password-reset-confirm", body).await.is_error(400, "invalid request");
    // A reset token neither authenticates nor verifies an address.
    me(server, &token).await.is_error(401, "invalid token");
    server.get(&format!("/api/v1/verify?token={token}")).send_checked().await.is_error(401, "invalid token");
    server.plan().json(&["users", "delete", &member.email], "");
    confirm(server, &token, NEW_PASSWORD, NEW_PASSWORD).await.is_error(400, "invalid or expired token");
}

async fn concurrent_resets_succeed_once(server: &TestServer) {
    let member = member(server, "racing").await;
    let token = reset_token(server, &member, 0).await;
    let all = futures_util::future::join_all((0..8).map(|_| confirm(server, &token, NEW_PASSWORD, NEW_PASSWORD))).await;
    assert_eq!(all.iter().filter(|response| response.status == 200).count(), 1);
    for failed in all.iter().filter(|response| response.status != 200) {
        failed.is_error(400, "invalid or expired token");
    }
    try_sign_in(server, &member.email, NEW_PASSWORD).await.is(200);
}

async fn reset_voids_other_reset_links(server: &TestServer) {
    let member = member(server, "impatient").await;
    let (older, newer) = (reset_token(server, &member, 0).await, reset_token(server, &member, 1).await);
    confirm(server, &older, NEW_PASSWORD, NEW_PASSWORD).await.is(200);
    confirm(server, &newer, NEW_PASSWORD, NEW_PASSWORD).await.is_error(400, "invalid or expired token");
}

async fn landing_page_applies_stricter_rules_to_the_same_link(server: &TestServer) {
    let member = member(server, "landing").await;
    let token = reset_token(server, &member, 0).await;
    let reset = async |body: Value| call(server, "/links/reset", body).await;
    reset(json!({"token": token, "new_password": NEW_PASSWORD})).await.is_problem(400, "weak_password");
    let new = "a quiet harbour at dusk";
    // A link issued without a device secret accepts none.
    let with_secret = json!({"token": token, "new_password": new, "claim": "x"});
    reset(with_secret).await.is_problem(400, "invalid_link");
    assert_eq!(reset(json!({"token": token, "new_password": new})).await.is(204).text, "");
    reset(json!({"token": token, "new_password": new})).await.is_problem(400, "invalid_link");
    reset(json!({"token": token})).await.is_problem(400, "invalid_fields");
    try_sign_in(server, &member.email, new).await.is(200);
}
