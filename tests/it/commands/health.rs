//! `signet health` asks the running server whether it is ready.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

/// Runs the command for the server with this management address. It waits longer than the default of two seconds, which
/// may be too few on a busy machine.
fn health(plan: &Plan, management: &str, words: &[&str]) -> Output {
    let setting = format!("server.management={management}");
    plan.run(&[&["--set", &setting, "health", "--timeout", "1m"], words].concat(), "")
}

#[test]
fn health_reports_whether_the_server_is_ready() {
    let plan = Plan::embedded();
    let mut signet = plan.start();
    let address = signet.management_url("").trim_start_matches("http://").to_owned();
    // A server that listens on all addresses, as in a container, is asked at the loopback address.
    for address in [address.clone(), address.replace("127.0.0.1", "0.0.0.0")] {
        let ready = health(&plan, &address, &[]);
        assert_eq!((ready.status.code(), text(&ready.stdout).as_str()), (Some(0), "ready\n"));
        assert_eq!(text(&health(&plan, &address, &["--alive"]).stdout), "alive\n");
        assert_eq!(text(&health(&plan, &address, &["--json"]).stdout), "{\"status\":\"ready\"}\n");
    }
    signet.kill();
    let gone = health(&plan, &address, &[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("no server responds"), "{}", text(&gone.stderr));
    assert_eq!(health(&plan, "off", &[]).status.code(), Some(2));
}

#[test]
fn health_waits_for_no_longer_than_its_timeout() {
    // The system accepts the connection, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = format!("server.management={}", listener.local_addr().unwrap());
    let output = Plan::embedded().run(&["--set", &setting, "health", "--timeout", "10ms"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no server responds"), "{}", text(&output.stderr));
}

#[test]
fn health_names_what_is_not_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answers = [
        "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"not_ready\":{\"store.accounts\":\"Postgres does not answer\"}}",
        "HTTP/1.1 200 OK\r\n",
    ];
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let plan = Plan::embedded();
    for expected in ["store.accounts: Postgres does not answer", "the response is not that of Signet"] {
        let output = health(&plan, &address, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
    server.join().unwrap();
}
