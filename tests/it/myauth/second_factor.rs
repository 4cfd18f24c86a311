//! `new-totp`, `totp`: the second factor, from its secret to its end.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Member, by, claim, done, faults, magic, me, member, of, post, refused, sign_in, step, tokens};
use crate::support::outbox::wait_for_mail;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::totp::{code, wrong_code};

over_both_stores!(
    |plan| plan;
    it_is_asked_for_turned_on_and_due,
    only_the_pending_secret_counts,
    what_is_needed_to_turn_it_on,
    a_step_is_used_once,
    a_recovery_code_is_used_once,
    one_of_many_at_once_takes_the_second_step,
    a_magic_link_does_not_go_round_it,
    it_is_turned_off_with_the_password,
    the_token_of_the_second_step_is_for_nothing_else,
    tries_at_it_are_counted,
);

const NO_CODE: &str = "Login failed; unable to verify TOTP.";
const NOT_ON: &str = "Unable to authenticate or activate TOTP.";

/// Draws a secret; its letters and its address.
async fn begin(server: &TestServer, who: &Member) -> (String, String) {
    let answer = by(server, Method::POST, "/auth/login/new-totp", &who.access).send_checked().await;
    let body = answer.is(200).json();
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (text("key"), text("uri"))
}

async fn enable(server: &TestServer, who: &Member, body: Value) -> HttpResponse {
    by(server, Method::PUT, "/auth/login/totp", &who.access).json(&body).send_checked().await
}

/// Somebody whose second factor is on; its secret and the recovery codes. The present step is used up.
async fn guarded(server: &TestServer) -> (Member, String, Vec<String>) {
    let who = member(server).await;
    let (key, uri) = begin(server, &who).await;
    let answer = enable(server, &who, json!({"claim": code(&key, 0), "uri": uri, "password": PASSWORD})).await;
    let body = answer.is(200).json();
    assert_eq!(body["msg"], "TOTP enabled. Do not lose your recovery code.");
    assert_eq!(answer.header("cache-control"), "no-store");
    let codes = body["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (who, key, codes.collect())
}

async fn second(server: &TestServer, token: &str, code: &str) -> HttpResponse {
    post(server, "/auth/login/totp", token, json!({"claim": code})).await
}

async fn it_is_asked_for_turned_on_and_due(server: &TestServer) {
    let who = member(server).await;
    let (key, uri) = begin(server, &who).await;
    assert!(key.len() >= 32 && key.bytes().all(|byte| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".contains(&byte)), "{key}");
    assert!(uri.starts_with("otpauth://totp/Signet:") && uri.contains(&format!("secret={key}")), "{uri}");
    assert!(uri.contains("issuer=Signet"), "{uri}");
    assert_eq!(me(server, &who.access).await["totp"], false, "nothing is on yet");
    tokens(&sign_in(server, &who.email, PASSWORD).await);

    let (who, key, codes) = guarded(server).await;
    assert_eq!(me(server, &who.access).await["totp"], true);
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
    for code in &codes {
        let letters = code.chars().filter(char::is_ascii_alphanumeric).count();
        assert!(letters * 5 >= 112, "{letters} letters of five bits each");
    }
    let notice = wait_for_mail(server, &who.email, 0).await;
    assert!(!notice.source.contains(&key) && codes.iter().all(|code| !notice.source.contains(code)));

    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    assert_eq!(payload(&token)["totp"], true);
    assert_eq!(payload(&who.access).get("totp"), None);
    let (access, refresh) = tokens(&second(server, &token, &code(&key, 1)).await);
    assert_eq!(me(server, &access).await["id"], who.id);
    tokens(&by(server, Method::POST, "/auth/login/refresh", &refresh).send_checked().await);
    refused(&sign_in(server, &who.email, "not the password").await, 400, "Login failed; incorrect email or password.");
}

/// What a client reads in a token.
fn payload(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn only_the_pending_secret_counts(server: &TestServer) {
    let (who, thief) = (member(server).await, member(server).await);
    let (foreign, foreign_uri) = begin(server, &thief).await;
    let (first, _) = begin(server, &who).await;
    let (key, _) = begin(server, &who).await;
    for other in [&foreign, &first] {
        let body = json!({"claim": code(other, 0), "uri": foreign_uri, "password": PASSWORD});
        refused(&enable(server, &who, body).await, 400, NOT_ON);
    }
    enable(server, &who, json!({"claim": code(&key, 0), "uri": foreign_uri, "password": PASSWORD})).await.is(200);
    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    refused(&second(server, &token, &code(&foreign, 1)).await, 400, NO_CODE);
    tokens(&second(server, &token, &code(&key, 1)).await);
}

async fn what_is_needed_to_turn_it_on(server: &TestServer) {
    let who = member(server).await;
    let body = |code: String, password: Value| json!({"claim": code, "uri": "otpauth://", "password": password});
    refused(&enable(server, &who, body("123456".to_owned(), json!(PASSWORD))).await, 400, NOT_ON);
    let (key, _) = begin(server, &who).await;
    refused(&enable(server, &who, body(wrong_code(&key), json!(PASSWORD))).await, 400, NOT_ON);
    refused(&enable(server, &who, body(code(&key, 0), json!("not the password"))).await, 400, NOT_ON);
    refused(&enable(server, &who, body(code(&key, 0), Value::Null)).await, 400, NOT_ON);
    assert_eq!(
        faults(&enable(server, &who, json!({})).await),
        of(&[("body.claim", "missing"), ("body.uri", "missing")])
    );
    assert_eq!(me(server, &who.access).await["totp"], false);
    enable(server, &who, body(code(&key, 0), json!(PASSWORD))).await.is(200);
    let (key, _) = begin(server, &who).await;
    refused(&enable(server, &who, body(code(&key, 0), json!(PASSWORD))).await, 400, NOT_ON);
    for (method, path) in [(Method::POST, "new-totp"), (Method::PUT, "totp"), (Method::DELETE, "totp")] {
        let path = format!("/auth/login/{path}");
        refused(&server.request(method.clone(), &path).send_checked().await, 401, "Not authenticated");
        refused(&by(server, method, &path, "garbage").send_checked().await, 401, "Could not validate credentials");
    }
}

async fn a_step_is_used_once(server: &TestServer) {
    let (who, key, codes) = guarded(server).await;
    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    let used = code(&key, 1);
    tokens(&second(server, &token, &used).await);
    let again = step(&sign_in(server, &who.email, PASSWORD).await);
    for late in [&used, &code(&key, 0), &code(&key, -1), &wrong_code(&key)] {
        refused(&second(server, &again, late).await, 400, NO_CODE);
    }
    // The token bears a wrong code, and is good for as long as the second step may be taken.
    tokens(&second(server, &again, &codes[0]).await);
}

async fn a_recovery_code_is_used_once(server: &TestServer) {
    let (who, _, codes) = guarded(server).await;
    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    for (at, code) in codes.iter().enumerate() {
        let spelt = if at % 2 == 0 { code.to_uppercase().replace('-', " ") } else { code.clone() };
        tokens(&second(server, &token, &spelt).await);
        refused(&second(server, &token, code).await, 400, NO_CODE);
    }
}

async fn one_of_many_at_once_takes_the_second_step(server: &TestServer) {
    let (who, key, codes) = guarded(server).await;
    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    for once in [code(&key, 1), codes[3].clone()] {
        let answers = join_all((0..12).map(|_| second(server, &token, &once))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    }
}

async fn a_magic_link_does_not_go_round_it(server: &TestServer) {
    let (who, key, _) = guarded(server).await;
    let half = magic(server, &who.email).await;
    let token = wait_for_mail(server, &who.email, 1).await.token();
    let due = step(&claim(server, &token, &half).await);
    refused(&claim(server, &token, &half).await, 400, "Login failed; invalid claim.");
    tokens(&second(server, &due, &code(&key, 1)).await);
    let due = server.try_sign_in(&who.email, PASSWORD).await;
    due.is_problem(401, "mfa_required");
}

async fn it_is_turned_off_with_the_password(server: &TestServer) {
    let (who, key, codes) = guarded(server).await;
    let off = async |body: Value| {
        by(server, Method::DELETE, "/auth/login/totp", &who.access).json(&body).send_checked().await
    };
    for body in [json!({}), json!({"original": null}), json!({"original": "not the password"})] {
        refused(&off(body).await, 400, "Unable to authenticate or deactivate TOTP.");
    }
    let bare = by(server, Method::DELETE, "/auth/login/totp", &who.access).send_checked().await;
    refused(&bare, 400, "Unable to authenticate or deactivate TOTP.");
    assert_eq!(faults(&off(json!({"original": 1})).await), of(&[("body.original", "string_type")]));
    let due = step(&sign_in(server, &who.email, PASSWORD).await);
    const OFF: &str = "TOTP disabled. You can re-enable it at any time.";
    done(&off(json!({"original": PASSWORD})).await, OFF);
    assert_eq!(me(server, &who.access).await["totp"], false);
    tokens(&sign_in(server, &who.email, PASSWORD).await);
    wait_for_mail(server, &who.email, 1).await;
    // Off already is off.
    done(&off(json!({"original": PASSWORD})).await, OFF);
    // Turned on anew, neither a code nor a recovery code of the old one is good.
    let (new, uri) = begin(server, &who).await;
    enable(server, &who, json!({"claim": code(&new, 0), "uri": uri, "password": PASSWORD})).await.is(200);
    for old in [&code(&key, 1), &codes[0]] {
        refused(&second(server, &due, old).await, 400, NO_CODE);
    }
    tokens(&second(server, &due, &code(&new, 1)).await);
}

async fn the_token_of_the_second_step_is_for_nothing_else(server: &TestServer) {
    let (who, key, codes) = guarded(server).await;
    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    refused(
        &by(server, Method::GET, "/auth/users/me", &token).send_checked().await,
        401,
        "Could not validate credentials",
    );
    assert_ne!(server.rejection_reason(&token).await, "");
    for not_one in [&who.access, &who.refresh, "garbage"] {
        refused(&second(server, not_one, &codes[0]).await, 401, "Could not validate credentials");
    }
    let without = server.post("/auth/login/totp").json(&json!({"claim": codes[0]})).send_checked().await;
    refused(&without, 401, "Not authenticated");
    assert_eq!(faults(&post(server, "/auth/login/totp", &token, json!({})).await), of(&[("body.claim", "missing")]));
    // Nor after the password was changed.
    let change = json!({"password": super::OTHER, "original": PASSWORD});
    by(server, Method::PUT, "/auth/users/me", &who.access).json(&change).send_checked().await.is(200);
    refused(&second(server, &token, &code(&key, 1)).await, 401, "Could not validate credentials");
    let token = step(&sign_in(server, &who.email, super::OTHER).await);
    tokens(&second(server, &token, &codes[0]).await);
}

/// Beside every limit of rates: a person has so many wrong tries a day, at codes of whatever kind.
async fn tries_at_it_are_counted(server: &TestServer) {
    let (who, key, codes) = guarded(server).await;
    let token = step(&sign_in(server, &who.email, PASSWORD).await);
    let wrong = wrong_code(&key);
    for _ in 0..20 {
        refused(&second(server, &token, &wrong).await, 400, NO_CODE);
    }
    for none in [&wrong, &code(&key, 1), &codes[0]] {
        refused(&second(server, &token, none).await, 429, "Too Many Requests");
    }
}
