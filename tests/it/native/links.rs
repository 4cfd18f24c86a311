//! What the landing pages call for links of two halves: `POST /links/magic` and `POST /links/reset`. Links of one are looked at in
//! `v1` and `ucontact`, which mail them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores, tampered};
use crate::support::{outbox, totp};

over_both_stores!(|plan| plan;
    both_halves_of_a_magic_link_sign_in_once,
    a_wrong_half_lets_nobody_in,
    a_second_factor_that_is_due_leaves_the_link_as_it_was,
    a_new_address_is_signed_up_by_its_link,
    both_halves_of_a_reset_set_a_password_once,
    what_is_missing_is_told,
);

/// Asks for a link of two halves: the mailed one, and the device's.
async fn halves(server: &TestServer, what: &str, email: &str, before: usize) -> (String, String) {
    let asked = server.post(&format!("/auth/login/{what}/{email}")).send_checked().await.is(200).json();
    let claim = asked["claim"].as_str().unwrap_or_else(|| panic!("no claim: {asked}")).to_owned();
    (outbox::next(server, email, before).await.token(), claim)
}

async fn magic(server: &TestServer, token: &str, claim: &str, code: Option<&str>) -> HttpResponse {
    server.post("/links/magic").json(&json!({"token": token, "claim": claim, "totp_code": code})).send_checked().await
}

async fn both_halves_of_a_magic_link_sign_in_once(server: &TestServer) {
    let person = server.person(&[]);
    let (token, claim) = halves(server, "magic", &person.email, 0).await;
    let all = join_all((0..8).map(|_| magic(server, &token, &claim, None))).await;
    let signed: Vec<_> = all.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(signed.len(), 1);
    for refused in all.iter().filter(|answer| answer.status != 201) {
        refused.is_problem(400, "magic-not-in-force");
    }
    assert_eq!(signed[0].header("cache-control"), "no-store");
    assert_eq!(signed[0].json()["user_id"], person.id);
    let tokens = signed[0].tokens();
    server.verify(&tokens.access).await.is(200);
    server.refresh(&tokens.refresh).await.is(200);
    assert_eq!(server.plan().json(&["users", "show", &person.email], "")["verified"], true);
}

async fn a_wrong_half_lets_nobody_in(server: &TestServer) {
    let (one, other) = (server.person(&[]), server.person(&[]));
    let (token, claim) = halves(server, "magic", &one.email, 0).await;
    let (_, others) = halves(server, "magic", &other.email, 0).await;
    let access = server.sign_in(&one).await.access;
    for bad in ["", "garbage", &access, &tampered(&token)] {
        magic(server, bad, &claim, None).await.is_problem(400, "magic-not-in-force");
    }
    for bad in ["", "garbage", &others] {
        magic(server, &token, bad, None).await.is_problem(400, "magic-not-in-force");
    }
    magic(server, &token, &claim, None).await.is(201);
}

async fn a_second_factor_that_is_due_leaves_the_link_as_it_was(server: &TestServer) {
    let person = server.person(&[]);
    let (key, _) = totp::turn_on(server, &server.sign_in(&person).await.access, PASSWORD).await;
    // The one that tells of it.
    outbox::settled(server).await;
    let before = outbox::mails(server, &person.email).len();
    let (token, claim) = halves(server, "magic", &person.email, before).await;
    magic(server, &token, &claim, None).await.is_problem(401, "totp-required");
    magic(server, &token, &claim, Some(&totp::wrong_code(&key))).await.is_problem(401, "wrong-second-factor");
    magic(server, &token, "garbage", Some(&totp::code(&key, 1))).await.is_problem(400, "magic-not-in-force");
    magic(server, &token, &claim, Some(&totp::code(&key, 1))).await.is(201);
    magic(server, &token, &claim, None).await.is_problem(400, "magic-not-in-force");
}

async fn a_new_address_is_signed_up_by_its_link(server: &TestServer) {
    let (token, claim) = halves(server, "magic", "newcomer@example.org", 0).await;
    let made = magic(server, &token, &claim, None).await.is(201).json();
    let shown = server.plan().json(&["users", "show", "newcomer@example.org"], "");
    assert_eq!((&shown["id"], &shown["verified"]), (&made["user_id"], &true.into()));
}

async fn both_halves_of_a_reset_set_a_password_once(server: &TestServer) {
    let person = server.person(&[]);
    let tokens = server.sign_in(&person).await;
    let (token, claim) = halves(server, "recover", &person.email, 0).await;
    let new = "another harbour at dawn";
    let reset = async |token: &str, claim: Value, new: &str| {
        server
            .post("/links/reset")
            .json(&json!({"token": token, "claim": claim, "new_password": new}))
            .send_checked()
            .await
    };
    reset(&token, json!(claim), "password").await.is_problem(400, "weak-password");
    // The mailed half alone is not enough.
    reset(&token, json!(null), new).await.is_problem(400, "reset-not-in-force");
    reset(&token, json!("garbage"), new).await.is_problem(400, "reset-not-in-force");
    reset(&tampered(&token), json!(claim), new).await.is_problem(400, "reset-not-in-force");
    assert_eq!(reset(&token, json!(claim), new).await.is(204).text, "");
    reset(&token, json!(claim), new).await.is_problem(400, "reset-not-in-force");
    assert_eq!(server.reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    server.try_sign_in(&person.email, PASSWORD).await.is_problem(401, "wrong-password");
    server.try_sign_in(&person.email, new).await.is(201);
}

async fn what_is_missing_is_told(server: &TestServer) {
    for path in ["/links/magic", "/links/reset", "/links/confirm"] {
        server.post(path).json(&json!({})).send_checked().await.is_problem(400, "fields");
        server.post(path).body("{}").send_checked().await.is_problem(415, "unsupported-media-type");
        server.delete(path).send_checked().await.is_problem(405, "method-not-allowed");
    }
}
