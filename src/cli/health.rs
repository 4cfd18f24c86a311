//! `signet health`: asks the running server of the same settings whether it is ready. It is the health check of containers,
//! whose image has no other program.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::CliError;
use super::output::Output;
use crate::config::Config;

/// Maximum size of the response. A page that names every condition has about 2 KiB.
const MAX_RESPONSE: u64 = 64 << 10;

/// `alive`: asks only whether the process responds. `timeout`: for connecting, and for each read and write.
pub(super) fn run(alive: bool, timeout: Duration, config: &Config, output: &mut Output<'_>) -> Result<(), CliError> {
    let Some(listener) = config.server.management else {
        return Err(CliError::Usage {
            problem: "server.management is off, so the server cannot be asked".to_owned(),
            remedy: "set server.management to an address of this machine".to_owned(),
        });
    };
    let address = reachable(listener);
    let page = if alive { "/healthz" } else { "/readyz" };
    let failed = |problem: String| {
        let remedy = "read the log of the server; `signet check` tests what it depends on".to_owned();
        Err(CliError::Failed { problem, remedy })
    };
    let (status, body) = match get(address, page, timeout) {
        Ok(response) => response,
        Err(error) => return failed(format!("no server responds at http://{address}{page}: {error}")),
    };
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    if status != 200 {
        let conditions = body["not_ready"].as_object().into_iter().flatten();
        let reasons = conditions.map(|(name, reason)| format!("{name}: {}", reason.as_str().unwrap_or_default()));
        return failed(format!("the server is not ready ({status}): {}", reasons.collect::<Vec<_>>().join("; ")));
    }
    match output.is_json() {
        true => output.json_line(&body),
        false => output.line(body["status"].as_str().unwrap_or("ready")),
    }
}

/// The address by which this machine reaches the listener: the loopback address, if it listens on all addresses.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The status and the body of a page. The listener speaks plain HTTP, with or without `server.tls`.
fn get(address: SocketAddr, page: &str, timeout: Duration) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let request = format!("GET {page} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.take(MAX_RESPONSE).read_to_string(&mut response)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the response is not that of Signet");
    let (head, body) = response.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
    Ok((status, body.to_owned()))
}
