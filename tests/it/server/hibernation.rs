//! Hibernating connections: an idle connection drops its HTTP state and gets it back, invisibly to the client.

use super::*;

async fn wait_for_hibernation(server: &InProcessServer, times: usize) {
    until("the connection hibernates", || server.log.hibernated.load(Ordering::SeqCst) >= times).await;
}

#[tokio::test]
async fn request_that_wakes_a_connection_gets_its_response() {
    let server = serve(settings());
    let mut stream = server.connect().await;
    let large = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n{}", "y".repeat(9000));
    let requests: [&[&str]; 5] = [
        &["GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"],
        &["G", "ET /hello HTTP/1.1\r\n", "host: x\r\n\r\n"],
        &["POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc", "def"],
        // More than the first read after waking takes.
        &[&large],
        &["\r\n", "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"],
    ];
    for (index, request) in requests.into_iter().enumerate() {
        for piece in request {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let response = read_response(&mut stream).await.unwrap();
        let expected = match index {
            2 => "\r\nabcdef".to_owned(),
            3 => "y".repeat(9000),
            _ => "\r\n\"hello\"".to_owned(),
        };
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with(&expected), "{index}: {response}");
        wait_for_hibernation(&server, index + 1).await;
    }
    assert_eq!(server.log.opened.load(Ordering::SeqCst), 1);
    drop(stream);
    until("the connection is closed", || server.open_connections() == 0).await;
}

#[tokio::test]
async fn head_that_wakes_a_connection_gets_the_header_timeout() {
    let short = Duration::from_millis(150);
    let server = serve(config::Server { header_timeout: short, idle_timeout: HOUR, ..settings() });
    let mut stream = server.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_response(&mut stream).await.unwrap();
    wait_for_hibernation(&server, 1).await;
    stream.write_all(b"GET /he").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, "");
}

#[tokio::test]
async fn large_response_leaves_no_large_buffer() {
    let server = serve(config::Server { idle_timeout: HOUR, ..settings() });
    let mut stream = server.connect().await;
    let body = "z".repeat(20_000);
    let large = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(large.as_bytes()).await.unwrap();
    assert!(read_response(&mut stream).await.unwrap().ends_with(&body));
    // The connection is never idle for the two seconds after which any connection hibernates.
    for _ in 0..1000 {
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_response(&mut stream).await.unwrap();
        if server.log.hibernated.load(Ordering::SeqCst) > 0 {
            return;
        }
    }
    panic!("the connection keeps the buffer");
}

#[tokio::test]
async fn response_the_client_has_not_read_is_kept() {
    const REQUESTS: usize = 400;
    // Short, so that the connection would hibernate if it could.
    let server = serve(config::Server { idle_timeout: Duration::from_secs(16), ..settings() });
    let (mut read, mut write) = server.connect().await.into_split();
    let body = "z".repeat(60_000);
    // Together far more than the kernel buffers for a client that does not read.
    let sender = tokio::spawn(async move {
        let request = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        for _ in 0..REQUESTS {
            write.write_all(request.as_bytes()).await.unwrap();
        }
        write
    });
    // Another connection hibernates, and meanwhile no other request is answered: this one would hibernate too if it
    // could.
    let (mut other, mut answered) = (server.connect().await, 0);
    loop {
        let hibernated = server.log.hibernated.load(Ordering::SeqCst);
        other.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_response(&mut other).await.unwrap();
        wait_for_hibernation(&server, hibernated + 1).await;
        let before = std::mem::replace(&mut answered, server.log.completed.lock().unwrap().len());
        if answered == before + 1 {
            break;
        }
    }
    assert!(!sender.is_finished(), "the server accepted more than it can respond to");
    let (mut received, mut buffer) = (0, vec![0; 1 << 16]);
    while received < REQUESTS * 60_000 {
        let count = tokio::time::timeout(TIMEOUT, read.read(&mut buffer)).await.expect("responses arrive").unwrap();
        assert!(count > 0, "the responses drain after {received} bytes");
        received += buffer[..count].iter().filter(|byte| **byte == b'z').count();
    }
    assert_eq!(received, REQUESTS * 60_000);
    drop(sender.await.unwrap());
}

#[tokio::test]
async fn hibernating_connection_does_not_delay_the_drain() {
    let server = serve(config::Server { idle_timeout: HOUR, drain_timeout: HOUR, ..settings() });
    let mut stream = server.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_response(&mut stream).await.unwrap();
    wait_for_hibernation(&server, 1).await;
    let drain = tokio::spawn(server.drain());
    assert_eq!(read_to_close(&mut stream).await, "");
    drop(stream);
    assert_eq!(tokio::time::timeout(TIMEOUT, drain).await.expect("the drain ends").unwrap(), 0);
}
