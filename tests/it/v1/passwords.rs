//! `POST /api/v1/password-reset` and `/password-reset-confirm`.

use serde_json::json;

use super::*;
use crate::support::outbox::mails;
use crate::support::server::{over_both_stores, tamper_signature};

const NEW: &str = "654321";

over_both_stores!(published;
    a_new_password_is_set_and_every_session_ended,
    only_address_and_name_that_belong_together_bring_a_mail,
    what_is_wrong_with_the_password_leaves_the_link_as_it_was,
    what_is_no_link_sets_nothing,
    a_link_is_good_once_however_many_try_at_once,
    a_new_password_spoils_every_link_from_before,
    the_landing_page_redeems_the_same_link_by_stricter_rules,
);

async fn ask(server: &TestServer, email: &str, username: &str) -> HttpResponse {
    call(server, "/api/v1/password-reset", json!({"email": email, "username": username})).await
}

async fn confirm(server: &TestServer, token: &str, new: &str, again: &str) -> HttpResponse {
    let body = json!({"new_password": new, "new_password_confirm": again});
    call(server, &format!("/api/v1/password-reset-confirm?token={token}"), body).await
}

/// The token of a link that is asked for now, and comes after `before` mails.
async fn link(server: &TestServer, member: &Member, before: usize) -> String {
    ask(server, &member.email, &member.username).await.is(200);
    mailed(server, &member.email, before).await
}

async fn a_new_password_is_set_and_every_session_ended(server: &TestServer) {
    let member = member(server, "forgetful").await;
    let (one, other) = (sign_in(server, &member).await, sign_in(server, &member).await);
    let elsewhere = server.try_sign_in(&member.email, PASSWORD).await.is(201).tokens();

    ask(server, " FORGETFUL@example.com", "Forgetful").await.says(200, "password reset requested");
    let mail = outbox::wait_for_mail(server, &member.email, 0).await;
    assert!(mail.link().starts_with("https://app.example.org/reset?token="), "{}", mail.link());
    confirm(server, &mail.token(), NEW, NEW).await.says(200, "password reset successful");

    for access in [&one.access, &other.access, &elsewhere.access] {
        me(server, access).await.tells(401, "invalid token");
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }
    for token in [&one.refresh, &other.refresh, &elsewhere.refresh] {
        refresh(server, token).await.tells(401, "invalid refresh token");
    }
    try_sign_in(server, &member.email, PASSWORD).await.tells(401, "invalid email or password");
    try_sign_in(server, &member.email, NEW).await.is(200);
    // Who reads an address's mail owns the address.
    assert_eq!(server.plan().json(&["users", "show", &member.email], "")["verified"], true);
    confirm(server, &mail.token(), NEW, NEW).await.tells(400, "invalid or expired token");
    // And its owner is told.
    outbox::wait_for_mail(server, &member.email, 1).await;
}

async fn only_address_and_name_that_belong_together_bring_a_mail(server: &TestServer) {
    let (known, _) = (member(server, "known").await, member(server, "marker").await);
    let expected = ask(server, &known.email, &known.username).await.without_per_response_headers();
    for (email, username) in [
        (known.email.as_str(), "marker"),
        (known.email.as_str(), ""),
        ("nobody@example.com", "known"),
        ("nobody@example.com", "nobody"),
        ("no address", "known"),
    ] {
        assert_eq!(ask(server, email, username).await.without_per_response_headers(), expected, "{email} {username}");
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(mails(server, &known.email).len(), 1);
    assert_eq!(mails(server, "nobody@example.com").len(), 0);
    for body in [json!({"email": known.email}), json!({"username": "known"}), json!({})] {
        call(server, "/api/v1/password-reset", body).await.tells(400, "invalid request");
    }
}

async fn what_is_wrong_with_the_password_leaves_the_link_as_it_was(server: &TestServer) {
    let member = member(server, "clumsy").await;
    let token = link(server, &member, 0).await;
    // More often than a link bears wrong tries: these are none.
    for _ in 0..6 {
        confirm(server, &token, NEW, "654322").await.tells(400, "password not confirm");
        confirm(server, &token, "12345", "12345").await.tells(400, "invalid password");
    }
    let path = format!("/api/v1/password-reset-confirm?token={token}");
    for body in [json!({"new_password": NEW}), json!({"new_password_confirm": NEW}), json!({})] {
        call(server, &path, body).await.tells(400, "invalid request");
    }
    try_sign_in(server, &member.email, PASSWORD).await.is(200);
    confirm(server, &token, NEW, NEW).await.is(200);
}

async fn what_is_no_link_sets_nothing(server: &TestServer) {
    let member = member(server, "target").await;
    let signed = sign_in(server, &member).await;
    register(server, "?sendEmail=true", "confirming").await.is(201);
    let confirming = mailed(server, "confirming@example.com", 0).await;
    let token = link(server, &member, 0).await;
    for bad in ["", "garbage", &signed.access, &signed.refresh, &confirming, &tamper_signature(&token)] {
        confirm(server, bad, NEW, NEW).await.tells(400, "invalid or expired token");
    }
    let missing = json!({"new_password": NEW, "new_password_confirm": NEW});
    call(server, "/api/v1/password-reset-confirm", missing).await.tells(400, "invalid request");
    // It sets a password, and neither lets in nor confirms.
    me(server, &token).await.tells(401, "invalid token");
    server.get(&format!("/api/v1/verify?token={token}")).send_checked().await.tells(401, "invalid token");
    server.plan().json(&["users", "delete", &member.email], "");
    confirm(server, &token, NEW, NEW).await.tells(400, "invalid or expired token");
}

async fn a_link_is_good_once_however_many_try_at_once(server: &TestServer) {
    let member = member(server, "racing").await;
    let token = link(server, &member, 0).await;
    let all = futures_util::future::join_all((0..8).map(|_| confirm(server, &token, NEW, NEW))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1);
    for refused in all.iter().filter(|answer| answer.status != 200) {
        refused.tells(400, "invalid or expired token");
    }
    try_sign_in(server, &member.email, NEW).await.is(200);
}

async fn a_new_password_spoils_every_link_from_before(server: &TestServer) {
    let member = member(server, "impatient").await;
    let (older, newer) = (link(server, &member, 0).await, link(server, &member, 1).await);
    confirm(server, &older, NEW, NEW).await.is(200);
    confirm(server, &newer, NEW, NEW).await.tells(400, "invalid or expired token");
}

async fn the_landing_page_redeems_the_same_link_by_stricter_rules(server: &TestServer) {
    let member = member(server, "landing").await;
    let token = link(server, &member, 0).await;
    let reset = async |body: Value| call(server, "/links/reset", body).await;
    reset(json!({"token": token, "new_password": NEW})).await.is_problem(400, "weak_password");
    let new = "a quiet harbour at dusk";
    // A link of one half has no other.
    let halves = json!({"token": token, "new_password": new, "claim": "x"});
    reset(halves).await.is_problem(400, "invalid_link");
    assert_eq!(reset(json!({"token": token, "new_password": new})).await.is(204).text, "");
    reset(json!({"token": token, "new_password": new})).await.is_problem(400, "invalid_link");
    reset(json!({"token": token})).await.is_problem(400, "invalid_fields");
    try_sign_in(server, &member.email, new).await.is(200);
}
