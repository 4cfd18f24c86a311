//! Shutdown while mails wait: a mail that was promised in a response is sent before the process ends.

use std::io;
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::*;
use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;

const ADDRESSES: [&str; 3] = ["ada@example.org", "bob@example.org", "cleo@example.org"];

/// A plan whose drain time-out is long enough for a mail server that starts on a busy machine.
fn with_long_drain(plan: Plan, url: &str) -> Plan {
    plan.set("SMTP_URL", url).set("SIGNET_SERVER__DRAIN_TIMEOUT", "1m")
}

async fn request_codes(server: &TestServer) {
    for email in ADDRESSES {
        server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    }
}

/// Terminates the server, and waits until it has finished all requests and only mails are left.
async fn terminate(server: &TestServer) {
    server.signet.terminate();
    server.signet.wait_for_log("stopping");
    let address = server.signet.url_of("").replace("http://", "");
    until("no connections are accepted any more", async || TcpStream::connect(&address).is_err()).await;
}

/// Asserts that each address got one code, and that the server exited successfully.
fn assert_all_sent(server: &TestServer, smtp_server: &smtp::Server) {
    assert!(server.signet.wait_for_exit().success());
    let taken = smtp_server.accepted();
    let mut to = taken.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect::<Vec<_>>();
    to.sort_unstable();
    assert_eq!(to, ADDRESSES);
    for mail in taken {
        let mail = smtp::ParsedMail(mail["mail"].clone());
        let is_code = |line: &str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        assert!(mail.text().lines().any(is_code), "{}", mail.text());
    }
    let log = server.signet.log();
    assert!(log.contains("stopped") && !log.contains("are lost"), "{log}");
}

/// A TCP proxy that accepts connections and forwards nothing before it is opened.
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
async fn shutdown_waits_for_a_slow_mail_server() {
    let smtp_server = smtp::Server::start();
    let gate = Gate(TcpListener::bind("127.0.0.1:0").unwrap());
    let upstream = smtp_server.url();
    let url = format!("smtp://{}?tls=none", gate.0.local_addr().unwrap());
    let server = TestServer::embedded(|plan| with_long_drain(plan, &url));
    request_codes(&server).await;
    terminate(&server).await;
    assert_eq!((server.metric("signet_mail_queue").await, smtp_server.accepted().len()), (3, 0));
    gate.open(upstream.trim_start_matches("smtp://").trim_end_matches("?tls=none").to_owned());
    assert_all_sent(&server, &smtp_server);
}

/// The management listener answers until the end, and has the calls of the console.
#[tokio::test]
async fn revocations_are_applied_until_all_mails_are_sent() {
    let gate = Gate(TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("smtp://{}?tls=none", gate.0.local_addr().unwrap());
    let server = TestServer::embedded(|plan| with_long_drain(plan, &url));
    let [admin, _] = [0; 2].map(|_| server.create_user(&["--superuser", "--verified"]));
    let access = server.sign_in(&admin).await.access;
    request_codes(&server).await;
    terminate(&server).await;
    let status = async || {
        let request = server.management_request(reqwest::Method::GET, "/admin/users").bearer_auth(&access);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    assert!(server.plan().run(&["users", "disable", &admin.email], "").status.success());
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn shutdown_waits_for_a_mail_server_that_starts_late() {
    let mut smtp_server = smtp::Server::start();
    let server = TestServer::embedded(|plan| with_long_drain(plan, &smtp_server.url()));
    smtp_server.kill();
    request_codes(&server).await;
    until("all mails were tried", async || server.metric("signet_mail_failed_tries_total").await >= 3).await;
    terminate(&server).await;
    smtp_server.restart();
    assert_all_sent(&server, &smtp_server);
}

/// The log states how many mails are lost.
#[tokio::test]
async fn shutdown_ends_at_the_drain_timeout() {
    let mut smtp_server = smtp::Server::start();
    let server = TestServer::embedded(|plan| {
        with_long_drain(plan, &smtp_server.url()).set("SIGNET_SERVER__DRAIN_TIMEOUT", "1s")
    });
    smtp_server.kill();
    request_codes(&server).await;
    server.signet.terminate();
    assert!(server.signet.wait_for_exit().success());
    let log = server.signet.log();
    let line = log.lines().find(|line| line.contains("mails were not sent in time and are lost")).unwrap();
    assert!(line.contains("\"mails\":3") && log.contains("stopped"), "{log}");
}
