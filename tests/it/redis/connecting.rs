//! Addresses, passwords, TLS, and what a check says.

use std::path::PathBuf;

use signet::config::{self, SecretUrl};
use signet::store::ephemeral::redis::ConnectError;

use super::*;
use crate::support::redis::Server;
use crate::support::wait_until;

async fn refused(config: &config::Redis) -> ConnectError {
    Redis::connect(config).await.err().expect("it is refused")
}

#[tokio::test]
async fn tls_and_password_are_honoured() {
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

    let distrusted = refused(&config::Redis { ca: None, ..config.clone() }).await;
    assert!(matches!(distrusted, ConnectError::Unavailable(_) | ConnectError::Authorities(_)), "{distrusted}");
    let missing = refused(&config::Redis { ca: Some(PathBuf::from("/nowhere.pem")), ..config }).await;
    assert!(matches!(&missing, ConnectError::Authorities(why) if why.contains("/nowhere.pem")), "{missing}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_being_shown() {
    let server = Server::options().password("right-secret").start();
    let at = |user: &str| SecretUrl(format!("redis://{user}127.0.0.1:{}", server.port()));
    for user in ["", ":wrong-secret@", "nobody:wrong-secret@"] {
        let error = refused(&config::Redis { url: at(user), ..server.config() }).await;
        assert!(matches!(error, ConnectError::Credentials(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_bad_address_names_what_is_wrong_and_nobodys_password() {
    let server = Server::start();
    for url in [
        "127.0.0.1:6379",
        "http://a:secret@b",
        "redis://:secret@",
        "redis://:secret@h:99999",
        "redis-sentinel://:secret@h",
        "rediss+x://:secret@h",
    ] {
        let error = refused(&config::Redis { url: SecretUrl(url.into()), ..server.config() }).await;
        assert!(matches!(error, ConnectError::Address(_)), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let mut server = server;
    server.kill();
    let began = Instant::now();
    let error = refused(&server.config()).await;
    assert!(matches!(error, ConnectError::Unavailable(Error::Unavailable { .. })), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_check_warns_of_settings_that_lose_sessions() {
    let lossy = Server::options().set("maxmemory-policy", "allkeys-lru").start();
    let warnings = Redis::connect(&lossy.config()).await.unwrap().check().await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("allkeys-lru") && warnings[1].contains("appendonly"), "{warnings:?}");

    let sound = Server::options().durable().start();
    let store = Redis::connect(&sound.config()).await.unwrap();
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());

    sound.cli(&["REPLICAOF", "127.0.0.1", &lossy.port().to_string()]);
    let (error, _) = until_available(Duration::from_secs(5), async || match store.check().await {
        Err(error) if error.to_string().contains("READONLY") => Ok(error),
        other => other.map(|warnings| panic!("{warnings:?}")),
    })
    .await;
    assert_unavailable(&error);
    let (error, _) = until_available(Duration::from_secs(5), async || {
        match store.open_session(&session(1), START, 100, START).await {
            Err(error) if error.to_string().contains("READONLY") => Ok(error),
            other => other.map(|opened| panic!("{opened:?}")),
        }
    })
    .await;
    assert_unavailable(&error);
    sound.cli(&["REPLICAOF", "NO", "ONE"]);
    until_available(Duration::from_secs(5), async || store.open_session(&session(1), START, 100, START).await).await;
}

#[tokio::test]
async fn a_dropped_store_leaves_no_connection() {
    let server = Server::start();
    let others = || server.cli(&["CLIENT", "LIST"]).lines().count() - 1;
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
    until(|| others() == 0).await;
    wait_until("nobody comes back", Duration::from_secs(1), || others() == 0);
}

/// Lets the runtime, which is this thread's own, go on between the looks.
async fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
