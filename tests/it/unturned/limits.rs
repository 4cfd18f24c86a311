//! Limits against guessing codes and against flooding mailboxes.

use serde_json::json;

use super::{UnturnedResponse, VERIFY, call, code_for, send, verify, wrong_code};
use crate::support::outbox;
use crate::support::server::{TestServer, over_both_stores};

over_both_stores!(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "7"); wrong_codes_per_day_are_limited);

async fn wrong_codes_per_day_are_limited(server: &TestServer) {
    let email = "guessed@example.org";
    let mut code = String::new();
    for tries in [5, 2] {
        code = code_for(server, email).await;
        for _ in 0..tries {
            verify(server, email, &wrong_code(&code)).await.is_error(401, "invalid_code");
        }
    }
    // No code is compared any more, whatever the spelling of the address, not even a new one.
    verify(server, email, &code).await.is_error(429, "too_many_requests");
    let code = code_for(server, email).await;
    for spelling in [email, "GUESSED@example.org", " guessed@EXAMPLE.org"] {
        let response = verify(server, spelling, &code).await;
        let wait = response.is_error(429, "too_many_requests").header("retry-after").parse::<u64>().unwrap();
        assert!(wait > 60 * 60, "Retry-After lasts until the day is over: {wait}");
    }
    // Correct codes do not count, and other accounts are unaffected.
    for _ in 0..8 {
        let code = code_for(server, "right@example.org").await;
        verify(server, "right@example.org", &code).await.is(200);
    }
}

#[tokio::test]
async fn mails_per_account_are_limited() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__MAIL_ACCOUNT", "3 per 10m")
    });
    let known = server.create_user(&[]);
    for email in [known.email.as_str(), "unknown@example.org"] {
        for spelling in [email.to_owned(), email.to_uppercase(), format!(" {email}")] {
            send(&server, &spelling).await.is(202);
        }
        send(&server, email).await.is_error(429, "too_many_requests");
    }
    send(&server, "another@example.org").await.is(202);
    outbox::wait_for_mail(&server, "another@example.org", 0).await;
    assert_eq!(outbox::mails(&server, &known.email).len(), 3);
}

#[tokio::test]
async fn attempts_per_client_address_are_limited() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__CODE_ADDRESS", "4 per 1h")
    });
    let code = code_for(&server, "tried@example.org").await;
    for number in 0..4 {
        let body = json!({"email": format!("somebody-{number}@example.org"), "code": "123456"});
        call(&server, VERIFY, &body).await.is_error(401, "invalid_code");
    }
    verify(&server, "tried@example.org", &code).await.is_error(429, "too_many_requests");
}
