//! `/verification/send-code` and `/verify-code`: signing in with a mailed code.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{UnturnedResponse, VERIFY, call, code_for, send, sign_in, verify, wrong_code};
use crate::support::outbox;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    responses_do_not_reveal_accounts,
    first_code_creates_an_account,
    account_of_another_dialect_is_the_same,
    code_verifies_the_address,
    code_works_once,
    only_the_latest_code_is_valid,
    fifth_wrong_try_voids_the_code,
    code_is_refused_for_another_address,
    concurrent_uses_of_a_code_sign_in_once,
    disabled_account_is_reported_with_the_right_code,
);

fn show_user(server: &TestServer, email: &str) -> Value {
    server.plan().json(&["users", "show", email], "")
}

async fn responses_do_not_reveal_accounts(server: &TestServer) {
    let known = server.create_user(&[]);
    let disabled = server.create_user(&[]);
    server.plan().json(&["users", "disable", &disabled.email], "");
    let mut responses = Vec::new();
    for email in [&known.email, "nobody-yet@example.org", &disabled.email] {
        let response = send(server, email).await;
        assert_eq!(response.is(202).data()["expires_in"], 600);
        assert_eq!(response.data().as_object().unwrap().len(), 2);
        responses.push(response.without_per_response_headers());
    }
    assert!(responses.iter().all(|response| *response == responses[0]), "{responses:?}");
    let code = outbox::wait_for_mail(server, &known.email, 0).await.code();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    outbox::wait_for_mail(server, "nobody-yet@example.org", 0).await.code();
    // Verifying a code does not reveal accounts either.
    for email in [&known.email, "nobody-yet@example.org", &disabled.email, "never-asked@example.org"] {
        verify(server, email, "x").await.is_error(401, "invalid_code");
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert!(outbox::mails(server, &disabled.email).is_empty());
}

async fn first_code_creates_an_account(server: &TestServer) {
    let (access, _) = sign_in(server, "  Brand.New@EXAMPLE.org").await;
    let claims = server.verify(&access).await.is(200).json()["claims"].clone();
    assert_eq!(claims["email"], "brand.new@example.org");
    assert_eq!(claims["email_verified"], true);
    let user = show_user(server, "brand.new@example.org");
    assert_eq!((&user["verified"], &user["username"]), (&json!(true), &Value::Null), "{user}");
    server.try_sign_in("brand.new@example.org", PASSWORD).await.is_problem(401, "invalid_credentials");
    // A second code signs in to the same account.
    let (again, _) = sign_in(server, "BRAND.new@example.org").await;
    assert_eq!(server.verify(&again).await.json()["claims"]["sub"], claims["sub"]);
}

async fn account_of_another_dialect_is_the_same(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let (access, refresh) = sign_in(server, &user.email).await;
    let claims = server.verify(&access).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["preferred_username"]), (&json!(user.id), &json!(user.username)));
    let sessions = server.get("/sessions").bearer_auth(&access).send_checked().await.is(200).json();
    assert_eq!(sessions["sessions"][0]["dialect"], "unturned");
    server.refresh(&refresh).await.is(200);
    // The password remains valid.
    server.sign_in(&user).await;
}

async fn code_verifies_the_address(server: &TestServer) {
    let user = server.create_user(&[]);
    assert_eq!(show_user(server, &user.email)["verified"], false);
    let (access, _) = sign_in(server, &user.email).await;
    assert_eq!(server.verify(&access).await.json()["claims"]["email_verified"], true);
    assert_eq!(show_user(server, &user.email)["verified"], true);
}

async fn code_works_once(server: &TestServer) {
    let email = "once@example.org";
    let code = code_for(server, email).await;
    verify(server, email, &format!(" {code} ")).await.is(200).token_pair();
    let response = verify(server, email, &code).await;
    assert_eq!(response.is_error(401, "invalid_code").header("www-authenticate"), "Bearer");
    assert_eq!(response.header("cache-control"), "no-store");
}

async fn only_the_latest_code_is_valid(server: &TestServer) {
    let email = "twice@example.org";
    let (first, second) = (code_for(server, email).await, code_for(server, email).await);
    if first != second {
        verify(server, email, &first).await.is_error(401, "invalid_code");
    }
    verify(server, email, &second).await.is(200).token_pair();
}

async fn fifth_wrong_try_voids_the_code(server: &TestServer) {
    let email = "five@example.org";
    let code = code_for(server, email).await;
    for _ in 0..4 {
        verify(server, email, &wrong_code(&code)).await.is_error(401, "invalid_code");
    }
    // Another spelling of the address has the same code and the same counter.
    verify(server, "FIVE@example.org", &wrong_code(&code)).await.is_error(401, "invalid_code");
    verify(server, email, &code).await.is_error(401, "invalid_code");
    let code = code_for(server, email).await;
    for _ in 0..4 {
        verify(server, email, &wrong_code(&code)).await.is_error(401, "invalid_code");
    }
    verify(server, email, &code).await.is(200).token_pair();
}

async fn code_is_refused_for_another_address(server: &TestServer) {
    let code = code_for(server, "mine@example.org").await;
    send(server, "yours@example.org").await.is(202);
    let other_code = outbox::wait_for_mail(server, "yours@example.org", 0).await.code();
    if other_code != code {
        verify(server, "yours@example.org", &code).await.is_error(401, "invalid_code");
    }
    verify(server, "mine@example.org", &code).await.is(200).token_pair();
}

async fn concurrent_uses_of_a_code_sign_in_once(server: &TestServer) {
    for email in ["race@example.org", "race@example.org"] {
        // The first code creates the account; the second finds it.
        let code = code_for(server, email).await;
        let responses = join_all((0..12).map(|_| verify(server, email, &code))).await;
        let (succeeded, failed): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 200);
        assert_eq!(succeeded.len(), 1, "{responses:?}");
        for response in failed {
            response.is_error(401, "invalid_code");
        }
        let (access, _) = succeeded[0].token_pair();
        let sessions = server.get("/sessions").bearer_auth(&access).send_checked().await.json();
        assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1, "{sessions}");
        server.delete("/sessions").bearer_auth(&access).send_checked().await.is(200);
    }
}

async fn disabled_account_is_reported_with_the_right_code(server: &TestServer) {
    let user = server.create_user(&[]);
    let code = code_for(server, &user.email).await;
    server.plan().json(&["users", "disable", &user.email], "");
    verify(server, &user.email, &wrong_code(&code)).await.is_error(401, "invalid_code");
    verify(server, &user.email, &code).await.is_error(403, "user_disabled");
    // A code mailed before the account was disabled stays void after it is enabled; a new code works.
    server.plan().json(&["users", "enable", &user.email], "");
    verify(server, &user.email, &code).await.is_error(401, "invalid_code");
    let code = code_for(server, &user.email).await;
    verify(server, &user.email, &code).await.is(200).token_pair();
}

#[tokio::test]
async fn closed_registration_mails_existing_users_only() {
    let server = TestServer::embedded(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"));
    let known = server.create_user(&[]);
    let unknown = send(&server, "stranger@example.org").await;
    let same = send(&server, &known.email).await;
    assert_eq!(unknown.is(202).clone().without_per_response_headers(), same.clone().without_per_response_headers());
    // Mails are sent in order, so a mail to the unknown address would have arrived by now.
    let code = outbox::wait_for_mail(&server, &known.email, 0).await.code();
    assert!(outbox::mails(&server, "stranger@example.org").is_empty());
    for guess in ["000000", "123456"] {
        let response = call(&server, VERIFY, &json!({"email": "stranger@example.org", "code": guess})).await;
        response.is_error(401, "invalid_code");
    }
    verify(&server, &known.email, &code).await.is(200).token_pair();
}

#[tokio::test]
async fn code_from_before_registration_closed_is_refused() {
    let server = TestServer::embedded(|plan| plan);
    let code = code_for(&server, "late@example.org").await;
    let plan = server.plan().clone().set("USERS_OPEN_REGISTRATION", "false");
    server.signet.terminate();
    server.signet.wait_for_exit();
    let server = TestServer::start(plan);
    verify(&server, "late@example.org", &code).await.is_error(403, "registration_closed");
}
