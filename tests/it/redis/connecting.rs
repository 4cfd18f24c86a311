//! Connecting: URLs, passwords, TLS, and the warnings of a check.

use std::path::PathBuf;

use crate::conformance::Follow;
use signet::config::{self, SecretUrl};
use signet::store::ephemeral::redis::ConnectError;

use super::*;
use crate::support::postgres::Database;
use crate::support::redis::Server;
use crate::support::signet::Plan;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

async fn connect_error(config: &config::Redis) -> ConnectError {
    Redis::connect(config).await.err().expect("it is refused")
}

#[tokio::test]
async fn tls_and_password_work() {
    let server = Server::options().tls().password("pa:ss%2Fword").start();
    let url = format!("rediss://:pa%3Ass%252Fword@localhost:{}/0", server.port());
    let config = config::Redis { url: SecretUrl(url), ..server.config() };
    let store = Redis::connect(&config).await.unwrap();
    open(&store, &session(1)).await;
    rotate(&store, 1, 0).await;
    assert_eq!(
        store.follow(&signet::store::ephemeral::Cursor::start(), Duration::from_millis(50)).await.unwrap().0,
        []
    );

    let untrusted = connect_error(&config::Redis { ca: None, ..config.clone() }).await;
    assert!(matches!(untrusted, ConnectError::Unavailable(_) | ConnectError::Authorities(_)), "{untrusted}");
    let missing = connect_error(&config::Redis { ca: Some(PathBuf::from("/nowhere.pem")), ..config }).await;
    assert!(matches!(&missing, ConnectError::Authorities(reason) if reason.contains("/nowhere.pem")), "{missing}");
}

#[tokio::test]
async fn wrong_password_is_reported_but_not_shown() {
    let server = Server::options().password("right-secret").start();
    let url_of = |user: &str| SecretUrl(format!("redis://{user}127.0.0.1:{}", server.port()));
    for user in ["", ":wrong-secret@", "nobody:wrong-secret@"] {
        let error = connect_error(&config::Redis { url: url_of(user), ..server.config() }).await;
        assert!(matches!(error, ConnectError::Credentials(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn bad_url_is_reported_without_its_password() {
    let server = Server::start();
    for url in [
        "127.0.0.1:6379",
        "http://a:secret@b",
        "redis://:secret@",
        "redis://:secret@h:99999",
        "redis-sentinel://:secret@h",
        "rediss+x://:secret@h",
    ] {
        let error = connect_error(&config::Redis { url: SecretUrl(url.into()), ..server.config() }).await;
        assert!(matches!(error, ConnectError::Address(_)), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let mut server = server;
    server.kill();
    let began = Instant::now();
    let error = connect_error(&server.config()).await;
    assert!(matches!(error, ConnectError::Unavailable(Error::Unavailable { .. })), "{error}");
    assert!(began.elapsed() < LONGEST_CALL);
}

#[tokio::test]
async fn check_warns_of_settings_that_lose_sessions() {
    let unsafe_server = Server::options().set("maxmemory-policy", "allkeys-lru").start();
    let warnings = Redis::connect(&unsafe_server.config()).await.unwrap().check().await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let [policy, file] = [0, 1].map(|at| warnings[at].to_string());
    assert!(policy.contains("allkeys-lru") && file.contains("appendonly"), "{warnings:?}");

    let safe_server = Server::options().durable().start();
    let store = Redis::connect(&safe_server.config()).await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);

    safe_server.cli(&["REPLICAOF", "127.0.0.1", &unsafe_server.port().to_string()]);
    let (error, _) = until_available(async || match store.check().await {
        Err(error) if error.to_string().contains("READONLY") => Ok(error),
        other => other.map(|warnings| panic!("{warnings:?}")),
    })
    .await;
    assert_unavailable(&error);
    let (error, _) =
        until_available(async || match store.open_session(&session(1), NETWORK, START, 100, START).await {
            Err(error) if error.to_string().contains("READONLY") => Ok(error),
            other => other.map(|opened| panic!("{opened:?}")),
        })
        .await;
    assert_unavailable(&error);
    safe_server.cli(&["REPLICAOF", "NO", "ONE"]);
    until_available(async || store.open_session(&session(1), NETWORK, START, 100, START).await).await;
}

/// Passes connections on to a server, which then reports version 6 of Redis.
async fn start_old(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, server));
        }
    });
    port
}

async fn pass_on(mut client: TcpStream, server: u16) -> std::io::Result<()> {
    const VERSION: &[u8] = b"redis_version:";
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    let ((mut requests, mut to_client), (mut replies, mut to_server)) = (client.split(), server.split());
    let replies = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let read = replies.read(&mut buffer).await?;
            let reply = &mut buffer[..read];
            if let Some(at) = reply.windows(VERSION.len()).position(|found| found == VERSION) {
                reply[at + VERSION.len()] = b'6';
            }
            match read {
                0 => return Ok(()),
                _ => to_client.write_all(reply).await?,
            }
        }
    };
    tokio::select! {
        ended = replies => ended,
        ended = copy(&mut requests, &mut to_server) => ended.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_fails_on_an_old_redis() {
    let (server, postgres) = (Server::options().durable().start(), Database::create());
    let port = start_old(server.port()).await;
    let plan = Plan::at(&format!("redis://127.0.0.1:{port}"), &postgres).with_patient_stores();
    let output = plan.run(&["--json", "check"], "");
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let failed = findings.iter().find(|it| it["part"] == "ephemeral" && it["result"] == "failed").unwrap();
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("has version 6.") && detail.ends_with("use Redis 7.0 or newer, or Valkey"), "{detail}");
    // A server warns of it.
    plan.start().wait_for_log("use Redis 7.0 or newer, or Valkey");
}

#[tokio::test]
async fn dropped_store_closes_its_connections() {
    let server = Server::start();
    let open_connections = || server.cli(&["CLIENT", "LIST"]).lines().count() - 1;
    let store = std::sync::Arc::new(Redis::connect(&server.config()).await.unwrap());
    open(&store, &session(1)).await;
    let following = tokio::spawn({
        let store = store.clone();
        async move { store.follow(&signet::store::ephemeral::Cursor::start(), HOUR).await }
    });
    until(|| server.cli(&["CLIENT", "LIST"]).contains("cmd=xread")).await;
    following.abort();
    until(|| !server.cli(&["CLIENT", "LIST"]).contains("cmd=xread")).await;
    drop(store);
    until(|| open_connections() == 0).await;
}

/// Waits without blocking the single-threaded runtime.
async fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
