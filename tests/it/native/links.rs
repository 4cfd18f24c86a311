//! `POST /links/magic` and `POST /links/reset`, which the landing pages call for links that need the device secret.
//! Links without a device secret are tested in `v1` and `ucontact`, which mail them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::{outbox, totp};

over_both_stores!(|plan| plan;
    magic_link_with_its_device_secret_signs_in_once,
    wrong_token_or_device_secret_is_refused,
    missing_totp_code_does_not_use_up_the_link,
    magic_link_signs_up_a_new_address,
    reset_link_with_its_device_secret_works_once,
    missing_fields_are_rejected,
);

/// Requests a link; returns the mailed token and the device secret.
async fn request_link(server: &TestServer, kind: &str, email: &str, before: usize) -> (String, String) {
    let body = server.post(&format!("/auth/login/{kind}/{email}")).send_checked().await.is(200).json();
    let claim = body["claim"].as_str().unwrap_or_else(|| panic!("no claim: {body}")).to_owned();
    (outbox::wait_for_mail(server, email, before).await.token(), claim)
}

async fn redeem(server: &TestServer, token: &str, claim: &str, code: Option<&str>) -> HttpResponse {
    server.post("/links/magic").json(&json!({"token": token, "claim": claim, "totp_code": code})).send_checked().await
}

async fn magic_link_with_its_device_secret_signs_in_once(server: &TestServer) {
    let user = server.create_user(&[]);
    let (token, claim) = request_link(server, "magic", &user.email, 0).await;
    let responses = join_all((0..8).map(|_| redeem(server, &token, &claim, None))).await;
    let successes: Vec<_> = responses.iter().filter(|response| response.status == 201).collect();
    assert_eq!(successes.len(), 1);
    for refused in responses.iter().filter(|response| response.status != 201) {
        refused.is_problem(400, "invalid_link");
    }
    assert_eq!(successes[0].header("cache-control"), "no-store");
    assert_eq!(successes[0].json()["user_id"], user.id);
    let tokens = successes[0].tokens();
    server.verify(&tokens.access).await.is(200);
    server.refresh(&tokens.refresh).await.is(200);
    assert_eq!(server.plan().json(&["users", "show", &user.email], "")["verified"], true);
}

async fn wrong_token_or_device_secret_is_refused(server: &TestServer) {
    let (one, other) = (server.create_user(&[]), server.create_user(&[]));
    let (token, claim) = request_link(server, "magic", &one.email, 0).await;
    let (_, other_claim) = request_link(server, "magic", &other.email, 0).await;
    let access = server.sign_in(&one).await.access;
    for bad in ["", "garbage", &access, &tamper_signature(&token)] {
        redeem(server, bad, &claim, None).await.is_problem(400, "invalid_link");
    }
    for bad in ["", "garbage", &other_claim] {
        redeem(server, &token, bad, None).await.is_problem(400, "invalid_link");
    }
    redeem(server, &token, &claim, None).await.is(201);
}

async fn missing_totp_code_does_not_use_up_the_link(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let (key, _) = totp::enable_totp(server, &server.sign_in(&user).await.access, PASSWORD).await;
    // Enabling the second factor sends a mail of its own.
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, &user.email).len();
    let (token, claim) = request_link(server, "magic", &user.email, before).await;
    redeem(server, &token, &claim, None).await.is_problem(401, "mfa_required");
    redeem(server, &token, &claim, Some(&totp::wrong_code(&key))).await.is_problem(401, "invalid_mfa_code");
    redeem(server, &token, "garbage", Some(&totp::code(&key, 1))).await.is_problem(400, "invalid_link");
    redeem(server, &token, &claim, Some(&totp::code(&key, 1))).await.is(201);
    redeem(server, &token, &claim, None).await.is_problem(400, "invalid_link");
}

async fn magic_link_signs_up_a_new_address(server: &TestServer) {
    let (token, claim) = request_link(server, "magic", "newcomer@example.org", 0).await;
    let tokens = redeem(server, &token, &claim, None).await.is(201).json();
    let shown = server.plan().json(&["users", "show", "newcomer@example.org"], "");
    assert_eq!((&shown["id"], &shown["verified"]), (&tokens["user_id"], &true.into()));
}

async fn reset_link_with_its_device_secret_works_once(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    let (token, claim) = request_link(server, "recover", &user.email, 0).await;
    let new = "another harbour at dawn";
    let reset = async |token: &str, claim: Value, new: &str| {
        server
            .post("/links/reset")
            .json(&json!({"token": token, "claim": claim, "new_password": new}))
            .send_checked()
            .await
    };
    reset(&token, json!(claim), "password").await.is_problem(400, "weak_password");
    // The mailed token alone is not enough.
    reset(&token, json!(null), new).await.is_problem(400, "invalid_link");
    reset(&token, json!("garbage"), new).await.is_problem(400, "invalid_link");
    reset(&tamper_signature(&token), json!(claim), new).await.is_problem(400, "invalid_link");
    assert_eq!(reset(&token, json!(claim), new).await.is(204).text, "");
    reset(&token, json!(claim), new).await.is_problem(400, "invalid_link");
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(401, "invalid_credentials");
    server.try_sign_in(&user.email, new).await.is(201);
}

async fn missing_fields_are_rejected(server: &TestServer) {
    for path in ["/links/magic", "/links/reset", "/links/confirm"] {
        server.post(path).json(&json!({})).send_checked().await.is_problem(400, "invalid_fields");
        server.post(path).body("{}").send_checked().await.is_problem(415, "unsupported_media_type");
        server.delete(path).send_checked().await.is_problem(405, "method_not_allowed");
    }
}
