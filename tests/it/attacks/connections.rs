//! One host that opens as many connections as it can, and what operators see of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{client_builder, until_within};
use crate::support::server::{SendRequest, TestServer};

/// No step takes longer unless something is wrong.
const TIMEOUT: Duration = Duration::from_secs(30);
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn connect(server: &TestServer) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((HOST, 0).into()).unwrap();
    socket.connect(server.signet.url_of("").trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

/// Sends a request and waits for the beginning of the response.
async fn request(stream: &mut TcpStream) {
    stream.write_all(b"GET /verify HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let read = tokio::time::timeout(TIMEOUT, stream.read(&mut [0; 1024])).await.expect("the server responds");
    assert!(read.unwrap() > 0, "the connection is open");
}

#[tokio::test]
async fn one_host_cannot_take_all_connections() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_SERVER__MAX_CONNECTIONS", "64").set("SIGNET_SERVER__WORKERS", "2")
    });
    server.get("/verify").send_checked().await.is(401);
    let mut crowd = Vec::new();
    for _ in 0..256 {
        let mut stream = connect(&server).await;
        request(&mut stream).await;
        crowd.push(stream);
    }
    // Another client gets in, over a connection that it had and over a new one.
    server.get("/verify").send_checked().await.is(401);
    let other = client_builder().build().unwrap();
    other.get(server.signet.url_of("/verify")).send_checked().await.is(401);
    server.get_management("/readyz").await.is(200);
    let closed = server.metric("signet_connections_cut_off_total{reason=\"network_share\"}").await;
    assert!(closed >= 256 - 64, "{closed} connections were closed");
    assert_eq!(server.metric("signet_ready{condition=\"connections\"}").await, 1);
}

#[tokio::test]
async fn exhausted_connections_are_a_reason_not_to_be_ready() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_SERVER__MAX_CONNECTIONS", "16").set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.2")
    });
    let mut proxy = Vec::new();
    for _ in 0..16 {
        let mut stream = connect(&server).await;
        request(&mut stream).await;
        proxy.push(stream);
    }
    server.get_management("/readyz").await.is(200);
    let mut waiting = connect(&server).await;
    until_within("connections are exhausted", TIMEOUT, async || server.get_management("/readyz").await.status == 503)
        .await;
    let page = server.get_management("/readyz").await.json();
    let reason = "as many connections are open as server.max_connections allows, so new ones wait";
    assert_eq!(page["not_ready"], serde_json::json!({"connections": reason}));
    assert_eq!(server.metric("signet_ready{condition=\"connections\"}").await, 0);

    proxy.truncate(8);
    request(&mut waiting).await;
    until_within("the node is ready", TIMEOUT, async || server.get_management("/readyz").await.status == 200).await;
}
