//! Request smuggling (RFC 9112, 11.2): requests that two parsers could split in two ways, byte for byte. The server
//! never answers a request that is hidden in another one, and answers valid requests in order.
//!
//! The hidden request has the request id `hidden`, which a response would echo.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::{SendRequest, TestServer};

const HIDDEN: &str = "GET /verify HTTP/1.1\r\nhost: x\r\nx-request-id: hidden\r\nconnection: close\r\n\r\n";
/// Thirteen bytes, `d` in hexadecimal.
const BODY: &str = r#"{"token":"x"}"#;

struct RawServer {
    server: TestServer,
    address: String,
}

impl RawServer {
    /// A server with time-outs of one second.
    fn start() -> Self {
        let server = TestServer::embedded(|plan| {
            let short = ["SIGNET_SERVER__HEADER_TIMEOUT", "SIGNET_SERVER__BODY_TIMEOUT", "SIGNET_SERVER__IDLE_TIMEOUT"];
            short.into_iter().fold(plan, |plan, name| plan.set(name, "1s"))
        });
        let address = server.signet.url_of("").trim_start_matches("http://").to_owned();
        Self { server, address }
    }

    /// Sends bytes and reads until the server closes; returns the statuses of the responses, and everything received.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut received = Vec::new();
        let reading = stream.read_to_end(&mut received);
        // A reset after the last response also ends the connection.
        let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the server closes");
        let received = String::from_utf8_lossy(&received).into_owned();
        let statuses = received.split("HTTP/1.").skip(1).map(|response| response[2..5].to_owned()).collect::<Vec<_>>();
        (statuses.join(" "), received)
    }

    /// Asserts the statuses that each request gets, and that the hidden request gets none.
    async fn check(&self, cases: &[(String, Vec<u8>, &str)]) {
        let mut failures = Vec::new();
        for (what, request, expected) in cases {
            let (statuses, received) = self.send(request).await;
            if statuses != *expected || received.contains("hidden") {
                failures.push(format!("{what}: {statuses} instead of {expected}: {received}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
        self.server.get("/verify").send_checked().await.is(401);
    }
}

fn case(
    what: impl Into<String>,
    request: impl Into<Vec<u8>>,
    expected: &'static str,
) -> (String, Vec<u8>, &'static str) {
    (what.into(), request.into(), expected)
}

/// A request with this head and body.
fn post(head: &str, body: &str) -> String {
    format!("POST /verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{head}\r\n\r\n{body}")
}

#[tokio::test]
async fn ambiguous_body_lengths_are_refused() {
    let server = RawServer::start();
    let chunked = format!("d\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}");
    let whole = format!("content-length: {}", chunked.len());
    let mut cases = Vec::new();
    // With both, the chunked encoding counts, and the connection closes after the response.
    for (coding, expected) in [
        ("transfer-encoding: chunked", "401"),
        ("Transfer-Encoding: Chunked", "401"),
        ("transfer-encoding:chunked", "401"),
        ("transfer-encoding:\tchunked", "401"),
        ("transfer-encoding: chunked \t", "401"),
        ("transfer-encoding: \"chunked\"", "400"),
        ("transfer-encoding: xchunked", "400"),
        ("transfer-encoding: chunkedx", "400"),
        ("transfer-encoding: chunked;q=1", "400"),
        ("transfer-encoding: chunked, identity", "400"),
        ("transfer-encoding: identity", "400"),
        ("transfer-encoding: gzip", "400"),
        ("transfer-encoding: ,", "400"),
        ("transfer-encoding:", "400"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity", "400"),
        ("transfer-encoding: \u{b}chunked", "400"),
        ("transfer-encoding: chunked\u{b}", "400"),
        ("transfer-encoding: chunked\0", "400"),
        ("transfer-encoding : chunked", "400"),
        (" transfer-encoding: chunked", "400"),
        ("x: y\r\n transfer-encoding: chunked", "400"),
        ("transfer-encoding:\r\n chunked", "400"),
        ("x: y\rtransfer-encoding: chunked", "400"),
        ("\u{0}transfer-encoding: chunked", "400"),
    ] {
        for length in [&whole, "content-length: 5", "content-length: 0"] {
            cases.push(case(
                format!("{coding:?} after {length}"),
                post(&format!("{length}\r\n{coding}"), &chunked),
                expected,
            ));
            cases.push(case(
                format!("{coding:?} before {length}"),
                post(&format!("{coding}\r\n{length}"), &chunked),
                expected,
            ));
        }
        if expected == "400" {
            cases.push(case(format!("{coding:?} alone"), post(coding, &chunked), expected));
        }
    }
    for length in [
        "+13",
        "-1",
        "0x0d",
        "13, 13",
        "13,14",
        "1 3",
        "13.0",
        "1e1",
        "\u{661}\u{663}",
        "",
        "99999999999999999999",
        "18446744073709551629",
        "13\0",
        "13\r\ncontent-length: 0",
        "0\r\ncontent-length: 13",
        "13\r\nContent-Length : 0",
        "13\r\n content-length: 0",
    ] {
        cases.push(case(
            format!("length {length:?}"),
            post(&format!("content-length: {length}"), &format!("{BODY}{HIDDEN}")),
            "400",
        ));
    }
    server.check(&cases).await;
}

#[tokio::test]
async fn malformed_chunks_are_refused() {
    let server = RawServer::start();
    let mut cases = Vec::new();
    let with = |body: &str| post("transfer-encoding: chunked", body);
    for size in
        ["0xd", "+d", "-d", " d", "g", "", "d d", "d\0", "d,", "1000000000000000d", "d\n", "\u{664}", "d;a\n", "d\r"]
    {
        cases.push(case(format!("size {size:?}"), with(&format!("{size}\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}")), "400"));
    }
    for (what, body) in [
        ("data without its end", format!("d\r\n{BODY}0\r\n\r\n{HIDDEN}")),
        ("data that ends in LF", format!("d\r\n{BODY}\n0\r\n\r\n{HIDDEN}")),
        ("data that is longer", format!("5\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}")),
        ("an endless extension", format!("d;{}\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}", "a".repeat(40_000))),
        ("trailers without end", format!("d\r\n{BODY}\r\n0\r\n{}\r\n{HIDDEN}", "x: y\r\n".repeat(10_000))),
    ] {
        cases.push(case(what, with(&body), "400"));
    }
    // The largest chunk size; the data never arrives.
    cases.push(case(
        "a chunk of maximal size",
        with(&format!("ffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}")),
        "408",
    ));
    server.check(&cases).await;

    // Valid requests, and the requests after them, are answered in order and separately.
    let second = "GET /openapi.json HTTP/1.1\r\nhost: x\r\nx-request-id: second\r\nconnection: close\r\n\r\n";
    for size in ["d", "D", "0d", "000000d", "d;a", "d;a=b", "d;a=\"b\""] {
        let (statuses, received) = server.send(with(&format!("{size}\r\n{BODY}\r\n0\r\n\r\n{second}"))).await;
        assert_eq!(statuses, "401 200", "{size}: {received}");
        assert_eq!(received.matches("x-request-id: second").count(), 1, "{size}");
    }
    // A trailer is not a header field (RFC 9110, 6.5.1) and cannot authenticate the request.
    let token = server.server.sign_in(&server.server.create_user(&[])).await.access;
    for field in
        [format!("authorization: Bearer {token}"), format!("x-api-key: {token}"), "content-length: 5".to_owned()]
    {
        let request =
            format!("DELETE /sessions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{field}\r\n\r\n");
        assert_eq!(server.send(request).await.0, "401", "{field}");
    }
    server.server.verify(&token).await.is(200);
}

#[tokio::test]
async fn malformed_heads_are_refused() {
    let server = RawServer::start();
    let with = |head: &str| format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n{HIDDEN}");
    let field =
        |field: &str| format!("GET /verify HTTP/1.1\r\nhost: x\r\n{field}\r\nconnection: close\r\n\r\n{HIDDEN}");
    let mut cases = Vec::new();
    for (head, expected) in [
        ("GET /verify HTTP/1.1", "401"),
        ("GET /verify HTTP/1.0", "401"),
        ("\r\nGET /verify HTTP/1.1", "401"),
        ("GET http://evil.example/verify HTTP/1.1", "401"),
        ("GET /verify", "400"),
        ("GET /verify HTTP/0.9", "400"),
        ("GET /verify HTTP/1.2", "400"),
        ("GET /verify HTTP/2.0", "400"),
        ("GET /verify HTTP/1.1 HTTP/1.1", "400"),
        ("GET /verify http/1.1", "400"),
        ("GET  /verify HTTP/1.1", "400"),
        ("GET /verify  HTTP/1.1", "400"),
        ("GET\t/verify\tHTTP/1.1", "400"),
        ("GET /ver ify HTTP/1.1", "400"),
        ("GET /ver\0ify HTTP/1.1", "400"),
        ("GET /ver\rify HTTP/1.1", "400"),
        (" GET /verify HTTP/1.1", "400"),
        ("GET verify HTTP/1.1", "404"),
        ("GET : HTTP/1.1", "404"),
        ("G\0T /verify HTTP/1.1", "400"),
        ("G(T /verify HTTP/1.1", "400"),
        ("get /verify HTTP/1.1", "405"),
        ("CONNECT x:80 HTTP/1.1", "404"),
        ("CONNECT /verify HTTP/1.1", "405"),
        ("OPTIONS * HTTP/1.1", "404"),
        ("TRACE /verify HTTP/1.1", "405"),
        ("PRI * HTTP/2.0", "400"),
    ] {
        cases.push(case(format!("{head:?}"), with(head), expected));
    }
    for (text, expected) in [
        ("x : y", "400"),
        ("x", "400"),
        (": y", "400"),
        ("x y: z", "400"),
        ("x\0: y", "400"),
        ("x: a\0b", "400"),
        ("x: a\rb", "400"),
        ("x: a\r\r\nx-request-id: y", "400"),
        ("x: a\r\n b", "400"),
        ("\u{e9}: a", "400"),
        ("x: \u{7f}", "400"),
        ("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__", "401"),
        ("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AA==\r\nsec-websocket-version: 13", "401"),
    ] {
        cases.push(case(format!("{text:?}"), field(text), expected));
    }
    // HTTP/2 cannot start in the middle of a connection.
    let late_preface = "GET /verify HTTP/1.1\r\nhost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    cases.push(case("a late HTTP/2 preface", late_preface, "401"));
    server.check(&cases).await;

    // A single LF ends a line, as RFC 9112, 2.2 allows. It therefore also ends the head, and the next request is
    // separate.
    let (statuses, received) =
        server.send(format!("GET /verify HTTP/1.1\nhost: x\nx-request-id: first\n\n{HIDDEN}")).await;
    assert_eq!((statuses.as_str(), received.matches("x-request-id: first").count()), ("401 401", 1), "{received}");
    // The metadata comes from the settings, whatever host a request names.
    for host in ["host: evil.example\r\n", "host: x\r\nx-forwarded-host: evil.example\r\n"] {
        for target in ["", "http://evil.example"] {
            let request = format!(
                "GET {target}/.well-known/openid-configuration HTTP/1.1\r\n{host}forwarded: host=evil.example\r\nconnection: close\r\n\r\n"
            );
            let (statuses, received) = server.send(request).await;
            assert!(statuses == "200" && !received.contains("evil"), "{received}");
        }
    }
}

/// RFC 9112, 3.2: no `Host`, two, or an invalid one gets 400, and nothing after the request is read.
#[tokio::test]
async fn missing_or_invalid_hosts_are_refused() {
    let server = RawServer::start();
    let with = |version: &str, hosts: &str| format!("GET /verify HTTP/{version}\r\n{hosts}\r\n{HIDDEN}");
    let mut cases = Vec::new();
    for (hosts, expected) in [
        ("host: x\r\n", "401 401"),
        ("Host: a.example:8000\r\n", "401 401"),
        ("host: [::1]:8000\r\n", "401 401"),
        ("host:\r\n", "401 401"),
        ("", "400"),
        ("x-forwarded-host: x\r\n", "400"),
        ("host: x\r\nhost: x\r\n", "400"),
        ("host: x\r\nHOST: evil.example\r\n", "400"),
        ("host: x, evil.example\r\n", "400"),
        ("host: x evil.example\r\n", "400"),
        ("host: evil.example@x\r\n", "400"),
        ("host: http://x\r\n", "400"),
        ("host: x/y\r\n", "400"),
        ("host: x:y\r\n", "400"),
        ("host: x:80:80\r\n", "400"),
        ("host: [::1\r\n", "400"),
        ("host: \u{e9}\r\n", "400"),
    ] {
        let (statuses, received) = server.send(with("1.1", hosts)).await;
        if expected == "400" {
            cases.push(case(format!("{hosts:?}"), with("1.1", hosts), expected));
            assert!(received.to_lowercase().contains("connection: close"), "{hosts:?}: {received}");
        } else {
            assert_eq!(statuses, expected, "{hosts:?}: {received}");
        }
    }
    // A host in the target does not replace the field.
    let absolute = format!("GET http://x/verify HTTP/1.1\r\n\r\n{HIDDEN}");
    cases.push(case("a target with a host", absolute, "400"));
    // HTTP/1.0 requires no `Host`, but at most one is allowed (RFC 9112, 3.2: any request with more than one line).
    for (hosts, expected) in [
        ("", "401"),
        ("host: x\r\n", "401"),
        ("host: x\r\nhost: x\r\n", "400"),
        ("host: x\r\nHOST: evil.example\r\n", "400"),
        ("host: x evil.example\r\n", "400"),
    ] {
        cases.push(case(format!("HTTP/1.0, {hosts:?}"), with("1.0", hosts), expected));
    }
    server.check(&cases).await;
}

/// A response that is sent before the request has ended is the last one on its connection.
#[tokio::test]
async fn unread_bodies_are_not_parsed_as_requests() {
    let server = RawServer::start();
    let padded = |size: usize| format!("{}{HIDDEN}", "x".repeat(size - HIDDEN.len()));
    let mut cases = Vec::new();
    for (what, head, size, expected) in [
        ("a body too large", "content-length: 200000", 200_000, "413"),
        ("a length too large", "content-length: 99999999", 1000, "413"),
        ("a body shorter than its length", "content-length: 99999", 1000, "413"),
    ] {
        cases.push(case(what, post(head, &padded(size)), expected));
    }
    let unknown = |body: &str| format!("POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n{body}");
    cases.push(case("an unknown path", unknown(&padded(5000)), "404"));
    let expects = format!(
        "POST /nothing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n{HIDDEN}",
        HIDDEN.len() + 1
    );
    cases.push(case("a body after 100-continue", expects, "100 404"));
    let unread = format!(
        "GET /verify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{HIDDEN}",
        HIDDEN.len()
    );
    cases.push(case("a body that GET does not read", unread, "401"));
    server.check(&cases).await;
}
