//! HTTP/1.1 and HTTP/2 on one port, and attacks on their parsers.

use super::*;
use crate::support::http2;

#[tokio::test]
async fn http1_and_http2_share_one_port() {
    let server = serve(settings());
    let http1 = client_builder().http1_only().build().unwrap();
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    for (client, version) in [(http1, http::Version::HTTP_11), (http2, http::Version::HTTP_2)] {
        let response = client.get(server.url("/hello")).send().await.unwrap();
        assert_eq!(response.version(), version);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(response.headers().contains_key("date"));
        assert!(!response.headers().contains_key("server"));
        assert_eq!(response.text().await.unwrap(), "\"hello\"");
        let head = client.head(server.url("/hello")).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], "7");
        assert_eq!(head.text().await.unwrap(), "");
        let echoed = client.post(server.url("/echo")).body("x".repeat(64 * 1024)).send().await.unwrap();
        assert_eq!(echoed.text().await.unwrap().len(), 64 * 1024);
    }
}

#[tokio::test]
async fn pipelined_requests_get_responses_in_order() {
    let server = serve(settings());
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\nGET /items/2 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(b"GET /items/3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let response = read_to_close(&mut stream).await;
    let bodies: Vec<&str> = response.split("\r\n\r\n").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(bodies, ["1", "2", "3"], "{response}");
    assert_eq!(server.log.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn each_worker_has_its_context_and_gets_connections() {
    let server = serve(settings());
    let mut seen = std::collections::BTreeSet::new();
    let began = Instant::now();
    while seen.len() < 2 {
        assert!(began.elapsed() < TIMEOUT, "only {seen:?} got connections");
        let response = server.exchange("GET /worker HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        seen.insert(response.chars().last());
    }
}

#[tokio::test]
async fn failing_context_fails_the_start() {
    let settings = settings();
    let router = Arc::new(routes(&settings).build().unwrap());
    let make = async |worker| {
        if worker == 1 {
            Err("no store")
        } else {
            Ok(WorkerContext { worker, gate: watch::channel(false).1, waiting: Arc::default() })
        }
    };
    let error = server::start(&settings, router, Arc::new(Log::default()), &Rng::system(), make);
    assert_eq!(error.unwrap_err().to_string(), "no store");
}

#[tokio::test]
async fn taken_port_fails_the_start() {
    let server = serve(settings());
    let again = config::Server { listen: server.address, ..settings() };
    let router = Arc::new(routes(&again).build().unwrap());
    let make = async |worker| {
        Ok::<_, Infallible>(WorkerContext { worker, gate: watch::channel(false).1, waiting: Arc::default() })
    };
    let error = server::start(&again, router, Arc::new(Log::default()), &Rng::system(), make).unwrap_err();
    assert!(error.to_string().contains("another process listens there"), "{error}");
}

/// Pins hyper's treatment of requests that two parsers could parse differently: either the request is rejected, or it
/// gets one response and the connection is closed, so that no second request can hide in the first.
#[tokio::test]
async fn request_smuggling_is_prevented() {
    let server = serve(settings());
    let hidden = "GET /items/hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    let chunked = format!("0\r\n\r\n{hidden}");
    for (name, request, expected) in [
        (
            "length and chunks",
            format!(
                "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}",
                chunked.len()
            ),
            "200",
        ),
        (
            "chunks and length",
            format!(
                "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n{chunked}",
                chunked.len()
            ),
            "200",
        ),
        (
            "http2 lengths",
            format!(
                "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
            "400",
        ),
        ("a list of lengths", format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 0, 0\r\n\r\n{hidden}"), "400"),
        ("a signed length", format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: +0\r\n\r\n{hidden}"), "400"),
        (
            "chunked not last",
            format!("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n{chunked}"),
            "400",
        ),
        (
            "unknown coding",
            format!("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n{chunked}"),
            "400",
        ),
        (
            "chunks in 1.0",
            format!("POST /echo HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
            "400",
        ),
        (
            "space before the colon",
            format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length : 0\r\n\r\n{hidden}"),
            "400",
        ),
        (
            "a folded field",
            format!("POST /echo HTTP/1.1\r\nhost: x\r\nx: a\r\n content-length: 5\r\n\r\n{hidden}"),
            "400",
        ),
        ("a bare CR", format!("POST /echo HTTP/1.1\r\nhost: x\rcontent-length: 5\r\n\r\n{hidden}"), "400"),
        ("a NUL", format!("GET /echo HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n{hidden}"), "400"),
    ] {
        let response = server.exchange(request).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {expected}"))
                || response.starts_with(&format!("HTTP/1.0 {expected}")),
            "{name}: {response}"
        );
        assert!(!response.contains("hidden"), "{name}: {response}");
    }
}

#[tokio::test]
async fn head_size_is_limited() {
    let server = serve(settings());
    let long = format!("GET /hello HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(17 * 1024));
    assert!(server.exchange(long).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET /hello HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: a\r\n".repeat(101));
    assert!(server.exchange(many).await.starts_with("HTTP/1.1 431"));
    let endless = format!("GET /hello HTTP/1.1\r\nhost: x\r\nx: {}", "a".repeat(70 * 1024));
    assert!(server.exchange(endless).await.starts_with("HTTP/1.1 431"));
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    let response = http2.get(server.url("/hello")).header("x", "a".repeat(17 * 1024)).send().await;
    assert!(response.is_err() || response.unwrap().status() == 431);
    assert_eq!(http2.get(server.url("/hello")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn flood_of_resets_ends_only_its_connection() {
    let server = serve(settings());
    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let block = http2::get("/hello");
    let mut flood = Vec::new();
    for stream in (1..4001_u32).step_by(2) {
        flood.extend([0, 0, block.len() as u8, 0x01, 0x05]);
        flood.extend(stream.to_be_bytes());
        flood.extend(&block);
        flood.extend([0, 0, 4, 0x03, 0]);
        flood.extend(stream.to_be_bytes());
        flood.extend(8_u32.to_be_bytes());
    }
    // The server may close the connection before all is sent; that is the intention.
    let _ = stream.write_all(&flood).await;
    let mut response = Vec::new();
    let _ = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut response)).await.expect("the connection ends");
    assert_eq!(client_builder().build().unwrap().get(server.url("/hello")).send().await.unwrap().status(), 200);
}
