//! A server that is told to stop while mails wait: what was promised to who asked is sent first.

use std::io;
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::*;
use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;

const PEOPLE: [&str; 3] = ["ada@example.org", "bob@example.org", "cleo@example.org"];

/// Enough for a mail server that comes up on a busy machine.
fn patient(plan: Plan, url: &str) -> Plan {
    plan.set("SMTP_URL", url).set("SIGNET_SERVER__DRAIN_TIMEOUT", "1m")
}

async fn ask_for_codes(server: &TestServer) {
    for email in PEOPLE {
        server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    }
}

/// Tells it to stop, and waits until it has answered everybody and only mails are left.
async fn told_to_stop(server: &TestServer) {
    server.signet.terminate();
    server.signet.wait_for_log("stopping");
    let address = server.signet.at("").replace("http://", "");
    until("nobody is let in any more", async || TcpStream::connect(&address).is_err()).await;
}

/// That each has got a code, once, and that it ended well.
fn all_sent(server: &TestServer, server: &smtp::Server) {
    assert!(server.signet.ended().success());
    let taken = server.taken();
    let mut to = taken.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect::<Vec<_>>();
    to.sort_unstable();
    assert_eq!(to, PEOPLE);
    for mail in taken {
        let letter = smtp::Letter(mail["mail"].clone());
        let is_code = |line: &str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        assert!(letter.text().lines().any(is_code), "{}", letter.text());
    }
    let log = server.signet.log();
    assert!(log.contains("stopped") && !log.contains("are lost"), "{log}");
}

/// Takes connections, and says nothing until its server is let speak.
struct Gate(TcpListener);

impl Gate {
    fn open(self, to: String) {
        std::thread::spawn(move || {
            for client in self.0.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
                for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
    }
}

#[tokio::test]
async fn a_mail_server_that_is_slow_is_waited_for() {
    let server = smtp::Server::start();
    let gate = Gate(TcpListener::bind("127.0.0.1:0").unwrap());
    let behind = server.url();
    let url = format!("smtp://{}?tls=none", gate.0.local_addr().unwrap());
    let server = TestServer::embedded(|plan| patient(plan, &url));
    ask_for_codes(&server).await;
    told_to_stop(&server).await;
    assert_eq!((server.figure("signet_mail_queue").await, server.taken().len()), (3, 0));
    gate.open(behind.trim_start_matches("smtp://").trim_end_matches("?tls=none").to_owned());
    all_sent(&server, &server);
}

#[tokio::test]
async fn a_mail_server_that_comes_up_late_is_waited_for() {
    let mut server = smtp::Server::start();
    let server = TestServer::embedded(|plan| patient(plan, &server.url()));
    server.kill();
    ask_for_codes(&server).await;
    until("they were tried", async || server.figure("signet_mail_failed_tries_total").await >= 3).await;
    told_to_stop(&server).await;
    server.restart();
    all_sent(&server, &server);
}

/// There is an end to it, and it is told how many got nothing.
#[tokio::test]
async fn one_that_never_comes_back_is_not_waited_for_long() {
    let mut server = smtp::Server::start();
    let server = TestServer::embedded(|plan| patient(plan, &server.url()).set("SIGNET_SERVER__DRAIN_TIMEOUT", "1s"));
    server.kill();
    ask_for_codes(&server).await;
    server.signet.terminate();
    assert!(server.signet.ended().success());
    let log = server.signet.log();
    let told = log.lines().find(|line| line.contains("mails were not sent in time and are lost")).unwrap();
    assert!(told.contains("\"mails\":3") && log.contains("stopped"), "{log}");
}
