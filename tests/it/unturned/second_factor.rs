//! A second factor that was turned on elsewhere is asked for here.

use serde_json::json;

use super::{Enveloped, Member, VERIFY, call, code_for, member, text};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};
use crate::support::{outbox, totp};

over_both_stores!(|plan| plan; it_is_asked_for_and_the_mailed_code_stays, a_recovery_code_will_do);

/// Turns it on, and waits for the mail that says so; gives the key and the recovery codes.
async fn turned_on(server: &TestServer, member: &Member) -> (String, Vec<String>) {
    let before = outbox::mails(server, &member.email).len();
    let begun = server.post("/totp").bearer_auth(&member.access).send_checked().await;
    let key = text(&begun.json(), "key");
    let body = json!({"code": totp::code(&key, 0)});
    let on = server.request(reqwest::Method::PUT, "/totp").bearer_auth(&member.access).json(&body).send_checked().await;
    let codes = on.is(200).json()["recovery_codes"].as_array().unwrap().clone();
    outbox::wait_for_mail(server, &member.email, before).await;
    (key, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn with_totp(server: &TestServer, email: &str, code: &str, totp: &str) -> HttpResponse {
    call(server, VERIFY, &json!({"email": email, "code": code, "totp_code": totp})).await
}

async fn it_is_asked_for_and_the_mailed_code_stays(server: &TestServer) {
    let member = member(server, "two-factors").await;
    let (key, _) = turned_on(server, &member).await;
    let code = code_for(server, &member.email).await;
    // Whether there is one is told with the right code alone.
    let wrong = super::wrong(&code);
    super::verify(server, &member.email, &wrong).await.fails(401, "invalid_code");
    for _ in 0..6 {
        super::verify(server, &member.email, &code).await.fails(401, "totp_required");
    }
    let null = json!({"email": member.email, "code": code, "totp_code": null});
    call(server, VERIFY, &null).await.fails(401, "totp_required");
    with_totp(server, &member.email, &code, &totp::wrong_code(&key)).await.fails(401, "invalid_totp_code");
    let right = totp::code(&key, 1);
    with_totp(server, &member.email, &wrong, &right).await.fails(401, "invalid_code");
    with_totp(server, &member.email, &code, &right).await.is(200).pair();
    with_totp(server, &member.email, &code, &right).await.fails(401, "invalid_code");
    // A step is good once.
    let code = code_for(server, &member.email).await;
    with_totp(server, &member.email, &code, &right).await.fails(401, "invalid_totp_code");
}

async fn a_recovery_code_will_do(server: &TestServer) {
    let member = member(server, "recovering").await;
    let (_, recovery) = turned_on(server, &member).await;
    let code = code_for(server, &member.email).await;
    with_totp(server, &member.email, &code, &recovery[0]).await.is(200).pair();
    let code = code_for(server, &member.email).await;
    with_totp(server, &member.email, &code, &recovery[0]).await.fails(401, "invalid_totp_code");
    with_totp(server, &member.email, &code, &recovery[1]).await.is(200).pair();
}
