//! One request and its answer, for setting up and for looking. Not for measuring.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An HTTP/1.1 request, ready to be sent.
pub(crate) fn request(method: &str, path: &str, fields: &str, body: &str) -> String {
    let length = if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{fields}{length}\r\n{body}")
}

/// A POST of JSON.
pub(crate) fn post_json(path: &str, body: &str) -> String {
    request("POST", path, "content-type: application/json\r\n", body)
}

/// Sends it on a connection of its own, and gives status and body.
pub(crate) fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = request.replacen("\r\nhost:", "\r\nconnection: close\r\nhost:", 1);
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).expect("it speaks HTTP");
    (status, answer.split_once("\r\n\r\n").expect("it has a head").1.to_owned())
}
