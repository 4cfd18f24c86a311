//! Every time-out and every limit, one at a time and short.

use super::*;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn incomplete_head_times_out() {
    let server = serve(config::Server { header_timeout: SHORT, idle_timeout: HOUR, ..settings() });
    let began = Instant::now();
    assert_eq!(server.exchange("").await, "");
    assert_eq!(server.exchange("PRI * HT").await, "");
    assert_eq!(server.exchange("GET /hello HTTP/1.1\r\nhost: x\r\nx: ").await, "");
    assert!(began.elapsed() >= 3 * SHORT);
    // A second head gets the same time, not the idle time-out.
    let mut stream = server.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\nGET /h").await.unwrap();
    read_response(&mut stream).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, "");
    until("all connections are closed", || server.open_connections() == 0).await;
}

#[tokio::test]
async fn trickling_head_gets_no_more_time() {
    let server = serve(config::Server { header_timeout: SHORT, idle_timeout: HOUR, ..settings() });
    let mut stream = server.connect().await;
    let began = Instant::now();
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\nx: ").await.unwrap();
    let mut read = [0; 1];
    // One field of few bytes, because a head with too many fields or bytes is answered, whatever time it takes.
    let closed = loop {
        if let Ok(closed) = tokio::time::timeout(SHORT / 10, stream.read(&mut read)).await {
            break closed;
        }
        assert!(began.elapsed() < TIMEOUT, "still open");
        let _ = stream.write_all(b"y").await;
    };
    // Bytes that the server has not read make it a reset.
    assert!(!matches!(closed, Ok(1..)), "the server answers");
}

#[tokio::test]
async fn idle_connection_is_closed_but_not_a_busy_one() {
    let server = serve(config::Server { idle_timeout: SHORT, ..settings() });
    for path in ["/hello", "/gate"] {
        let mut stream = server.connect().await;
        let began = Instant::now();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        if path == "/gate" {
            // A connection with a request in flight is not idle, however long the request takes.
            until("the request waits", || server.waiting.load(Ordering::SeqCst) == 1).await;
            tokio::time::timeout(2 * SHORT, stream.readable()).await.expect_err("the request waits for the gate");
            server.gate.send_replace(true);
        }
        read_response(&mut stream).await.unwrap();
        assert_eq!(read_to_close(&mut stream).await, "");
        assert!(began.elapsed() >= SHORT);
    }
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    assert_eq!(http2.get(server.url("/hello")).send().await.unwrap().status(), 200);
    until("the HTTP/2 connection is closed", || server.open_connections() == 0).await;
    assert_eq!(http2.get(server.url("/hello")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn incomplete_body_gets_408() {
    let server = serve(config::Server { body_timeout: SHORT, ..settings() });
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let response = server.exchange(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n5\r\nab")).await;
        assert!(response.starts_with("HTTP/1.1 408"), "{response}");
        assert!(response.ends_with("handler: the body did not arrive in time"), "{response}");
    }
}

#[tokio::test]
async fn slow_handler_gets_503() {
    let server = serve(config::Server { request_timeout: SHORT, ..settings() });
    let response = client_builder().build().unwrap().get(server.url("/gate")).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.text().await.unwrap(), "root: no response within 150ms");
}

#[tokio::test]
async fn too_large_body_gets_413_and_the_client_reads_it() {
    let server = serve(settings());
    let client = client_builder().build().unwrap();
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    for size in [64 * 1024 + 1, 4 * 1024 * 1024] {
        for client in [&client, &http2] {
            let response = client.post(server.url("/echo")).body("x".repeat(size)).send().await.unwrap();
            assert_eq!(response.status(), 413);
            assert_eq!(response.text().await.unwrap(), "handler: the body is larger than 65536 bytes");
        }
    }
    // A body of unknown length.
    let mut chunks = String::from("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        chunks += &format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    }
    assert!(server.exchange(chunks + "0\r\n\r\n").await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn unread_body_does_not_corrupt_the_next_request() {
    let server = serve(settings());
    let mut stream = server.connect().await;
    for path in ["/nobody", "/hello", "/nobody"] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12345");
        stream.write_all(request.as_bytes()).await.unwrap();
        let response = read_response(&mut stream).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 40") && !response.contains("connection: close"), "{response}");
    }
    // The rest of the body would be parsed as the next request, so the response announces that the connection closes.
    for rest in ["content-length: 100000", "content-length: 5", "transfer-encoding: chunked"] {
        let response = server.exchange(format!("POST /nobody HTTP/1.1\r\nhost: x\r\n{rest}\r\n\r\n4\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 404") && response.contains("\r\nconnection: close\r\n"), "{response}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    // The connections of a trusted proxy are not closed for others.
    let network = config::Network { address: Ipv4Addr::LOCALHOST.into(), bits: 32 };
    let server = serve(config::Server { max_connections: 3, trusted_proxies: vec![network], ..settings() });
    let request = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(request).await.unwrap();
        read_response(&mut stream).await.unwrap();
        open.push(stream);
    }
    let mut waiting = server.connect().await;
    waiting.write_all(request).await.unwrap();
    until("connections are exhausted", || *server.log.exhausted.lock().unwrap() == [true]).await;
    tokio::time::timeout(SHORT, waiting.readable()).await.expect_err("the connection waits");
    assert_eq!(server.open_connections(), 3);
    open.pop();
    read_response(&mut waiting).await.unwrap();
    drop(open);
    until("connections are available", || *server.log.exhausted.lock().unwrap() == [true, false]).await;
    assert!(server.cut_off().is_empty());
}

/// Runs a server in a child process that runs out of file descriptors.
#[tokio::test]
async fn server_survives_running_out_of_descriptors() {
    let itself = std::env::current_exe().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\"", itself.to_str().unwrap()])
        .args(["--exact", "server::bounds::server_with_few_descriptors", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.rsplit_once("listening on ").map(|(_, at)| at.to_owned())).unwrap();
    let mut streams = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        streams.push(stream);
    }
    // Accepted connections end one by one and free descriptors, so all requests get a response in the end.
    for mut stream in streams {
        read_response(&mut stream).await.unwrap();
    }
    child.stdin.take().unwrap().write_all(b"enough\n").unwrap();
    let failures = lines.find_map(|line| line.strip_prefix("accept failures: ").map(str::to_owned));
    assert!(failures.is_some_and(|count| count.parse::<usize>().unwrap() > 0), "descriptors never ran out");
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "run by server_survives_running_out_of_descriptors, under a low limit"]
#[allow(clippy::print_stdout, reason = "the parent test reads its output")]
fn server_with_few_descriptors() {
    let server = serve(config::Server { workers: 1, ..settings() });
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files.truncate(files.len() - 5);
    println!("\nlistening on {}", server.address);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    println!("accept failures: {}", server.log.accept_failures.load(Ordering::SeqCst));
}
