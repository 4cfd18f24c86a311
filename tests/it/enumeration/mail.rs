//! Responses neither wait for the mail nor reveal its fate: the mail server may be up, down, silent or refuse.

use std::net::TcpListener;

use serde_json::json;

use super::calls::MAIL_REQUESTS;
use super::*;
use crate::support::{smtp, until};

/// How many of the calls mail an unknown address.
const SIGN_UPS_BY_MAIL: usize = 4;

fn with_smtp_url(url: &str) -> impl Fn(Plan) -> Plan {
    move |base| plan(base).set("SMTP_URL", url)
}

/// Creates a user for each call.
fn create_users(server: &TestServer) -> Vec<TestUser> {
    server.prepare_users(MAIL_REQUESTS.len() - 1, &[]);
    (0..MAIL_REQUESTS.len()).map(|_| server.create_user(&[])).collect()
}

/// Sends every call once for its own user and once for an unknown address; returns the forms of the responses.
async fn send_all(server: &TestServer, users: &[TestUser]) -> Vec<String> {
    let mut forms = Vec::new();
    for (call, known) in MAIL_REQUESTS.iter().zip(users) {
        for user in [known, &unknown_users()[0]] {
            forms.push(form((call.request)(server, user).send_checked().await));
        }
    }
    forms
}

async fn count(server: &TestServer, series: &str) -> usize {
    server.metric(series).await as usize
}

async fn count_mails(server: &TestServer, end: &str) -> usize {
    count(server, &format!("signet_mails_total{{end=\"{end}\"}}")).await
}

/// The forms of the responses, and the number of mails, with a mail server that accepts every mail at once.
async fn baseline() -> (Vec<String>, usize) {
    let smtp_server = smtp::Server::start();
    let server = TestServer::embedded(with_smtp_url(&smtp_server.url()));
    let forms = send_all(&server, &create_users(&server)).await;
    // Each user gets one mail, except for the reset that names another account. The unknown address gets those with
    // which it can sign up: two codes and two links.
    let expected = MAIL_REQUESTS.len() - 1 + SIGN_UPS_BY_MAIL;
    // A mail leaves the queue before it is counted as sent.
    until("all mails are sent", async || count_mails(&server, "sent").await >= expected).await;
    let (sent, queued) = (count_mails(&server, "sent").await, count(&server, "signet_mail_queue").await);
    assert_eq!((sent, queued, smtp_server.accepted().len()), (expected, 0, expected));
    (forms, expected)
}

#[tokio::test]
async fn silent_mail_server_delays_no_response() {
    let (expected, mails) = baseline().await;
    // The kernel accepts the connections.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = TestServer::embedded(with_smtp_url(&format!("smtp://{}?tls=none", silent.local_addr().unwrap())));
    assert_eq!(send_all(&server, &create_users(&server)).await, expected);
    assert_eq!(count(&server, "signet_mail_queue").await, mails);
    assert_eq!((count_mails(&server, "sent").await, count(&server, "signet_mail_failed_tries_total").await), (0, 0));
}

#[tokio::test]
async fn mail_server_that_was_down_gets_all_mails_later() {
    let (expected, mails) = baseline().await;
    let mut smtp_server = smtp::Server::start();
    let server = TestServer::embedded(with_smtp_url(&smtp_server.url()));
    smtp_server.kill();
    let users = create_users(&server);
    assert_eq!(send_all(&server, &users).await, expected);
    until("each mail was tried", async || count(&server, "signet_mail_failed_tries_total").await >= mails).await;
    assert_eq!((count(&server, "signet_mail_queue").await, count_mails(&server, "sent").await), (mails, 0));

    smtp_server.restart();
    until("all mails are sent", async || count_mails(&server, "sent").await == mails).await;
    assert_eq!((count(&server, "signet_mail_queue").await, smtp_server.accepted().len()), (0, mails));
    // The code in a late mail is still valid.
    let email = &users[0].email;
    let taken = smtp_server.accepted().into_iter().find(|mail| mail["to"][0] == email.as_str()).unwrap();
    let mail = smtp::ParsedMail(taken["mail"].clone());
    let code = mail.text().lines().find(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit()));
    let body = json!({"email": email, "code": code.unwrap()});
    server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
}

#[tokio::test]
async fn refused_mail_does_not_show_in_the_response() {
    let (expected, _) = baseline().await;
    let smtp_server = smtp::Server::start();
    let server = TestServer::embedded(with_smtp_url(&smtp_server.url()));
    // The server has no such mailbox.
    let users = (0..MAIL_REQUESTS.len()).map(|number| {
        let (email, username) = (format!("never@{number}.example.org"), format!("never-{number}"));
        server.plan().create_user(&email, crate::support::server::PASSWORD, &["--username", &username]);
        TestUser { id: String::new(), email, username }
    });
    let users = users.collect::<Vec<_>>();
    assert_eq!(send_all(&server, &users).await, expected);
    // A mail leaves the queue before it is counted as refused or sent.
    let done = async || count_mails(&server, "refused").await + count_mails(&server, "sent").await;
    until("all mails are done", async || done().await >= MAIL_REQUESTS.len() - 1 + SIGN_UPS_BY_MAIL).await;
    assert_eq!(
        (count_mails(&server, "refused").await, count_mails(&server, "sent").await),
        (MAIL_REQUESTS.len() - 1, SIGN_UPS_BY_MAIL)
    );
}

#[tokio::test]
async fn dropped_mail_does_not_show_in_the_response() {
    let (expected, mails) = baseline().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}?tls=none", silent.local_addr().unwrap());
    let server = TestServer::embedded(|base| with_smtp_url(&url)(base).set("SIGNET_MAIL__QUEUE", "1"));
    assert_eq!(send_all(&server, &create_users(&server)).await, expected);
    assert_eq!((count(&server, "signet_mail_queue").await, count_mails(&server, "dropped").await), (1, mails - 1));
}
