//! `/verification/send-code` and `/verify-code`: signing in with a code that is mailed.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Enveloped, VERIFY, call, code_for, send, signed_in, verify, wrong};
use crate::support::outbox;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    nothing_tells_who_has_an_account, the_first_code_makes_an_account, an_account_of_another_dialect_is_the_same,
    a_code_proves_the_address, a_code_is_good_once, the_last_code_counts, five_wrong_tries_use_a_code_up,
    a_code_is_of_no_use_at_another_address, of_many_at_once_one_gets_in, who_is_disabled_is_told_with_the_right_code_alone);

fn shown(server: &TestServer, email: &str) -> Value {
    server.plan().json(&["users", "show", email], "")
}

async fn nothing_tells_who_has_an_account(server: &TestServer) {
    let known = server.create_user(&[]);
    let disabled = server.create_user(&[]);
    server.plan().json(&["users", "disable", &disabled.email], "");
    let mut answers = Vec::new();
    for email in [&known.email, "nobody-yet@example.org", &disabled.email] {
        let answer = send(server, email).await;
        assert_eq!(answer.is(202).data()["expires_in"], 600);
        assert_eq!(answer.data().as_object().unwrap().len(), 2);
        answers.push(answer.without_per_response_headers());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let code = outbox::wait_for_mail(server, &known.email, 0).await.code();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    outbox::wait_for_mail(server, "nobody-yet@example.org", 0).await.code();
    // Neither does trying one.
    for email in [&known.email, "nobody-yet@example.org", &disabled.email, "never-asked@example.org"] {
        verify(server, email, "x").await.fails(401, "invalid_code");
    }
    assert!(outbox::mails(server, &disabled.email).is_empty());
}

async fn the_first_code_makes_an_account(server: &TestServer) {
    let (access, _) = signed_in(server, "  Brand.New@EXAMPLE.org").await;
    let claims = server.verify(&access).await.is(200).json()["claims"].clone();
    assert_eq!(claims["email"], "brand.new@example.org");
    assert_eq!(claims["email_verified"], true);
    let user = shown(server, "brand.new@example.org");
    assert_eq!((&user["verified"], &user["username"]), (&json!(true), &Value::Null), "{user}");
    server.try_sign_in("brand.new@example.org", PASSWORD).await.is_problem(401, "invalid_credentials");
    // Again: the same account.
    let (again, _) = signed_in(server, "BRAND.new@example.org").await;
    assert_eq!(server.verify(&again).await.json()["claims"]["sub"], claims["sub"]);
}

async fn an_account_of_another_dialect_is_the_same(server: &TestServer) {
    let person = server.create_user(&[]);
    let (access, refresh) = signed_in(server, &person.email).await;
    let claims = server.verify(&access).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["preferred_username"]), (&json!(person.id), &json!(person.username)));
    let sessions = server.get("/sessions").bearer_auth(&access).send_checked().await.is(200).json();
    assert_eq!(sessions["sessions"][0]["dialect"], "unturned");
    server.refresh(&refresh).await.is(200);
    // And the password is as good as before.
    server.sign_in(&person).await;
}

async fn a_code_proves_the_address(server: &TestServer) {
    let person = server.create_user(&[]);
    assert_eq!(shown(server, &person.email)["verified"], false);
    let (access, _) = signed_in(server, &person.email).await;
    assert_eq!(server.verify(&access).await.json()["claims"]["email_verified"], true);
    assert_eq!(shown(server, &person.email)["verified"], true);
}

async fn a_code_is_good_once(server: &TestServer) {
    let email = "once@example.org";
    let code = code_for(server, email).await;
    verify(server, email, &format!(" {code} ")).await.is(200).pair();
    let answer = verify(server, email, &code).await;
    assert_eq!(answer.fails(401, "invalid_code").header("www-authenticate"), "Bearer");
    assert_eq!(answer.header("cache-control"), "no-store");
}

async fn the_last_code_counts(server: &TestServer) {
    let email = "twice@example.org";
    let (first, second) = (code_for(server, email).await, code_for(server, email).await);
    if first != second {
        verify(server, email, &first).await.fails(401, "invalid_code");
    }
    verify(server, email, &second).await.is(200).pair();
}

async fn five_wrong_tries_use_a_code_up(server: &TestServer) {
    let email = "five@example.org";
    let code = code_for(server, email).await;
    for _ in 0..4 {
        verify(server, email, &wrong(&code)).await.fails(401, "invalid_code");
    }
    // Under another spelling it is the same code and the same counter.
    verify(server, "FIVE@example.org", &wrong(&code)).await.fails(401, "invalid_code");
    verify(server, email, &code).await.fails(401, "invalid_code");
    let code = code_for(server, email).await;
    for _ in 0..4 {
        verify(server, email, &wrong(&code)).await.fails(401, "invalid_code");
    }
    verify(server, email, &code).await.is(200).pair();
}

async fn a_code_is_of_no_use_at_another_address(server: &TestServer) {
    let code = code_for(server, "mine@example.org").await;
    send(server, "yours@example.org").await.is(202);
    let theirs = outbox::wait_for_mail(server, "yours@example.org", 0).await.code();
    if theirs != code {
        verify(server, "yours@example.org", &code).await.fails(401, "invalid_code");
    }
    verify(server, "mine@example.org", &code).await.is(200).pair();
}

async fn of_many_at_once_one_gets_in(server: &TestServer) {
    for email in ["race@example.org", "race@example.org"] {
        // The first time the account is made by it, the second time it is there.
        let code = code_for(server, email).await;
        let answers = join_all((0..12).map(|_| verify(server, email, &code))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "{answers:?}");
        for answer in lost {
            answer.fails(401, "invalid_code");
        }
        let (access, _) = won[0].pair();
        let sessions = server.get("/sessions").bearer_auth(&access).send_checked().await.json();
        assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1, "{sessions}");
        server.delete("/sessions").bearer_auth(&access).send_checked().await.is(200);
    }
}

async fn who_is_disabled_is_told_with_the_right_code_alone(server: &TestServer) {
    let person = server.create_user(&[]);
    let code = code_for(server, &person.email).await;
    server.plan().json(&["users", "disable", &person.email], "");
    verify(server, &person.email, &wrong(&code)).await.fails(401, "invalid_code");
    verify(server, &person.email, &code).await.fails(403, "user_disabled");
    // What was mailed before opens nothing afterwards; what is mailed then does.
    server.plan().json(&["users", "enable", &person.email], "");
    verify(server, &person.email, &code).await.fails(401, "invalid_code");
    let code = code_for(server, &person.email).await;
    verify(server, &person.email, &code).await.is(200).pair();
}

#[tokio::test]
async fn where_registration_is_closed_only_who_has_an_account_gets_a_mail() {
    let server = TestServer::embedded(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"));
    let known = server.create_user(&[]);
    let unknown = send(&server, "stranger@example.org").await;
    let same = send(&server, &known.email).await;
    assert_eq!(unknown.is(202).clone().without_per_response_headers(), same.clone().without_per_response_headers());
    // Mails go out one after another, so the other's would be there by now.
    let code = outbox::wait_for_mail(&server, &known.email, 0).await.code();
    assert!(outbox::mails(&server, "stranger@example.org").is_empty());
    for guess in ["000000", "123456"] {
        let answer = call(&server, VERIFY, &json!({"email": "stranger@example.org", "code": guess})).await;
        answer.fails(401, "invalid_code");
    }
    verify(&server, &known.email, &code).await.is(200).pair();
}

#[tokio::test]
async fn a_code_of_before_registration_closed_makes_no_account() {
    let server = TestServer::embedded(|plan| plan);
    let code = code_for(&server, "late@example.org").await;
    let plan = server.plan().clone().set("USERS_OPEN_REGISTRATION", "false");
    server.signet.terminate();
    server.signet.wait_for_exit();
    let server = TestServer::start(plan);
    verify(&server, "late@example.org", &code).await.fails(403, "registration_closed");
}
