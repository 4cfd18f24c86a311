//! `new-totp` and `totp`: TOTP is enrolled, enabled, required at sign-in, and disabled.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Member, assert_error, assert_msg, expected, field_errors, me, member, mfa_token, post, redeem_magic_link,
    request_as, request_magic_link, tokens, try_sign_in,
};
use crate::support::outbox::wait_for_mail;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::totp::{code, wrong_code};

over_both_stores!(
    |plan| plan.set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1");
    totp_is_enrolled_enabled_and_then_required,
    only_the_latest_enrollment_can_be_enabled,
    enabling_needs_enrollment_code_and_password,
    managing_totp_needs_an_access_token,
    totp_code_works_once,
    recovery_code_works_once,
    concurrent_uses_of_a_code_sign_in_once,
    magic_link_requires_the_second_factor,
    disabling_needs_the_password,
    mfa_token_is_accepted_by_the_second_step_only,
    wrong_codes_per_day_are_limited,
);

const INVALID_CODE: &str = "Login failed; unable to verify TOTP.";
const ENABLE_FAILED: &str = "Unable to authenticate or activate TOTP.";

/// Starts an enrollment; returns the key and its `otpauth` URI.
async fn enroll(server: &TestServer, member: &Member) -> (String, String) {
    let response = request_as(server, Method::POST, "/auth/login/new-totp", &member.access).send_checked().await;
    let body = response.is(200).json();
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (text("key"), text("uri"))
}

async fn enable(server: &TestServer, member: &Member, body: Value) -> HttpResponse {
    request_as(server, Method::PUT, "/auth/login/totp", &member.access).json(&body).send_checked().await
}

/// Creates a member with TOTP enabled; returns the key and the recovery codes. The current time step is used up.
async fn member_with_totp(server: &TestServer) -> (Member, String, Vec<String>) {
    let zoe = member(server).await;
    let (key, uri) = enroll(server, &zoe).await;
    let response = enable(server, &zoe, json!({"claim": code(&key, 0), "uri": uri, "password": PASSWORD})).await;
    let body = response.is(200).json();
    assert_eq!(body["msg"], "TOTP enabled. Do not lose your recovery code.");
    assert_eq!(response.header("cache-control"), "no-store");
    let codes = body["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (zoe, key, codes.collect())
}

async fn complete_login(server: &TestServer, token: &str, code: &str) -> HttpResponse {
    post(server, "/auth/login/totp", token, json!({"claim": code})).await
}

async fn totp_is_enrolled_enabled_and_then_required(server: &TestServer) {
    let zoe = member(server).await;
    let (key, uri) = enroll(server, &zoe).await;
    assert!(key.len() >= 32 && key.bytes().all(|byte| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".contains(&byte)), "{key}");
    assert!(uri.starts_with("otpauth://totp/Signet:") && uri.contains(&format!("secret={key}")), "{uri}");
    assert!(uri.contains("issuer=Signet"), "{uri}");
    assert_eq!(me(server, &zoe.access).await["totp"], false, "an enrollment alone enables nothing");
    tokens(&try_sign_in(server, &zoe.email, PASSWORD).await);

    let (zoe, key, codes) = member_with_totp(server).await;
    let user = me(server, &zoe.access).await;
    assert_eq!((&user["totp"], &user["totp_secret"]), (&json!(true), &json!(true)));
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
    for code in &codes {
        let letters = code.chars().filter(char::is_ascii_alphanumeric).count();
        assert!(letters * 5 >= 112, "{letters} letters of five bits each");
    }
    let notice = wait_for_mail(server, &zoe.email, 0).await;
    assert!(!notice.source.contains(&key) && codes.iter().all(|code| !notice.source.contains(code)));

    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    assert_eq!(payload(&token)["totp"], true);
    assert_eq!(payload(&zoe.access).get("totp"), None);
    let (access, refresh) = tokens(&complete_login(server, &token, &code(&key, 1)).await);
    assert_eq!(me(server, &access).await["id"], zoe.id);
    tokens(&request_as(server, Method::POST, "/auth/login/refresh", &refresh).send_checked().await);
    assert_error(
        &try_sign_in(server, &zoe.email, "not the password").await,
        400,
        "Login failed; incorrect email or password.",
    );
}

/// The payload of a token, as a client reads it.
fn payload(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn only_the_latest_enrollment_can_be_enabled(server: &TestServer) {
    let (zoe, thief) = (member(server).await, member(server).await);
    let (foreign, foreign_uri) = enroll(server, &thief).await;
    let (first, _) = enroll(server, &zoe).await;
    let (key, _) = enroll(server, &zoe).await;
    for other in [&foreign, &first] {
        let body = json!({"claim": code(other, 0), "uri": foreign_uri, "password": PASSWORD});
        assert_error(&enable(server, &zoe, body).await, 400, ENABLE_FAILED);
    }
    enable(server, &zoe, json!({"claim": code(&key, 0), "uri": foreign_uri, "password": PASSWORD})).await.is(200);
    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    assert_error(&complete_login(server, &token, &code(&foreign, 1)).await, 400, INVALID_CODE);
    tokens(&complete_login(server, &token, &code(&key, 1)).await);
}

async fn enabling_needs_enrollment_code_and_password(server: &TestServer) {
    let zoe = member(server).await;
    let body = |code: String, password: Value| json!({"claim": code, "uri": "otpauth://", "password": password});
    assert_error(&enable(server, &zoe, body("123456".to_owned(), json!(PASSWORD))).await, 400, ENABLE_FAILED);
    let (key, _) = enroll(server, &zoe).await;
    assert_error(&enable(server, &zoe, body(wrong_code(&key), json!(PASSWORD))).await, 400, ENABLE_FAILED);
    assert_error(&enable(server, &zoe, body(code(&key, 0), json!("not the password"))).await, 400, ENABLE_FAILED);
    assert_error(&enable(server, &zoe, body(code(&key, 0), Value::Null)).await, 400, ENABLE_FAILED);
    assert_eq!(
        field_errors(&enable(server, &zoe, json!({})).await),
        expected(&[("body.claim", "missing"), ("body.uri", "missing")])
    );
    assert_eq!(me(server, &zoe.access).await["totp"], false);
    enable(server, &zoe, body(code(&key, 0), json!(PASSWORD))).await.is(200);
    let (key, _) = enroll(server, &zoe).await;
    assert_error(&enable(server, &zoe, body(code(&key, 0), json!(PASSWORD))).await, 400, ENABLE_FAILED);
}

async fn managing_totp_needs_an_access_token(server: &TestServer) {
    for (method, path) in [(Method::POST, "new-totp"), (Method::PUT, "totp"), (Method::DELETE, "totp")] {
        let path = format!("/auth/login/{path}");
        assert_error(&server.request(method.clone(), &path).send_checked().await, 401, "Not authenticated");
        assert_error(
            &request_as(server, method, &path, "garbage").send_checked().await,
            401,
            "Could not validate credentials",
        );
    }
}

async fn totp_code_works_once(server: &TestServer) {
    let (zoe, key, codes) = member_with_totp(server).await;
    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    let used = code(&key, 1);
    tokens(&complete_login(server, &token, &used).await);
    let again = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    for late in [&used, &code(&key, 0), &code(&key, -1), &wrong_code(&key)] {
        assert_error(&complete_login(server, &again, late).await, 400, INVALID_CODE);
    }
    // A wrong code does not void the MFA token: it is valid until it expires.
    tokens(&complete_login(server, &again, &codes[0]).await);
}

async fn recovery_code_works_once(server: &TestServer) {
    let (zoe, _, codes) = member_with_totp(server).await;
    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    for (at, code) in codes.iter().enumerate() {
        let spelling = if at % 2 == 0 { code.to_uppercase().replace('-', " ") } else { code.clone() };
        tokens(&complete_login(server, &token, &spelling).await);
        assert_error(&complete_login(server, &token, code).await, 400, INVALID_CODE);
    }
}

async fn concurrent_uses_of_a_code_sign_in_once(server: &TestServer) {
    let (zoe, key, codes) = member_with_totp(server).await;
    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    for code_once in [code(&key, 1), codes[3].clone()] {
        let responses = join_all((0..12).map(|_| complete_login(server, &token, &code_once))).await;
        assert_eq!(responses.iter().filter(|response| response.status == 200).count(), 1, "{responses:?}");
    }
}

async fn magic_link_requires_the_second_factor(server: &TestServer) {
    let (zoe, key, _) = member_with_totp(server).await;
    server.sql(&format!("UPDATE users SET verified = true WHERE email = '{}'", zoe.email)).await;
    let secret = request_magic_link(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 1).await.token();
    let mfa = mfa_token(&redeem_magic_link(server, &token, &secret).await);
    assert_error(&redeem_magic_link(server, &token, &secret).await, 400, "Login failed; invalid claim.");
    tokens(&complete_login(server, &mfa, &code(&key, 1)).await);
    let response = server.try_sign_in(&zoe.email, PASSWORD).await;
    response.is_problem(401, "mfa_required");
}

async fn disabling_needs_the_password(server: &TestServer) {
    let (zoe, key, codes) = member_with_totp(server).await;
    let disable = async |body: Value| {
        request_as(server, Method::DELETE, "/auth/login/totp", &zoe.access).json(&body).send_checked().await
    };
    for body in [json!({}), json!({"original": null}), json!({"original": "not the password"})] {
        assert_error(&disable(body).await, 400, "Unable to authenticate or deactivate TOTP.");
    }
    let bare = request_as(server, Method::DELETE, "/auth/login/totp", &zoe.access).send_checked().await;
    assert_error(&bare, 400, "Unable to authenticate or deactivate TOTP.");
    assert_eq!(field_errors(&disable(json!({"original": 1})).await), expected(&[("body.original", "string_type")]));
    let mfa = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    const DISABLED: &str = "TOTP disabled. You can re-enable it at any time.";
    assert_msg(&disable(json!({"original": PASSWORD})).await, DISABLED);
    assert_eq!(me(server, &zoe.access).await["totp"], false);
    tokens(&try_sign_in(server, &zoe.email, PASSWORD).await);
    wait_for_mail(server, &zoe.email, 1).await;
    // Disabling is idempotent.
    assert_msg(&disable(json!({"original": PASSWORD})).await, DISABLED);
    // After TOTP is enabled again, codes and recovery codes of the old enrollment are refused.
    let (new, uri) = enroll(server, &zoe).await;
    enable(server, &zoe, json!({"claim": code(&new, 0), "uri": uri, "password": PASSWORD})).await.is(200);
    for old in [&code(&key, 1), &codes[0]] {
        assert_error(&complete_login(server, &mfa, old).await, 400, INVALID_CODE);
    }
    tokens(&complete_login(server, &mfa, &code(&new, 1)).await);
}

async fn mfa_token_is_accepted_by_the_second_step_only(server: &TestServer) {
    let (zoe, key, codes) = member_with_totp(server).await;
    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    assert_error(
        &request_as(server, Method::GET, "/auth/users/me", &token).send_checked().await,
        401,
        "Could not validate credentials",
    );
    assert_ne!(server.rejection_reason(&token).await, "");
    for other in [&zoe.access, &zoe.refresh, "garbage"] {
        assert_error(&complete_login(server, other, &codes[0]).await, 401, "Could not validate credentials");
    }
    let without = server.post("/auth/login/totp").json(&json!({"claim": codes[0]})).send_checked().await;
    assert_error(&without, 401, "Not authenticated");
    assert_eq!(
        field_errors(&post(server, "/auth/login/totp", &token, json!({})).await),
        expected(&[("body.claim", "missing")])
    );
    // A password change voids MFA tokens.
    let change = json!({"password": super::OTHER_PASSWORD, "original": PASSWORD});
    request_as(server, Method::PUT, "/auth/users/me", &zoe.access).json(&change).send_checked().await.is(200);
    assert_error(&complete_login(server, &token, &code(&key, 1)).await, 401, "Could not validate credentials");
    let token = mfa_token(&try_sign_in(server, &zoe.email, super::OTHER_PASSWORD).await);
    tokens(&complete_login(server, &token, &codes[0]).await);
}

/// Besides the rate limits, an account has a daily cap on wrong codes of any kind.
async fn wrong_codes_per_day_are_limited(server: &TestServer) {
    let (zoe, key, codes) = member_with_totp(server).await;
    let token = mfa_token(&try_sign_in(server, &zoe.email, PASSWORD).await);
    let wrong = wrong_code(&key);
    for _ in 0..20 {
        assert_error(&complete_login(server, &token, &wrong).await, 400, INVALID_CODE);
    }
    // From a network in which nobody has signed in, right codes are refused too.
    for refused in [&wrong, &code(&key, 1), &codes[0]] {
        let request = request_as(server, Method::POST, "/auth/login/totp", &token).json(&json!({"claim": refused}));
        let response = request.header("x-forwarded-for", "192.0.2.1").send_checked().await;
        assert_error(&response, 429, "Too Many Requests");
    }
    // In the network of the owner, a wrong one gets the same answer.
    assert_error(&complete_login(server, &token, &wrong).await, 429, "Too Many Requests");
    complete_login(server, &token, &codes[0]).await.is(200);
}
