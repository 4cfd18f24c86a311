//! HTTP/1.1 with blocking sockets, for preparing and checking. Measurements of throughput use `load` instead.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) use signet_load::{build_request, post_form, post_json};

/// The request that verifies a token.
pub(crate) fn verify_request(token: &str) -> String {
    post_json("/verify", &serde_json::json!({"token": token}).to_string())
}

/// Sends a request on a new connection. Returns the status and the body.
pub(crate) fn send(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = request.replacen("\r\nhost:", "\r\nconnection: close\r\nhost:", 1);
    stream.write_all(request.as_bytes()).expect("the server reads the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the server responds");
    let status = response.get(9..12).and_then(|status| status.parse().ok()).expect("an HTTP status");
    (status, response.split_once("\r\n\r\n").expect("an HTTP head").1.to_owned())
}

/// Reads one response, head and body, and leaves the connection open.
pub(crate) fn read_response(stream: &mut impl Read) -> String {
    let (mut response, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_complete(&response) {
        let read = stream.read(&mut buffer).expect("the server responds");
        assert!(read > 0, "the server closed the connection");
        response.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(response).expect("text")
}

/// True once the head and a body of `content-length` bytes have arrived. nginx writes the name in another case.
pub(crate) fn is_complete(response: &[u8]) -> bool {
    let Some(head) = memchr::memmem::find(response, b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&response[..head]);
    let fields = text.lines().filter_map(|line| line.split_once(": "));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value).next();
    let length = length.map_or(0, |length| length.parse().expect("a number"));
    response.len() >= head + 4 + length
}
