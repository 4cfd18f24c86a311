//! Draining: no request is lost, no connection is reset, and it ends.

use super::*;
use std::io::ErrorKind;

/// A client that takes longer for a request may find its connection closed: a server that stops waits for 250 ms for the
/// requests of idle clients.
const LATE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn request_in_flight_completes_with_connection_close() {
    let server = serve(settings());
    let mut stream = server.connect().await;
    stream.write_all(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    let http2_response = tokio::spawn(http2.get(server.url("/gate")).send());
    until("both requests wait", || server.waiting.load(Ordering::SeqCst) == 2).await;
    let (address, gate) = (server.address, server.gate.clone());
    let drained = tokio::spawn(server.drain());
    let began = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(began.elapsed() < TIMEOUT, "still accepting");
    }
    gate.send_replace(true);
    let response = read_to_close(&mut stream).await;
    assert!(response.contains("\r\nconnection: close\r\n") && response.ends_with("through"), "{response}");
    assert_eq!(http2_response.await.unwrap().unwrap().text().await.unwrap(), "through");
    assert_eq!(drained.await.unwrap(), 0);
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_drain() {
    let server = serve(config::Server { idle_timeout: HOUR, drain_timeout: HOUR, ..settings() });
    let mut used = server.connect().await;
    used.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_response(&mut used).await.unwrap();
    let mut fresh = server.connect().await;
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    assert_eq!(http2.get(server.url("/hello")).send().await.unwrap().status(), 200);
    let drained = tokio::spawn(server.drain());
    assert_eq!(read_to_close(&mut used).await, "");
    assert_eq!(read_to_close(&mut fresh).await, "");
    drop((used, fresh));
    assert_eq!(tokio::time::timeout(TIMEOUT, drained).await.expect("the drain ends").unwrap(), 0);
}

#[tokio::test]
async fn request_sent_during_the_stop_completes() {
    // On a busy machine this thread may stand still between the stop and the request: such a stop shows nothing.
    let response = loop {
        let server = serve(settings());
        let mut stream = server.connect().await;
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_response(&mut stream).await.unwrap();
        let began = Instant::now();
        server.running.as_ref().unwrap().stop_handle().stop();
        let written = stream.write_all(b"GET /items/late HTTP/1.1\r\nhost: x\r\n\r\n").await;
        if began.elapsed() < LATE {
            written.unwrap();
            let response = read_to_close(&mut stream).await;
            assert_eq!(server.drain().await, 0);
            break response;
        }
    };
    assert!(response.ends_with("late") && response.contains("\r\nconnection: close\r\n"), "{response}");
}

#[tokio::test]
async fn unfinished_requests_are_cut_off_and_counted() {
    let server = serve(config::Server { drain_timeout: Duration::from_millis(200), ..settings() });
    let mut stream = server.connect().await;
    stream.write_all(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("the request waits", || server.waiting.load(Ordering::SeqCst) == 1).await;
    assert_eq!(server.drain().await, 1);
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    assert_eq!(response, b"");
}

/// The results of one client until the port was closed.
#[derive(Default, Debug)]
struct Tally {
    completed: usize,
    /// The server closed a connection that was kept alive cleanly, before the first byte of the response, while it was
    /// being reused.
    closed: usize,
    /// The client was too late.
    late: usize,
    errors: Vec<ErrorKind>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_under_load_loses_no_request() {
    for keep_alive in [true, false] {
        let server = serve(settings());
        let address = server.address;
        let clients: Vec<_> = (0..64).map(|_| tokio::spawn(client(address, keep_alive))).collect();
        let log = server.log.clone();
        let enough = || log.completed.lock().unwrap().len() > 2000;
        until("2000 requests are done", enough).await;
        assert_eq!(server.drain().await, 0);
        let mut total = Tally::default();
        for client in clients {
            let tally = client.await.unwrap();
            total.completed += tally.completed;
            total.closed += tally.closed;
            total.late += tally.late;
            total.errors.extend(tally.errors);
        }
        assert!(total.errors.is_empty(), "{total:?}");
        // Every response arrived.
        assert_eq!(total.completed, log.completed.lock().unwrap().len());
        // Idle connections stay open for far longer than these clients take between two requests, unless the machine is
        // busy.
        assert_eq!(total.closed, 0, "{total:?}");
    }
}

/// Sends requests until the port is closed.
async fn client(address: SocketAddr, keep_alive: bool) -> Tally {
    let mut tally = Tally::default();
    let mut idle: Option<TcpStream> = None;
    let request: &[u8] = if keep_alive {
        b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"
    } else {
        b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    };
    // When the last request on the connection began: the connection is idle after that.
    let mut idle_after = Instant::now();
    loop {
        let reused = idle.is_some();
        let began = Instant::now();
        if !reused {
            idle_after = began;
        }
        let mut stream = match idle.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    if error.kind() != ErrorKind::ConnectionRefused {
                        tally.errors.push(error.kind());
                    }
                    return tally;
                }
            },
        };
        let written = stream.write_all(request).await;
        let is_late = std::mem::replace(&mut idle_after, began).elapsed() >= LATE;
        match read_response(&mut stream).await {
            Ok(response) => {
                tally.completed += 1;
                written.unwrap();
                if !response.contains("\r\nconnection: close\r\n") {
                    idle = Some(stream);
                }
            }
            Err(_) if is_late => tally.late += 1,
            Err(error) if reused && error.kind() == ErrorKind::UnexpectedEof => tally.closed += 1,
            Err(error) => tally.errors.push(error.kind()),
        }
    }
}
