//! `POST /auth/mail/verify/send` and `/auth/mail/verify`.

use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use super::*;
use crate::support::outbox;
use crate::support::ports::free_port;
use crate::support::server::over_both_stores;

over_both_stores!(
    documented;
    mailed_code_verifies_the_address,
    fifth_wrong_try_voids_the_code,
    only_the_latest_code_of_the_user_is_valid,
    code_verifies_no_other_address,
    empty_id_is_reported_before_an_unknown_one,
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

/// Requests a code; returns it. The mail is accepted before the response arrives, so it is in the outbox.
async fn request_code(server: &TestServer, member: &Member) -> String {
    let before = outbox::mails(server, &member.email).len();
    send(server, &member.id).await.has_code(200, "0");
    let mails = outbox::mails(server, &member.email);
    assert_eq!(mails.len(), before + 1);
    mails[before].code()
}

fn other_code(code: &str) -> String {
    if code == "123456" { "654321" } else { "123456" }.to_owned()
}

async fn mailed_code_verifies_the_address(server: &TestServer) {
    let member = member(server, "ann").await;
    let code = request_code(server, &member).await;
    assert!(!is_verified(server, &member));
    verify(server, &member.id, &other_code(&code)).await.has_code(401, "156");
    verify(server, &member.id, &format!(" {code} ")).await.has_code(200, "0");
    assert!(is_verified(server, &member));
    verify(server, &member.id, &code).await.has_code(401, "156");
    // Verifying a verified address succeeds too.
    let code = request_code(server, &member).await;
    verify(server, &member.id, &code).await.has_code(200, "0");
    assert!(is_verified(server, &member));
}

async fn fifth_wrong_try_voids_the_code(server: &TestServer) {
    let member = member(server, "bob").await;
    let code = request_code(server, &member).await;
    for _ in 0..5 {
        verify(server, &member.id, &other_code(&code)).await.has_code(401, "156");
    }
    verify(server, &member.id, &code).await.has_code(401, "156");
    assert!(!is_verified(server, &member));
    let code = request_code(server, &member).await;
    for _ in 0..4 {
        verify(server, &member.id, &other_code(&code)).await.has_code(401, "156");
    }
    verify(server, &member.id, &code).await.has_code(200, "0");
}

async fn only_the_latest_code_of_the_user_is_valid(server: &TestServer) {
    let (one, two) = (member(server, "cleo").await, member(server, "dora").await);
    let first = request_code(server, &one).await;
    let second = request_code(server, &one).await;
    if first != second {
        verify(server, &one.id, &first).await.has_code(401, "156");
    }
    let code_of_two = request_code(server, &two).await;
    if code_of_two != second {
        verify(server, &two.id, &second).await.has_code(401, "156");
    }
    verify(server, &one.id, &second).await.has_code(200, "0");
    assert!(!is_verified(server, &two));
}

async fn code_verifies_no_other_address(server: &TestServer) {
    let mut member = member(server, "emil").await;
    let code = request_code(server, &member).await;
    server.sql(&format!("UPDATE users SET email = 'emil-2@example.org' WHERE email = '{}'", member.email)).await;
    verify(server, &member.id, &code).await.has_code(401, "156");
    member.email = "emil-2@example.org".to_owned();
    assert!(!is_verified(server, &member));
    let code = request_code(server, &member).await;
    verify(server, &member.id, &code).await.has_code(200, "0");
}

async fn empty_id_is_reported_before_an_unknown_one(server: &TestServer) {
    for body in [json!({}), json!({"user_id": ""}), json!({"user_id": null}), json!({"user_id": " ", "code": ""})] {
        call(server, "/auth/mail/verify/send", body.clone()).await.has_code(400, "157");
        call(server, "/auth/mail/verify", body).await.has_code(400, "157");
    }
    for unknown in [UNKNOWN_USER, "x", "\u{0}", "0"] {
        send(server, unknown).await.has_code(401, "142");
        verify(server, unknown, "123456").await.has_code(401, "142");
    }
    let member = member(server, "fred").await;
    server.plan().json(&["users", "delete", &member.email], "");
    send(server, &member.id).await.has_code(401, "142");
}

#[tokio::test]
async fn mail_follows_accept_language() {
    let server = TestServer::embedded(documented);
    let member = member(&server, "ann").await;
    let send = server.post("/auth/mail/verify/send").json(&json!({"user_id": member.id}));
    send.header("accept-language", "zh-TW").send_checked().await.has_code(200, "0");
    send_in_english(&server, &member).await;
    let mails = outbox::mails(&server, &member.email);
    assert_ne!(mails[0].header("subject"), mails[1].header("subject"));
}

async fn send_in_english(server: &TestServer, member: &Member) {
    send(server, &member.id).await.has_code(200, "0");
}

/// One mail server accepts connections and sends nothing; the other refuses connections.
#[tokio::test]
async fn unresponsive_mail_server_is_reported_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    let refusing = SocketAddr::from(([127, 0, 0, 1], free_port()));
    for address in [silent, refusing] {
        let plan = |plan| {
            documented(plan)
                .set("SMTP_URL", &format!("smtp://{address}?tls=none"))
                .set("SIGNET_SERVER__REQUEST_TIMEOUT", "4s")
        };
        let server = TestServer::embedded(plan);
        let member = member(&server, "ann").await;
        // The response arrives before the request times out, which would be a 503.
        send(&server, &member.id).await.has_code(502, "NOTIFY_GRPC_FAILED");
        server.signet.wait_for_log("cannot send a mail");
    }
}
