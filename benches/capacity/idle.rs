//! Ten thousand connections that have asked once and are kept: what each of them costs the server. What the kernel holds for them
//! is not among it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::Bench;
use crate::report::{Aim, Report};
use crate::storm::read_answer;
use crate::support::signet::Plan;
use crate::support::simple::post_json;

const PART: &str = "idle";

/// Beside the connections: the program's own files.
const FILES: u64 = 256;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let many = if bench.quick { 2_000 } else { 10_000 };
    let limit = getrlimit(Resource::Nofile);
    let wanted = (many as u64 + FILES).max(limit.current.unwrap_or(u64::MAX));
    let enough = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    enough.expect("as many files may be open: raise `ulimit -Hn`");
    let plan = Plan::new(&bench.server, &bench.cores.server()).set("SIGNET_SERVER__IDLE_TIMEOUT", "1h");
    let signet = plan.start();
    let token = &plan.seed(1)[0].access_token;
    let verify = post_json("/verify", &json!({"token": token}).to_string());
    // What the first one of all takes is no connection's.
    drop(opened(signet.address, &verify, 64));
    sleep(Duration::from_secs(1));
    let before = signet.process.memory();
    let connections = opened(signet.address, &verify, many);
    let fresh = signet.process.memory();
    // One that nobody asks anything goes to rest after two seconds, and what it had is given back within another.
    sleep(Duration::from_secs(5));
    let full = signet.process.memory();
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / many as f64;
    report.note(PART, "memory before", before.resident as f64 / 1e6, "MB", Aim::AtMost(20.0));
    report.note(PART, "connections", many as f64, "", None);
    report.note(PART, "memory of one that asked just now", each(fresh.resident, before.resident), "bytes", None);
    let bytes = each(full.resident, before.resident);
    report.note(PART, "memory of an idle connection", bytes, "bytes", Aim::AtMost(8192.0));
    drop(connections);
    sleep(Duration::from_secs(2));
    let after = signet.process.memory();
    report.note(
        PART,
        "still there when they are closed, of each",
        each(after.resident, before.resident),
        "bytes",
        None,
    );
}

/// Connections that have each asked once, from two addresses in turn: one has not ports enough everywhere.
fn opened(to: SocketAddr, request: &str, many: usize) -> Vec<TcpStream> {
    let one = |number: usize| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let from = Ipv4Addr::new(127, 0, 0, 1 + (number % 2) as u8);
        socket.bind(&SocketAddr::from((IpAddr::V4(from), 0)).into()).expect("it is ours");
        socket.connect(&to.into()).expect("the server accepts");
        let mut stream = TcpStream::from(socket);
        stream.write_all(request.as_bytes()).expect("the server reads");
        let answer = read_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stream
    };
    (0..many).map(one).collect()
}
