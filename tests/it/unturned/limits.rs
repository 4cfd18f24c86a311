//! What a guesser meets, and what whoever fills other people's mailboxes meets.

use serde_json::json;

use super::{Enveloped, VERIFY, call, code_for, send, verify, wrong};
use crate::support::outbox;
use crate::support::server::{TestServer, over_both_stores};

over_both_stores!(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "7"); a_day_has_so_many_wrong_tries);

async fn a_day_has_so_many_wrong_tries(server: &TestServer) {
    let email = "guessed@example.org";
    let mut code = String::new();
    for tries in [5, 2] {
        code = code_for(server, email).await;
        for _ in 0..tries {
            verify(server, email, &wrong(&code)).await.fails(401, "invalid_code");
        }
    }
    // Nothing is compared any more, in no spelling, nor for a code that comes after.
    verify(server, email, &code).await.fails(429, "too_many_requests");
    let code = code_for(server, email).await;
    for spelling in [email, "GUESSED@example.org", " guessed@EXAMPLE.org"] {
        let answer = verify(server, spelling, &code).await;
        let wait = answer.fails(429, "too_many_requests").header("retry-after").parse::<u64>().unwrap();
        assert!(wait > 60 * 60, "until the day is over: {wait}");
    }
    // Right ones cost nothing, and nobody else is kept out.
    for _ in 0..8 {
        let code = code_for(server, "right@example.org").await;
        verify(server, "right@example.org", &code).await.is(200);
    }
}

#[tokio::test]
async fn one_person_is_sent_so_many_mails() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__MAIL_ACCOUNT", "3 per 10m")
    });
    let known = server.create_user(&[]);
    for email in [known.email.as_str(), "unknown@example.org"] {
        for spelling in [email.to_owned(), email.to_uppercase(), format!(" {email}")] {
            send(&server, &spelling).await.is(202);
        }
        send(&server, email).await.fails(429, "too_many_requests");
    }
    send(&server, "another@example.org").await.is(202);
    outbox::wait_for_mail(&server, "another@example.org", 0).await;
    assert_eq!(outbox::mails(&server, &known.email).len(), 3);
}

#[tokio::test]
async fn one_address_may_try_so_often() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__CODE_ADDRESS", "4 per 1h")
    });
    let code = code_for(&server, "tried@example.org").await;
    for number in 0..4 {
        let body = json!({"email": format!("somebody-{number}@example.org"), "code": "123456"});
        call(&server, VERIFY, &body).await.fails(401, "invalid_code");
    }
    verify(&server, "tried@example.org", &code).await.fails(429, "too_many_requests");
}
