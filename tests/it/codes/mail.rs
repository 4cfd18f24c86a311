//! `POST /auth/mail/verify/send` and `/auth/mail/verify`.

use std::net::TcpListener;

use serde_json::json;

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;

over_both_stores!(documented;
    an_address_is_confirmed_by_the_code_that_was_mailed,
    a_code_bears_five_wrong_tries,
    the_newest_code_counts_and_is_its_users,
    a_code_confirms_no_other_address,
    an_empty_id_goes_before_one_that_is_nobodys,
);

async fn send(server: &TestServer, user_id: &str) -> HttpResponse {
    call(server, "/auth/mail/verify/send", json!({"user_id": user_id})).await
}

async fn verify(server: &TestServer, user_id: &str, code: &str) -> HttpResponse {
    call(server, "/auth/mail/verify", json!({"user_id": user_id, "code": code})).await
}

fn is_verified(server: &TestServer, member: &Member) -> bool {
    server.plan().json(&["users", "show", &member.email], "")["verified"] == true
}

/// Has one sent. It was handed over before the answer came, so it is there.
async fn mailed(server: &TestServer, member: &Member) -> String {
    let before = outbox::mails(server, &member.email).len();
    send(server, &member.id).await.tells(200, "0");
    let mails = outbox::mails(server, &member.email);
    assert_eq!(mails.len(), before + 1);
    mails[before].code()
}

fn other(code: &str) -> String {
    if code == "123456" { "654321" } else { "123456" }.to_owned()
}

async fn an_address_is_confirmed_by_the_code_that_was_mailed(server: &TestServer) {
    let member = member(server, "ann").await;
    let code = mailed(server, &member).await;
    assert!(!is_verified(server, &member));
    verify(server, &member.id, &other(&code)).await.tells(401, "156");
    verify(server, &member.id, &format!(" {code} ")).await.tells(200, "0");
    assert!(is_verified(server, &member));
    verify(server, &member.id, &code).await.tells(401, "156");
    // Again is no harm.
    let code = mailed(server, &member).await;
    verify(server, &member.id, &code).await.tells(200, "0");
    assert!(is_verified(server, &member));
}

async fn a_code_bears_five_wrong_tries(server: &TestServer) {
    let member = member(server, "bob").await;
    let code = mailed(server, &member).await;
    for _ in 0..5 {
        verify(server, &member.id, &other(&code)).await.tells(401, "156");
    }
    verify(server, &member.id, &code).await.tells(401, "156");
    assert!(!is_verified(server, &member));
    let code = mailed(server, &member).await;
    for _ in 0..4 {
        verify(server, &member.id, &other(&code)).await.tells(401, "156");
    }
    verify(server, &member.id, &code).await.tells(200, "0");
}

async fn the_newest_code_counts_and_is_its_users(server: &TestServer) {
    let (one, two) = (member(server, "cleo").await, member(server, "dora").await);
    let first = mailed(server, &one).await;
    let second = mailed(server, &one).await;
    if first != second {
        verify(server, &one.id, &first).await.tells(401, "156");
    }
    let theirs = mailed(server, &two).await;
    if theirs != second {
        verify(server, &two.id, &second).await.tells(401, "156");
    }
    verify(server, &one.id, &second).await.tells(200, "0");
    assert!(!is_verified(server, &two));
}

async fn a_code_confirms_no_other_address(server: &TestServer) {
    let mut member = member(server, "emil").await;
    let code = mailed(server, &member).await;
    server.sql(&format!("UPDATE users SET email = 'emil-2@example.org' WHERE email = '{}'", member.email)).await;
    verify(server, &member.id, &code).await.tells(401, "156");
    member.email = "emil-2@example.org".to_owned();
    assert!(!is_verified(server, &member));
    let code = mailed(server, &member).await;
    verify(server, &member.id, &code).await.tells(200, "0");
}

async fn an_empty_id_goes_before_one_that_is_nobodys(server: &TestServer) {
    for body in [json!({}), json!({"user_id": ""}), json!({"user_id": null}), json!({"user_id": " ", "code": ""})] {
        call(server, "/auth/mail/verify/send", body.clone()).await.tells(400, "157");
        call(server, "/auth/mail/verify", body).await.tells(400, "157");
    }
    for nobody in ["85f22dda-efc2-459d-b518-640400a69e8d", "x", "\u{0}", "0"] {
        send(server, nobody).await.tells(401, "142");
        verify(server, nobody, "123456").await.tells(401, "142");
    }
    let member = member(server, "fred").await;
    server.plan().json(&["users", "delete", &member.email], "");
    send(server, &member.id).await.tells(401, "142");
}

/// The mails of a letter in its reader's language.
#[tokio::test]
async fn it_is_written_as_its_reader_likes_to_read() {
    let server = TestServer::embedded(documented);
    let member = member(&server, "ann").await;
    let send = server.post("/auth/mail/verify/send").json(&json!({"user_id": member.id}));
    send.header("accept-language", "zh-TW").send_checked().await.tells(200, "0");
    send_in_english(&server, &member).await;
    let mails = outbox::mails(&server, &member.email);
    assert_ne!(mails[0].header("subject"), mails[1].header("subject"));
}

async fn send_in_english(server: &TestServer, member: &Member) {
    send(server, &member.id).await.tells(200, "0");
}

/// One that accepts connections and never says a word, and one that is not there.
#[tokio::test]
async fn a_mail_server_that_does_not_answer_is_told_of_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    let absent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent, absent] {
        let plan = |plan| {
            documented(plan)
                .set("SMTP_URL", &format!("smtp://{address}?tls=none"))
                .set("SIGNET_SERVER__REQUEST_TIMEOUT", "4s")
        };
        let server = TestServer::embedded(plan);
        let member = member(&server, "ann").await;
        // Before the request's own time is over, which would be told with 503.
        send(&server, &member.id).await.tells(502, "NOTIFY_GRPC_FAILED");
        server.signet.wait_for_log("a mail was not handed over");
    }
}
