//! Connections that run short: one client network does not keep others out.

use super::*;
use tokio::net::TcpSocket;

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
/// The limit of connections in these tests. Above three quarters of it, each new connection closes another one.
const MAX: usize = 8;

fn few_connections() -> config::Server {
    config::Server { workers: 1, max_connections: MAX, ..settings() }
}

async fn connect_from(server: &InProcessServer, source: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(source), 0).into()).unwrap();
    socket.connect(server.address).await.unwrap()
}

async fn request(stream: &mut TcpStream) -> String {
    stream.write_all(REQUEST).await.unwrap();
    read_response(stream).await.unwrap()
}

const CROWD: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

#[tokio::test]
async fn the_longest_idle_connection_of_the_largest_network_closes() {
    let server = serve(few_connections());
    let mut other = connect_from(&server, OTHER).await;
    request(&mut other).await;
    let mut crowd = Vec::new();
    for _ in 0..5 {
        let mut stream = connect_from(&server, CROWD).await;
        request(&mut stream).await;
        crowd.push(stream);
    }
    assert!(server.cut_off().is_empty(), "there are enough connections");
    // The first one of the crowd is in use, so the second one has been idle for longest.
    request(&mut crowd[0]).await;
    let mut newest = connect_from(&server, CROWD).await;
    request(&mut newest).await;
    assert_eq!(read_to_close(&mut crowd[1]).await, "");
    assert_eq!(server.cut_off(), [CutOffReason::NetworkShare]);
    request(&mut crowd[0]).await;
    request(&mut other).await;
    assert!(server.log.exhausted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_network_cannot_keep_others_out() {
    for workers in [1, 2] {
        let server = serve(config::Server { workers, max_connections: 16 * workers, ..settings() });
        let mut other = connect_from(&server, OTHER).await;
        request(&mut other).await;
        let mut crowd = Vec::new();
        for _ in 0..100 {
            let mut stream = connect_from(&server, CROWD).await;
            request(&mut stream).await;
            crowd.push(stream);
        }
        request(&mut other).await;
        for _ in 0..4 {
            request(&mut connect_from(&server, OTHER).await).await;
        }
        assert!(server.log.exhausted.lock().unwrap().is_empty());
    }
}

/// A crowd that always has a request in flight keeps nobody out either.
#[tokio::test]
async fn unfinished_requests_of_one_network_keep_nobody_out() {
    let server = serve(few_connections());
    let mut crowd = Vec::new();
    for _ in 0..3 * MAX {
        let mut stream = connect_from(&server, CROWD).await;
        stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await.unwrap();
        crowd.push(stream);
    }
    assert!(request(&mut connect_from(&server, OTHER).await).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn networks_with_as_many_connections_count_as_one() {
    let server = serve(few_connections());
    let mut streams = Vec::new();
    for host in 1..=MAX as u8 {
        let mut stream = connect_from(&server, [127, 0, 1, host]).await;
        request(&mut stream).await;
        streams.push(stream);
    }
    for closed in &mut streams[..2] {
        assert_eq!(read_to_close(closed).await, "");
    }
    for open in &mut streams[2..] {
        request(open).await;
    }
}

#[tokio::test]
async fn a_handler_that_keeps_its_worker_is_a_stall() {
    let server = serve(config::Server { workers: 1, ..settings() });
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    for (client, millis) in [(client_builder().build().unwrap(), 20), (http2, 40)] {
        client.get(server.url(&format!("/stall/{millis}"))).send().await.unwrap();
        let stall = Duration::from_millis(millis);
        assert!(server.log.stalls.lock().unwrap().iter().any(|measured| *measured >= stall), "{millis} ms");
    }
}
