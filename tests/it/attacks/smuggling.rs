//! Requests that two parsers could cut in two ways (RFC 9112, 11.2), byte for byte, to a running server: what hides in a request
//! is never answered, and what is lawful is answered in its order.
//!
//! What is hidden asks for an answer under the name `hidden`, which would be echoed.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::{SendRequest, TestServer};

const HIDDEN: &str = "GET /verify HTTP/1.1\r\nhost: x\r\nx-request-id: hidden\r\nconnection: close\r\n\r\n";
/// Thirteen bytes, or `d`.
const BODY: &str = r#"{"token":"x"}"#;

struct Line {
    server: TestServer,
    address: String,
}

impl Line {
    /// A server that waits for nothing that does not come.
    fn open() -> Self {
        let server = TestServer::embedded(|plan| {
            let short = ["SIGNET_SERVER__HEADER_TIMEOUT", "SIGNET_SERVER__BODY_TIMEOUT", "SIGNET_SERVER__IDLE_TIMEOUT"];
            short.into_iter().fold(plan, |plan, name| plan.set(name, "1s"))
        });
        let address = server.signet.url_of("").trim_start_matches("http://").to_owned();
        Self { server, address }
    }

    /// Sends bytes and reads until the server closes: the statuses of its answers, and all that it said.
    async fn say(&self, bytes: impl AsRef<[u8]>) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut said = Vec::new();
        let reading = stream.read_to_end(&mut said);
        // A reset after its last answer ends it as well.
        let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the server closes");
        let said = String::from_utf8_lossy(&said).into_owned();
        let statuses = said.split("HTTP/1.").skip(1).map(|answer| answer[2..5].to_owned()).collect::<Vec<_>>();
        (statuses.join(" "), said)
    }

    /// Each request: which answers it gets, none of them to what hides in it.
    async fn hold(&self, cases: &[(String, Vec<u8>, &str)]) {
        let mut faults = Vec::new();
        for (what, request, expected) in cases {
            let (statuses, said) = self.say(request).await;
            if statuses != *expected || said.contains("hidden") {
                faults.push(format!("{what}: {statuses} instead of {expected}: {said}"));
            }
        }
        assert!(faults.is_empty(), "{faults:#?}");
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
async fn lengths_and_chunks() {
    let line = Line::open();
    let chunked = format!("d\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}");
    let whole = format!("content-length: {}", chunked.len());
    let mut cases = Vec::new();
    // Chunked beside a length: chunks count, and the connection ends with the answer.
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
    line.hold(&cases).await;
}

#[tokio::test]
async fn chunks_that_are_none() {
    let line = Line::open();
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
    // The largest number that there is, of which nothing more comes.
    cases.push(case("an endless chunk", with(&format!("ffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n{HIDDEN}")), "408"));
    line.hold(&cases).await;

    // What is lawful, and what follows it, in order and apart.
    let second = "GET /openapi.json HTTP/1.1\r\nhost: x\r\nx-request-id: second\r\nconnection: close\r\n\r\n";
    for size in ["d", "D", "0d", "000000d", "d;a", "d;a=b", "d;a=\"b\""] {
        let (statuses, said) = line.say(with(&format!("{size}\r\n{BODY}\r\n0\r\n\r\n{second}"))).await;
        assert_eq!(statuses, "401 200", "{size}: {said}");
        assert_eq!(said.matches("x-request-id: second").count(), 1, "{size}");
    }
    // A trailer is no header field (RFC 9110, 6.5.1): least of all one that says who asks.
    let good = line.server.sign_in(&line.server.create_user(&[])).await.access;
    for field in [format!("authorization: Bearer {good}"), format!("x-api-key: {good}"), "content-length: 5".to_owned()]
    {
        let ask =
            format!("DELETE /sessions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{field}\r\n\r\n");
        assert_eq!(line.say(ask).await.0, "401", "{field}");
    }
    line.server.verify(&good).await.is(200);
}

#[tokio::test]
async fn heads_that_are_none() {
    let line = Line::open();
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
    // HTTP/2 does not begin in the middle.
    let late = "GET /verify HTTP/1.1\r\nhost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    cases.push(case("a preface too late", late, "401"));
    line.hold(&cases).await;

    // A single LF ends a line, as RFC 9112, 2.2 lets it: so it also ends the request, and what follows is another.
    let (statuses, said) = line.say(format!("GET /verify HTTP/1.1\nhost: x\nx-request-id: first\n\n{HIDDEN}")).await;
    assert_eq!((statuses.as_str(), said.matches("x-request-id: first").count()), ("401 401", 1), "{said}");
    // Whatever host a request names, what is said of this service is what its settings say.
    for host in ["host: evil.example\r\n", "host: x\r\nx-forwarded-host: evil.example\r\n"] {
        for target in ["", "http://evil.example"] {
            let ask = format!(
                "GET {target}/.well-known/openid-configuration HTTP/1.1\r\n{host}forwarded: host=evil.example\r\nconnection: close\r\n\r\n"
            );
            let (statuses, said) = line.say(ask).await;
            assert!(statuses == "200" && !said.contains("evil"), "{said}");
        }
    }
}

/// RFC 9112, 3.2: who names no host, or two, or none that could be one, is told so, and nothing that follows is read.
#[tokio::test]
async fn hosts_that_are_none() {
    let line = Line::open();
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
        let answers = line.say(with("1.1", hosts)).await;
        if expected == "400" {
            cases.push(case(format!("{hosts:?}"), with("1.1", hosts), expected));
            assert!(answers.1.to_lowercase().contains("connection: close"), "{hosts:?}: {}", answers.1);
        } else {
            assert_eq!(answers.0, expected, "{hosts:?}: {}", answers.1);
        }
    }
    // The target names it, and that changes nothing.
    let absolute = format!("GET http://x/verify HTTP/1.1\r\n\r\n{HIDDEN}");
    cases.push(case("a target with a host", absolute, "400"));
    // HTTP/1.0 demands no host. Who names one there names one (RFC 9112, 3.2: any request with more than one line).
    for (hosts, expected) in [
        ("", "401"),
        ("host: x\r\n", "401"),
        ("host: x\r\nhost: x\r\n", "400"),
        ("host: x\r\nHOST: evil.example\r\n", "400"),
        ("host: x evil.example\r\n", "400"),
    ] {
        cases.push(case(format!("HTTP/1.0, {hosts:?}"), with("1.0", hosts), expected));
    }
    line.hold(&cases).await;
}

/// An answer that comes before its request's end is the connection's last.
#[tokio::test]
async fn bodies_that_nobody_waited_for() {
    let line = Line::open();
    let padded = |size: usize| format!("{}{HIDDEN}", "x".repeat(size - HIDDEN.len()));
    let mut cases = Vec::new();
    for (what, head, size, expected) in [
        ("a body too large", "content-length: 200000", 200_000, "413"),
        ("one that says so alone", "content-length: 99999999", 1000, "413"),
        ("more than was said", "content-length: 99999", 1000, "413"),
    ] {
        cases.push(case(what, post(head, &padded(size)), expected));
    }
    let lost = |body: &str| format!("POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n{body}");
    cases.push(case("a path that is nobody's", lost(&padded(5000)), "404"));
    let expects = format!(
        "POST /nothing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n{HIDDEN}",
        HIDDEN.len() + 1
    );
    cases.push(case("a body that was to be asked for", expects, "100 404"));
    let unread = format!(
        "GET /verify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{HIDDEN}",
        HIDDEN.len()
    );
    cases.push(case("a body that GET does not read", unread, "401"));
    line.hold(&cases).await;
}
