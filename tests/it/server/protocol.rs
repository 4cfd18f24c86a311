//! HTTP/1.1 and HTTP/2 on one port, and what neither may be tricked into.

use super::*;

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let served = serve(settings());
    let one = reqwest::Client::builder().http1_only().build().unwrap();
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for (client, version) in [(one, http::Version::HTTP_11), (two, http::Version::HTTP_2)] {
        let answer = client.get(served.url("/hello")).send().await.unwrap();
        assert_eq!(answer.version(), version);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert!(answer.headers().contains_key("date"));
        assert!(!answer.headers().contains_key("server"));
        assert_eq!(answer.text().await.unwrap(), "\"hello\"");
        let head = client.head(served.url("/hello")).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], "7");
        assert_eq!(head.text().await.unwrap(), "");
        let echoed = client.post(served.url("/echo")).body("x".repeat(64 * 1024)).send().await.unwrap();
        assert_eq!(echoed.text().await.unwrap().len(), 64 * 1024);
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_answers_in_order() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\nGET /items/2 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(b"GET /items/3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let said = to_the_end(&mut stream).await;
    let bodies: Vec<&str> = said.split("\r\n\r\n").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(bodies, ["1", "2", "3"], "{said}");
    assert_eq!(served.log.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_worker_has_its_own_context_and_gets_connections() {
    let served = serve(settings());
    let mut seen = std::collections::BTreeSet::new();
    let begun = Instant::now();
    while seen.len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "only {seen:?} got connections");
        let said = served.say("GET /worker HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        seen.insert(said.chars().last());
    }
}

#[tokio::test]
async fn a_context_that_cannot_be_made_starts_nothing() {
    let settings = settings();
    let router = Arc::new(routes(&settings).build().unwrap());
    let make = async |worker| {
        if worker == 1 {
            Err("no store")
        } else {
            Ok(TestServer { worker, gate: watch::channel(false).1, waiting: Arc::default() })
        }
    };
    let failed = server::start(&settings, router, Arc::new(Log::default()), &Rng::system(), make);
    assert_eq!(failed.unwrap_err().to_string(), "no store");
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let served = serve(settings());
    let again = config::Server { listen: served.address, ..settings() };
    let router = Arc::new(routes(&again).build().unwrap());
    let make = async |worker| {
        Ok::<_, Infallible>(TestServer { worker, gate: watch::channel(false).1, waiting: Arc::default() })
    };
    let failed = server::start(&again, router, Arc::new(Log::default()), &Rng::system(), make).unwrap_err();
    assert!(failed.to_string().contains("another process listens there"), "{failed}");
}

/// What hyper does with requests that two parsers could read in two ways, pinned: either refused, or answered once and
/// the connection closed, so that no second request can hide in the first.
#[tokio::test]
async fn no_request_hides_in_another() {
    let served = serve(settings());
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
            "two lengths",
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
        let said = served.say(request).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {expected}")) || said.starts_with(&format!("HTTP/1.0 {expected}")),
            "{name}: {said}"
        );
        assert!(!said.contains("hidden"), "{name}: {said}");
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = serve(settings());
    let long = format!("GET /hello HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(17 * 1024));
    assert!(served.say(long).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET /hello HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: a\r\n".repeat(101));
    assert!(served.say(many).await.starts_with("HTTP/1.1 431"));
    let endless = format!("GET /hello HTTP/1.1\r\nhost: x\r\nx: {}", "a".repeat(70 * 1024));
    assert!(served.say(endless).await.starts_with("HTTP/1.1 431"));
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = two.get(served.url("/hello")).header("x", "a".repeat(17 * 1024)).send().await;
    assert!(answer.is_err() || answer.unwrap().status() == 431);
    assert_eq!(two.get(served.url("/hello")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_and_nobody_elses() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // GET http://x/hello, all but the path from HPACK's static table.
    let block = [&[0x82, 0x86, 0x04, 0x06][..], b"/hello", &[0x01, 0x01], b"x"].concat();
    let mut flood = Vec::new();
    for stream in (1..4001_u32).step_by(2) {
        flood.extend([0, 0, block.len() as u8, 0x01, 0x05]);
        flood.extend(stream.to_be_bytes());
        flood.extend(&block);
        flood.extend([0, 0, 4, 0x03, 0]);
        flood.extend(stream.to_be_bytes());
        flood.extend(8_u32.to_be_bytes());
    }
    // The server may close before all is sent, which is the point.
    let _ = stream.write_all(&flood).await;
    let mut said = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the connection ends");
    assert_eq!(reqwest::get(served.url("/hello")).await.unwrap().status(), 200);
}
