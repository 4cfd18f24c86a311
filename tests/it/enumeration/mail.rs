//! That an answer neither waits for the mail nor tells what becomes of it: the mail server may be there, be gone, say nothing or say no.

use std::net::TcpListener;

use serde_json::json;

use super::calls::ASKING;
use super::*;
use crate::support::{smtp, until};

fn by_way_of(url: &str) -> impl Fn(Plan) -> Plan {
    move |it| plan(it).set("SMTP_URL", url)
}

/// A person for each call, and nobody.
fn asking(server: &TestServer) -> Vec<Person> {
    (0..ASKING.len()).map(|_| server.person(&[])).collect()
}

/// Every call once, for a person of its own and for nobody: what the answers say.
async fn asked(server: &TestServer, people: &[Person]) -> Vec<String> {
    let mut forms = Vec::new();
    for (call, person) in ASKING.iter().zip(people) {
        for who in [person, &strangers()[0]] {
            forms.push(form((call.ask)(server, who).send_checked().await));
        }
    }
    forms
}

async fn count(server: &TestServer, series: &str) -> usize {
    server.figure(series).await as usize
}

async fn ended(server: &TestServer, end: &str) -> usize {
    count(server, &format!("signet_mails_total{{end=\"{end}\"}}")).await
}

/// How the answers look where every mail is taken at once, and how many mails come of them.
async fn usually() -> (Vec<String>, usize) {
    let server = smtp::Server::start();
    let server = TestServer::embedded(by_way_of(&server.url()));
    let forms = asked(&server, &asking(&server)).await;
    until("all are sent", async || count(&server, "signet_mail_queue").await == 0).await;
    let sent = ended(&server, "sent").await;
    assert_eq!(server.taken().len(), sent);
    // People get one of each, but for the reset that names another; nobody gets what anybody may sign up with.
    assert_eq!(sent, ASKING.len() - 1 + 2);
    (forms, sent)
}

#[tokio::test]
async fn a_mail_server_that_says_nothing_is_not_waited_for() {
    let (usual, mails) = usually().await;
    // The kernel takes the connections.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = TestServer::embedded(by_way_of(&format!("smtp://{}?tls=none", silent.local_addr().unwrap())));
    assert_eq!(asked(&server, &asking(&server)).await, usual);
    assert_eq!(count(&server, "signet_mail_queue").await, mails);
    assert_eq!((ended(&server, "sent").await, count(&server, "signet_mail_failed_tries_total").await), (0, 0));
}

#[tokio::test]
async fn a_mail_server_that_is_gone_gets_everything_when_it_is_back() {
    let (usual, mails) = usually().await;
    let mut server = smtp::Server::start();
    let server = TestServer::embedded(by_way_of(&server.url()));
    server.kill();
    let people = asking(&server);
    assert_eq!(asked(&server, &people).await, usual);
    until("each was tried", async || count(&server, "signet_mail_failed_tries_total").await >= mails).await;
    assert_eq!((count(&server, "signet_mail_queue").await, ended(&server, "sent").await), (mails, 0));

    server.restart();
    until("all are sent", async || ended(&server, "sent").await == mails).await;
    assert_eq!((count(&server, "signet_mail_queue").await, server.taken().len()), (0, mails));
    // What was mailed late is as good.
    let email = &people[0].email;
    let taken = server.taken().into_iter().find(|mail| mail["to"][0] == email.as_str()).unwrap();
    let letter = smtp::Letter(taken["mail"].clone());
    let code = letter.text().lines().find(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit()));
    let body = json!({"email": email, "code": code.unwrap()});
    server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
}

#[tokio::test]
async fn a_mail_that_is_refused_or_dropped_is_not_told_of() {
    let (usual, mails) = usually().await;
    let server = smtp::Server::start();
    let server = TestServer::embedded(by_way_of(&server.url()));
    // The server has no such mailbox.
    let people = (0..ASKING.len()).map(|number| {
        let (email, username) = (format!("never@{number}.example.org"), format!("never-{number}"));
        server.plan().user(&email, crate::support::server::PASSWORD, &["--username", &username]);
        Person { id: String::new(), email, username }
    });
    let people = people.collect::<Vec<_>>();
    assert_eq!(asked(&server, &people).await, usual);
    until("all are done with", async || count(&server, "signet_mail_queue").await == 0).await;
    assert_eq!((ended(&server, "refused").await, ended(&server, "sent").await), (ASKING.len() - 1, 2));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}?tls=none", silent.local_addr().unwrap());
    let server = TestServer::embedded(|it| by_way_of(&url)(it).set("SIGNET_MAIL__QUEUE", "1"));
    assert_eq!(asked(&server, &asking(&server)).await, usual);
    assert_eq!((count(&server, "signet_mail_queue").await, ended(&server, "dropped").await), (1, mails - 1));
}
