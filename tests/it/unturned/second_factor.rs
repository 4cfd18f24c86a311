//! A second factor that another dialect enabled is required here.

use serde_json::json;

use super::{Member, UnturnedResponse, VERIFY, call, code_for, member, text};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};
use crate::support::{outbox, totp};

over_both_stores!(
    |plan| plan;
    missing_or_wrong_totp_does_not_consume_the_code,
    recovery_code_is_accepted_once,
);

/// Enables TOTP and waits for the notice; returns the key and the recovery codes.
async fn enable_totp(server: &TestServer, member: &Member) -> (String, Vec<String>) {
    let before = outbox::mails(server, &member.email).len();
    let enrollment = server.post("/totp").bearer_auth(&member.access).send_checked().await;
    let key = text(&enrollment.json(), "key");
    let body = json!({"code": totp::code(&key, 0)});
    let enabled =
        server.request(reqwest::Method::PUT, "/totp").bearer_auth(&member.access).json(&body).send_checked().await;
    let codes = enabled.is(200).json()["recovery_codes"].as_array().unwrap().clone();
    outbox::wait_for_mail(server, &member.email, before).await;
    (key, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn with_totp(server: &TestServer, email: &str, code: &str, totp: &str) -> HttpResponse {
    call(server, VERIFY, &json!({"email": email, "code": code, "totp_code": totp})).await
}

async fn missing_or_wrong_totp_does_not_consume_the_code(server: &TestServer) {
    let member = member(server, "two-factors").await;
    let (key, _) = enable_totp(server, &member).await;
    let code = code_for(server, &member.email).await;
    // A wrong mailed code does not reveal that TOTP is enabled.
    let wrong = super::wrong_code(&code);
    super::verify(server, &member.email, &wrong).await.is_error(401, "invalid_code");
    for _ in 0..6 {
        super::verify(server, &member.email, &code).await.is_error(401, "totp_required");
    }
    let null = json!({"email": member.email, "code": code, "totp_code": null});
    call(server, VERIFY, &null).await.is_error(401, "totp_required");
    with_totp(server, &member.email, &code, &totp::wrong_code(&key)).await.is_error(401, "invalid_totp_code");
    let right = totp::code(&key, 1);
    with_totp(server, &member.email, &wrong, &right).await.is_error(401, "invalid_code");
    with_totp(server, &member.email, &code, &right).await.is(200).token_pair();
    with_totp(server, &member.email, &code, &right).await.is_error(401, "invalid_code");
    // A time step works once.
    let code = code_for(server, &member.email).await;
    with_totp(server, &member.email, &code, &right).await.is_error(401, "invalid_totp_code");
}

async fn recovery_code_is_accepted_once(server: &TestServer) {
    let member = member(server, "recovering").await;
    let (_, recovery) = enable_totp(server, &member).await;
    let code = code_for(server, &member.email).await;
    with_totp(server, &member.email, &code, &recovery[0]).await.is(200).token_pair();
    let code = code_for(server, &member.email).await;
    with_totp(server, &member.email, &code, &recovery[0]).await.is_error(401, "invalid_totp_code");
    with_totp(server, &member.email, &code, &recovery[1]).await.is(200).token_pair();
}
