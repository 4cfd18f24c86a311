//! Memory of the server for each of ten thousand idle connections that have each sent one request. The memory of the
//! kernel is not included.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::options::Options;
use crate::report::Report;
use crate::support::http::{read_response, verify_request};
use crate::support::signet::SignetSettings;
use crate::support::target::Target;

const PART: &str = "idle";

/// File descriptors of the bench besides the connections.
const OTHER_FILES: u64 = 256;

pub(crate) fn run(options: &Options, report: &mut Report) {
    let count = if options.quick { 2_000 } else { 10_000 };
    let limit = getrlimit(Resource::Nofile);
    let needed = (count as u64 + OTHER_FILES).max(limit.current.unwrap_or(u64::MAX));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum });
    raised.expect("the limit of open files is too low: raise `ulimit -Hn`");
    let settings =
        SignetSettings::new(&options.server, &options.cores.server()).set("SIGNET_SERVER__IDLE_TIMEOUT", "1h");
    let signet = settings.start();
    let token = &settings.seed_sessions(1)[0].access_token;
    let verify = verify_request(token);
    // The first connections also fill caches of the server, so do not count them.
    drop(open_connections(signet.address, &verify, 64));
    sleep(Duration::from_secs(1));
    let before = signet.process.memory();
    let connections = open_connections(signet.address, &verify, count);
    let fresh = signet.process.memory();
    // The server hibernates an idle connection after two seconds. The allocator returns its memory within one more
    // second.
    sleep(Duration::from_secs(5));
    let full = signet.process.memory();
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / count as f64;
    report.add(PART, "memory before", before.resident as f64 / 1e6, "MB", Target::AtMost(20.0));
    report.add(PART, "connections", count as f64, "", None);
    report.add(PART, "memory for each right after its request", each(fresh.resident, before.resident), "bytes", None);
    let bytes = each(full.resident, before.resident);
    report.add(PART, "memory for each when idle", bytes, "bytes", Target::AtMost(8192.0));
    drop(connections);
    sleep(Duration::from_secs(2));
    let after = signet.process.memory();
    report.add(PART, "memory for each after closing", each(after.resident, before.resident), "bytes", None);
}

/// Opens connections and sends one request on each. Uses two source addresses in turn, because on some systems one does
/// not have enough ports.
fn open_connections(to: SocketAddr, request: &str, count: usize) -> Vec<TcpStream> {
    let open = |number: usize| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let from = Ipv4Addr::new(127, 0, 0, 1 + (number % 2) as u8);
        socket.bind(&SocketAddr::from((IpAddr::V4(from), 0)).into()).expect("a loopback address");
        socket.connect(&to.into()).expect("the server accepts");
        let mut stream = TcpStream::from(socket);
        stream.write_all(request.as_bytes()).expect("the server reads the request");
        let response = read_response(&mut stream);
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        stream
    };
    (0..count).map(open).collect()
}
